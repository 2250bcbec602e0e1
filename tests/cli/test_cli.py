"""The commands: --json prints one object with the promised keys, and bad input ends in status 2 and
one line that helps."""

import json
import re
import shlex
from pathlib import Path

import pytest
from bundles import BACKBONE
from safetensors.torch import load_file, save_file
from thin import picture

import mvit
from mvit.bundles import weights
from mvit.cli import main as cli
from mvit.models.multi_exit import FINAL
from mvit.tasks import CIFAR10_LABELS

BASE = "vit_base_patch16_224"

EXIT = ["layer", "head", "prediction", "confidence", "ms", "macs", "practical"]


def test_trace(tiny_weights, photo, command):
    result = command("trace", photo)
    assert list(result) == ["task", "backbone", "device", "dtype", "exits", "final"]
    assert (result["task"], result["backbone"], result["device"], result["dtype"]) == (
        "cifar10",
        BACKBONE,
        "cpu",
        "float32",
    )
    assert len(result["exits"]) == 36 and all(list(e) == EXIT for e in result["exits"])
    assert list(result["final"]) == ["layer", "prediction", "confidence", "ms", "macs"]
    model = mvit.load("cifar10", device="cpu")
    for said, exit in zip(
        [*result["exits"], result["final"]],
        model.run(picture(side=50), [*model.exits(), (12, FINAL)]),
        strict=True,
    ):
        assert (said["layer"], said["prediction"], said["macs"]) == (
            exit.layer,
            exit.label,
            exit.macs,
        ) and said["ms"] > 0
        assert (
            said["confidence"] == pytest.approx(exit.confidence, abs=1e-5)
            and said.get("practical", False) == exit.practical
        )


def test_trace_of_one_head_reads_and_runs_that_head_alone(own_weights, photo, command):
    (own_weights / "cifar10" / BACKBONE / "heads" / "mlp.safetensors").write_bytes(b"damaged")
    assert {e["head"] for e in command("trace", photo, "--head", "resmlp")["exits"]} == {"resmlp"}


def test_every_engine_traces_and_gives_the_same_answers(tiny_weights, photo, command):
    timm, packed = (
        command("trace", photo, "--head", "resmlp", "--engine", engine)["exits"]
        for engine in ("timm", "packed")
    )
    for a, b in zip(timm, packed, strict=True):
        assert a["prediction"] == b["prediction"]
        assert a["confidence"] == pytest.approx(b["confidence"], abs=1e-4)


def test_deadline_with_time_enough(tiny_weights, photo, command):
    result = command("deadline", photo, "--ms", 60_000, "--head", "mlp")
    assert list(result) == [
        "deadline_ms",
        "answered_ms",
        "layer",
        "head",
        "prediction",
        "confidence",
        "ready",
    ]
    assert (result["deadline_ms"], result["layer"], result["head"], result["ready"]) == (
        60_000,
        12,
        FINAL,
        True,
    )
    assert (
        result["prediction"] in CIFAR10_LABELS
        and 0.1 <= result["confidence"] <= 1
        and 0 < result["answered_ms"] < 60_000
    )


def test_a_deadline_before_the_first_exit_is_answered_with_nulls(tiny_weights, photo, command):
    result = command("deadline", photo, "--ms", 0.001)
    assert list(result) == [
        "deadline_ms",
        "answered_ms",
        "layer",
        "head",
        "prediction",
        "confidence",
        "ready",
    ]
    assert (
        result["ready"] is False
        and [result[k] for k in ("layer", "head", "prediction", "confidence")] == [None] * 4
    )
    assert result["deadline_ms"] == 0.001


def test_people_are_told_that_there_is_no_answer_yet(tiny_weights, photo, capsys):
    file = Path(photo).rename(Path(photo).with_name("my photo.png"))
    asked = ["deadline", str(file), "--ms", "0.001", "--head", "mlp", "--device", "cpu"]
    assert cli.main(asked) == 0
    said, told = capsys.readouterr()
    assert "prediction: no answer yet" in said and "None" not in said
    again = shlex.split(told.partition("; try: python -m mvit ")[2])
    assert again[:2] == asked[:2] and again[3:] == ["--device=cpu", "--head=mlp"]
    first_ms = float(re.search(r"ready at about ([\d.e+]+) ms", told)[1])
    assert float(again[2].removeprefix("--ms=")) > 2 * first_ms
    assert cli.main(again) == 0


def test_evaluate(tiny_weights, test_split, command):
    result = command("evaluate", "--data", test_split, "--head", "mlp")
    names = ["task", "backbone", "n", "split", "left_out", "final", "exits"]
    assert list(result) == names and list(result["final"]) == ["accuracy"]
    # as many as in a folder of one's own
    assert (result["split"], result["left_out"]) == ("the folder test/", [])
    assert (result["task"], result["backbone"], result["n"]) == ("cifar10", BACKBONE, 20)
    assert [list(e) for e in result["exits"]] == [
        ["layer", "head", "accuracy", "macs", "practical"]
    ] * 12
    # the set's own folder, too
    assert result == command("evaluate", "--data", test_split / "cifar10", "--head", "mlp")


def test_evaluate_takes_a_seeded_sample_and_the_data_folder_from_the_environment(
    tiny_weights, test_split, command, monkeypatch
):
    monkeypatch.setenv("MVIT_DATA", str(test_split))
    first = command("evaluate", "--limit", 5, "--head", "mlp")
    assert first["n"] == 5 and first == command(
        "evaluate", "--limit", 5, "--seed", 0, "--head", "mlp"
    )


def test_verify(own_weights, command, capsys):
    assert command("verify") == {
        "root": "weights",
        "ok": True,
        "bundles": [{"task": "cifar10", "backbone": BACKBONE, "ok": True, "reason": None}],
        "grown": [{"task": "cifar10", "backbone": BASE, "from": BACKBONE}],
    }
    file = own_weights / "cifar10" / BACKBONE / "heads" / "mlp.safetensors"
    file.write_bytes(file.read_bytes()[:-1])
    assert cli.main(["verify", "--json"]) == 2
    out, err = capsys.readouterr()
    assert (
        json.loads(out)["ok"] is False
        and "mlp.safetensors" in json.loads(out)["bundles"][0]["reason"]
    )
    assert err.count("\n") == 1 and "mlp.safetensors refused" in err


def test_verify_of_the_bundles_that_are_named(tiny_weights, command, refused):
    assert len(command("verify", "--task", "cifar10", "--backbone", BACKBONE)["bundles"]) == 1
    words = refused("verify", "--task", "crowd")
    known = f"there are: cifar10/{BACKBONE}; and, grown from these at load: cifar10/{BASE}\n"
    assert "no such weights" in words and words.endswith(known)
    assert refused("trace", "x.png", "--task", "crowd").endswith(known)
    assert command("verify", "--backbone", BASE)["bundles"] == [
        {"task": "cifar10", "backbone": BASE, "ok": True, "reason": None}
    ]


@pytest.mark.parametrize(
    "args",
    [
        ["verify", "--head", "mlp"],
        ["train", "--data", ".", "--head", "mlp"],
        ["train", "--data", ".", "--dtype", "bfloat16"],
        ["grow", "--device", "cuda"],
        ["verify", "--engine", "packed"],
    ],
)
def test_a_common_option_without_effect_is_refused(tiny_weights, refused, args):
    assert f"{args[-2]} {args[-1]} has no effect on {args[0]}; leave it out" in refused(*args)


def test_of_several_processes_the_first_alone_prints(tiny_weights, photo, capsys, monkeypatch):
    for rank, lines in (("0", 1), ("1", 0)):
        monkeypatch.setenv("RANK", rank)
        assert cli.main(["trace", photo, "--head", "mlp", "--device", "cpu", "--json"]) == 0
        assert capsys.readouterr().out.count("\n") == lines


def test_a_deadline_chooses_from_the_exits_that_exist(own_weights, photo, command, reseal):
    bundle = own_weights / "cifar10" / BACKBONE
    card = json.loads((bundle / "card.json").read_text())
    card |= {"layers": [6, 9, 12], "exits": [e for e in card["exits"] if e["layer"] in (6, 9, 12)]}
    weights.write_card(bundle, card)
    for file in (bundle / "heads").iterdir():
        kept = {k: v for k, v in load_file(file).items() if k.split(".")[0] in ("6", "9", "12")}
        save_file(kept, file)
    reseal(bundle)
    assert command("deadline", photo, "--ms", 60_000)["layer"] == 12
    only = ("--only", "leaving", "--rounds", 1, "--runs", 1)
    found = command("bench", *only, "--head", "cnn_ignore")
    assert found["layers"] == [6, 9, 12] and [r["layer"] for r in found["leaving"]] == [6, 9]


def test_verify_of_nothing_is_not_a_success(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("MVIT_WEIGHTS", str(tmp_path))
    assert cli.main(["verify", "--json"]) == 2
    out, err = capsys.readouterr()
    assert json.loads(out)["bundles"] == [] and "no such weights" in err and err.count("\n") == 1


def test_export(tiny_weights, tmp_path, command):
    result = command(
        "export", "--exit", 1, "--head", "mlp", "--format", "pt2", "--out", tmp_path / "cut.pt2"
    )
    assert (result["layer"], result["head"], result["size"]) == (
        1,
        "mlp",
        (tmp_path / "cut.pt2").stat().st_size,
    )


@pytest.mark.parametrize(("layer", "head"), [(6, "mlp"), (12, "final")])
def test_export_without_a_head_takes_the_best_one_or_the_final_exit(
    tiny_weights, tmp_path, command, layer, head
):
    file = tmp_path / "cut.pt2"
    result = command("export", "--exit", layer, "--format", "pt2", "--out", file)
    assert (result["layer"], result["head"]) == (layer, head)
