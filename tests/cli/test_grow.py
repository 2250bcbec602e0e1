"""`python -m mvit grow` and number formats on the command line; bundles that are split over several
files."""

import io
import json
import shutil
from contextlib import redirect_stdout
from pathlib import Path

import pytest
import torch
from bundles import BACKBONE, HEADS
from PIL import Image
from thin import picture

import mvit
from mvit.bundles import tensors, weights
from mvit.bundles.weights import WeightsError
from mvit.cli import grow as grow_command
from mvit.cli import main as cli
from mvit.evaluation.predictions import FILE
from mvit.inference import precision
from mvit.models import growth

WIDE = "vit_small_patch16_224"


@pytest.fixture
def photo(tmp_path) -> str:
    Image.fromarray(picture(side=50)).save(tmp_path / "photo.png")
    return str(tmp_path / "photo.png")


@pytest.fixture
def command(capsys):
    """A function that runs a command with --json and returns its one JSON object and what it
    said on standard error."""

    def run(*args: object) -> tuple[dict, str]:
        status = cli.main([*map(str, args), "--json", "--device", "cpu"])
        out, err = capsys.readouterr()
        assert status == 0 and out.count("\n") == 1
        return json.loads(out), err

    return run


def refused(capsys, *args: object) -> str:
    assert cli.main([*map(str, args)]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1
    return err


@pytest.fixture(scope="module")
def written(tiny_bundle, tmp_path_factory) -> tuple[Path, dict]:
    """A weights folder with a small bundle and the same grown twice as wide, files of 1.2 MB at
    most; and what the command said."""
    folder = shutil.copytree(tiny_bundle, tmp_path_factory.mktemp("grown") / "weights")
    (folder / "cifar10" / BACKBONE / FILE).write_bytes(b"recorded")
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(io.StringIO()) as out:
        patch.setattr(tensors, "MAX_FILE_BYTES", 1_200_000)
        patch.setenv("MVIT_WEIGHTS", str(folder))
        assert cli.main(["grow", "--to", WIDE, "--json"]) == 0
    return folder, json.loads(out.getvalue())


@pytest.fixture
def grown(written, monkeypatch) -> tuple[Path, dict]:
    """The grown bundle's folder, in force, and what the command said; read only."""
    monkeypatch.setenv("MVIT_WEIGHTS", str(written[0]))
    return written[0] / "cifar10" / WIDE, written[1]


def test_the_written_bundle_has_the_same_answers(grown):
    folder, said = grown
    small, wide = (
        mvit.load("cifar10", BACKBONE, device="cpu"),
        mvit.load("cifar10", WIDE, device="cpu"),
    )
    a, b = small.trace(picture()), wide.trace(picture())
    assert (a.prediction == b.prediction).mean() > 0.9 and (
        a.confidence - b.confidence
    ).abs().max() < 0.01
    assert (
        wide.backbone.dim == 128
        and wide.grown_from == BACKBONE
        and (a.practical == b.practical).all()
    )
    assert (said["from"], said["to"], said["factor"], said["heads"]) == (
        BACKBONE,
        WIDE,
        2,
        list(HEADS),
    )
    assert (
        0 <= 5 * said["before_rounding"]["logits"] < said["on_disk"]["logits"] < 0.05
        and said["on_disk"]["scores"] < 0.01
    )


def test_its_card_tells_where_it_comes_from_and_what_rounding_cost(grown):
    folder, said = grown
    card, before = weights.read_card(folder), weights.card_of("cifar10", BACKBONE)
    assert (card["architecture"], card["grown_from"]) == (WIDE, BACKBONE)
    assert card["growth"]["on_disk"] == said["on_disk"] and card["growth"]["factor"] == 2
    assert [e["accuracy"] for e in card["exits"]] == [e["accuracy"] for e in before["exits"]]
    wide = mvit.load("cifar10", WIDE, device="cpu", heads=["mlp"])
    assert all(
        e["macs"] == wide.exit_macs(e["layer"], e["head"])
        for e in card["exits"]
        if e["head"] == "mlp"
    )
    assert (folder / FILE).read_bytes() == b"recorded"
    assert str(folder.parent) not in (folder / "card.json").read_text()


def test_large_parts_are_split_under_the_limit(grown):
    folder, said = grown
    files = weights.read_card(folder)["files"]
    shards = weights.parts(files)["backbone"]
    assert len(shards) > 3 and shards[0] == f"backbone-00001-of-{len(shards):05}.safetensors"
    assert all(
        (folder / name).stat().st_size == about["bytes"] <= 1_200_000
        for name, about in files.items()
    )
    assert set(weights.parts(files)) == {
        "backbone",
        *(f"heads/{h}" for h in HEADS),
    } and weights.head_names(files) == list(HEADS)
    assert said["bytes"] == sum((folder / f["file"]).stat().st_size for f in said["files"]) and len(
        said["files"]
    ) == len(files)


def test_a_damaged_or_missing_shard_is_refused_by_name(grown, tmp_path, monkeypatch):
    folder = shutil.copytree(grown[0], tmp_path / "cifar10" / WIDE)
    monkeypatch.setenv("MVIT_WEIGHTS", str(tmp_path))
    card = weights.read_card(folder)
    second = weights.parts(card["files"])["backbone"][1]
    whole = (folder / second).read_bytes()
    (folder / second).write_bytes(whole[:-1])
    with pytest.raises(WeightsError, match=f"{second} refused: its sha256 differs"):
        mvit.load("cifar10", WIDE, heads=[])
    (folder / second).unlink()
    with pytest.raises(WeightsError, match=f"{second} refused: the file is missing"):
        mvit.load("cifar10", WIDE, heads=[])
    weights.write_card(
        folder, card | {"files": {k: v for k, v in card["files"].items() if k != second}}
    )
    with pytest.raises(WeightsError, match="backbone-.* refused: it lacks blocks"):
        mvit.load("cifar10", WIDE, heads=[])


def test_one_head_elsewhere_and_never_over_something(own_weights, tmp_path, command, capsys):
    out = tmp_path / "elsewhere"
    said, _ = command("grow", "--to", WIDE, "--head", "mlp", "--out", out)
    assert said["heads"] == ["mlp"] and said["folder"] == str(out)
    assert list(weights.read(out, "cifar10").heads) == ["mlp"]
    assert {e["head"] for e in weights.read_card(out)["exits"]} == {"mlp"}
    assert "is not empty; name another folder" in refused(
        capsys, "grow", "--to", WIDE, "--out", out
    )
    assert weights.bundles() == [("cifar10", BACKBONE)]


@pytest.mark.parametrize(
    "args, words",
    [
        (["--to", "vit_large_patch16_224"], "24 encoder layers instead of 12"),
        (["--to", "vit_dwarf"], "'vit_dwarf' cannot be a backbone"),
        (["--to", BACKBONE, "--out", "x"], "64 channels are not a multiple of its 64"),
        (["--head", "vit"], "has no head 'vit'"),
        (["--backbone", "vit_giant"], "no weights for cifar10/vit_giant"),
    ],
)
def test_what_cannot_be_grown_is_refused(tiny_weights, capsys, args, words):
    assert words in refused(capsys, "grow", *args)
    assert weights.bundles() == [("cifar10", BACKBONE)]


def test_a_person_reads_what_it_cost(grown):
    text = grow_command.describe(grown[1])
    assert (
        "grown 2 times" in text
        and "half precision on disk" in text
        and "measured before growth" in text
    )


def test_the_number_format_is_chosen_by_hand_or_by_a_probe(
    tiny_weights, photo, command, monkeypatch
):
    assert command("trace", photo, "--head", "mlp")[0]["dtype"] == "float32"
    assert command("trace", photo, "--head", "mlp", "--dtype", "bfloat16")[0]["dtype"] == "bfloat16"
    monkeypatch.setattr(
        precision, "_probe", lambda *_: precision.Choice("bfloat16", "2.00 times faster")
    )
    monkeypatch.setattr(precision, "native_bfloat16", lambda: True)
    result, said = command("trace", photo, "--head", "mlp", "--dtype", "auto")
    assert result["dtype"] == "bfloat16" and said == "bfloat16: 2.00 times faster\n"
    monkeypatch.setattr(precision, "native_bfloat16", lambda: False)
    result, said = command("deadline", photo, "--ms", 60_000, "--head", "mlp", "--dtype", "auto")
    assert result["ready"] and said.startswith("float32: this CPU has no bfloat16")


def test_vit_base_answers_on_the_command_line_without_a_bundle_of_its_own(
    tiny_weights, photo, command
):
    small, _ = command("trace", photo, "--head", "mlp")
    large, _ = command("trace", photo, "--head", "mlp", "--backbone", "vit_base_patch16_224")
    assert (
        large["backbone"] == "vit_base_patch16_224"
        and large["final"]["macs"] > 10 * small["final"]["macs"]
    )
    assert [e["prediction"] for e in large["exits"]] == [e["prediction"] for e in small["exits"]]
    assert [e["confidence"] for e in large["exits"]] == pytest.approx(
        [e["confidence"] for e in small["exits"]], abs=1e-4
    )
    assert torch.get_default_dtype() == torch.float32


def test_a_counters_card_tells_the_work_of_the_wide_network_and_of_no_maps(
    own_weights, tmp_path, monkeypatch
):
    small = mvit.load("cifar10", BACKBONE, device="cpu", heads=["mlp"])
    one = {"layer": 6, "head": "mlp", "macs": 1, "practical": True}
    exits = [one, one | {"head": "vit"}]
    part = {"exits": exits, "final": {"mae": 9.0, "macs": 1}}
    card = weights.read_card(own_weights / "cifar10" / BACKBONE)
    told = card | part | {"splits": {"B": part}, "maps": {"dim": 64}}
    written = grow_command.grow_bundle(small, told, WIDE, tmp_path / "wide")
    wide = growth.grow(small, WIDE)
    [kept] = written["splits"]["B"]["exits"]
    assert kept == one | {"macs": wide.exit_macs(6, "mlp")}
    assert written["splits"]["B"]["final"] == {"mae": 9.0, "macs": wide.exit_macs(12, "final")}
    assert written["exits"] == [kept] and "maps" not in written
