"""A grown network that was trained is kept as what training changed: it loads as it was measured,
and is refused by name with anything but the bundle that it was grown from."""

import hashlib
import shutil

import numpy as np
import pytest
import torch
from bundles import BACKBONE, HEADS, save_bundle
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from thin import picture, two_widths
from toys import same, snapshot

import mvit
from mvit.bundles import delta, tensors, weights
from mvit.bundles.weights import WeightsError
from mvit.cli import main as cli
from mvit.models.growth import grow
from mvit.models.multi_exit import MultiExitViT
from mvit.tasks import CIFAR10_LABELS, Task

WIDE, BASE, RANK = "vit_small_patch16_224", "vit_base_patch16_224", 2


def write(folder, name: str, source: str, to: str, rank: int = RANK):
    """Grow a bundle, change the result at random, and write the change; return it as rounded."""
    small = weights.read(folder / "cifar10" / source, "cifar10")
    grown, model = (grow(small, to) for _ in range(2))
    torch.manual_seed(1)
    for parameter in model.parameters():
        noise = torch.randn_like(parameter)
        if parameter.ndim > 1 and len(parameter) > 1:
            left = torch.randn(len(parameter), 1)
            noise = (left @ torch.randn(1, parameter[0].numel())).view_as(parameter)
        parameter.data += 0.01 * noise
    held = delta.changes(model, grown, rank)
    delta.add_all(grown, held)
    about = delta.origin(folder / "cifar10" / source, list(model.heads), rank)
    card = weights.read_card(folder / "cifar10" / source)
    card |= {"architecture": to, "delta": about}
    card["exits"] = [e | {"practical": e["layer"] == 2} for e in card["exits"]]
    weights.save(model, folder / "cifar10" / name, card, {"rank": rank}, changes=held)
    return model, grown


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """The weights' folder, in force, read only; the network as trained, and as rounded."""
    folder = tmp_path_factory.mktemp("delta") / "weights"
    with pytest.MonkeyPatch.context() as patch:
        two_widths(patch)
        patch.setenv("MVIT_WEIGHTS", str(folder))
        save_bundle(folder, Task("cifar10", CIFAR10_LABELS, native_px=32, input_px=64))
        yield folder, *write(folder, "tuned", BACKBONE, WIDE)


@pytest.fixture
def own(written, tmp_path, monkeypatch):
    """A copy of the weights' folder in force, to be damaged."""
    folder = shutil.copytree(written[0], tmp_path / "weights")
    monkeypatch.setenv("MVIT_WEIGHTS", str(folder))
    return folder


def test_it_loads_as_it_was_rounded_close_to_what_was_trained_and_is_its_own(written):
    folder, model, rounded = written
    again = mvit.load("cifar10", "tuned", device="cpu")
    assert same(snapshot(again), snapshot(rounded))
    assert again.grown_from is None and again.practical_exits == {
        e for e in again.exits() if e[0] == 2
    }
    a, b = model.trace(picture()), again.trace(picture())
    assert np.allclose(a.confidence, b.confidence, atol=0.02)
    size = sum(f["bytes"] for f in weights.card_of("cifar10", "tuned")["files"].values())
    assert size < 0.5 * sum(p.numel() for p in model.parameters())  # of 8 bits a weight
    assert all(bundle["ok"] for bundle in weights.verify())
    assert list(mvit.load("cifar10", "tuned", device="cpu", heads=["mlp"]).heads) == ["mlp"]


def test_other_number_formats_round_the_sum_once(written):
    half = mvit.load("cifar10", "tuned", device="cpu", dtype=torch.bfloat16, heads=["mlp"])
    whole = mvit.load("cifar10", "tuned", device="cpu", heads=["mlp"]).to(torch.bfloat16)
    assert same(snapshot(half), snapshot(whole))


def test_a_full_rank_keeps_the_change_itself(written):
    _, model, _ = written
    small = mvit.load("cifar10", BACKBONE, device="cpu")
    grown = grow(small, WIDE)
    held = delta.changes(model, grown, 10_000)
    assert not any(name.endswith(delta.UP) for name in held["backbone"])
    delta.add_all(grown, held)
    a, b = model.trace(picture()), grown.trace(picture())
    assert np.allclose(a.confidence, b.confidence, atol=0.01)


def other_source(folder):
    card = weights.read_card(folder / "cifar10" / BACKBONE)
    card["files"]["backbone.safetensors"]["sha256"] = "0" * 64
    weights.write_card(folder / "cifar10" / BACKBONE, card)


def no_source(folder):
    shutil.rmtree(folder / "cifar10" / BACKBONE)


def changed(key, value):
    def change(folder):
        card = weights.read_card(folder / "cifar10" / "tuned")
        card["delta"][key] = value
        weights.write_card(folder / "cifar10" / "tuned", card)

    return change


def incomplete(folder):
    card = weights.read_card(folder / "cifar10" / "tuned")
    del card["delta"]["files"]
    weights.write_card(folder / "cifar10" / "tuned", card)


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (other_source, f"trained from cifar10/{BACKBONE}, whose backbone.safetensors has been rep"),
        (no_source, f"trained from cifar10/{BACKBONE}, which is not installed"),
        (changed("seed", 3), "backbone.safetensors is the change of a network with another seed"),
        (changed("rank", 5), "backbone.safetensors is the change of a network with another rank"),
        (changed("files", {}), "backbone.safetensors is the change .* another source bundle"),
        (incomplete, "the card is wrong: delta lacks 'files'"),
    ],
)
def test_a_change_of_another_network_is_refused_by_name(damage, reason, own, capsys):
    damage(own)
    with pytest.raises(WeightsError, match=reason) as error:
        mvit.load("cifar10", "tuned", device="cpu")
    assert str(error.value).startswith("tuned/card.json refused: ")
    assert not weights.verify(only_backbone="tuned")[0]["ok"]
    assert cli.main(["deadline", "x.png", "--ms", "9", "--backbone", "tuned"]) == 2
    assert "tuned" in (said := capsys.readouterr().err) and said.count("\n") == 1


def test_a_head_that_it_was_trained_with_but_does_not_list_is_refused(own):
    card = weights.read_card(own / "cifar10" / "tuned")
    del card["files"]["heads/mlp.safetensors"]
    weights.write_card(own / "cifar10" / "tuned", card | {"exits": []})
    with pytest.raises(WeightsError, match="tuned/card.json refused: it tells of a head 'mlp' but"):
        mvit.load("cifar10", "tuned", device="cpu")
    assert [b["ok"] for b in weights.verify(only_backbone="tuned")] == [False]


def test_an_altered_file_is_refused_by_name(own):
    file = own / "cifar10" / "tuned" / "heads" / "mlp.safetensors"
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    with pytest.raises(WeightsError, match="heads/mlp.safetensors refused: its sha256 differs"):
        mvit.load("cifar10", "tuned", device="cpu")


def edited(edit, keep_metadata=True):
    """Damage that rewrites the backbone's file, and has the card tell the new sha256."""

    def damage(folder):
        file = folder / "cifar10" / "tuned" / "backbone.safetensors"
        with safe_open(file, "pt") as opened:
            metadata = opened.metadata() if keep_metadata else None
        save_file(edit(load_file(file)), file, metadata)
        card = weights.read_card(file.parent)
        card["files"][file.name]["sha256"] = hashlib.sha256(file.read_bytes()).hexdigest()
        weights.write_card(file.parent, card)

    return damage


def without(*names):
    return edited(lambda held: {k: v for k, v in held.items() if k not in names})


def unlisted(folder):
    card = weights.read_card(folder / "cifar10" / "tuned")
    del card["files"]["backbone.safetensors"]
    weights.write_card(folder / "cifar10" / "tuned", card)


def untagged(folder):
    edited(dict, keep_metadata=False)(folder)
    changed("seed", 3)(folder)


MATRIX, VECTOR = "blocks.0.attn.proj.weight", "blocks.0.attn.proj.bias"


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (unlisted, "backbone.safetensors refused: the card does not list it"),
        (without(f"{MATRIX}:up", f"{MATRIX}:up:scale"), f"it lacks {MATRIX}:up"),
        (without(f"{MATRIX}:down", f"{MATRIX}:down:scale"), f"it lacks {MATRIX}:down"),
        (without(VECTOR), f"it lacks {VECTOR}"),
        (
            edited(lambda held: held | {f"{VECTOR}:foo": held[VECTOR].clone()}),
            f"it holds {VECTOR}:foo, which no change of this model has",
        ),
        (
            edited(
                lambda held: {
                    k: torch.full_like(v, 1e36) if k.endswith(":scale") else v
                    for k, v in held.items()
                }
            ),
            "backbone.safetensors refused: it makes .* infinite or not a number",
        ),
        (untagged, "backbone.safetensors does not tell which network it is the change of"),
    ],
)
def test_an_edited_change_is_refused_by_name_even_with_its_sha256_in_the_card(damage, reason, own):
    damage(own)
    with pytest.raises(WeightsError, match=reason) as error:
        mvit.load("cifar10", "tuned", device="cpu")
    assert "backbone.safetensors" in str(error.value)
    assert [b["ok"] for b in weights.verify(only_backbone="tuned")] == [False]


def test_a_change_in_several_files_loads_and_is_refused_without_one_of_them(own, monkeypatch):
    monkeypatch.setattr(tensors, "MAX_FILE_BYTES", 60_000)
    monkeypatch.setattr(tensors, "HEADER_BYTES", 10_000)
    shutil.rmtree(own / "cifar10" / "tuned")
    _, rounded = write(own, "tuned", BACKBONE, WIDE, rank=16)
    again = mvit.load("cifar10", "tuned", device="cpu")
    assert same(snapshot(again), snapshot(rounded))
    card = weights.read_card(own / "cifar10" / "tuned")
    names = weights.parts(card["files"])["backbone"]
    del card["files"][names[-1]]
    weights.write_card(own / "cifar10" / "tuned", card)
    reason = f"{names[0]} refused: the card lists {len(names) - 1} of {len(names)} such files"
    with pytest.raises(WeightsError, match=reason):
        mvit.load("cifar10", "tuned", device="cpu")


def test_the_grown_network_is_offered_where_the_trained_one_is_refused(own, capsys):
    shutil.rmtree(own / "cifar10" / "tuned")
    write(own, BASE, BACKBONE, BASE)
    assert weights.source("cifar10", BASE) is None
    assert weights.folders("cifar10", BASE) == [own / "cifar10" / BASE, own / "cifar10" / BACKBONE]
    card = weights.read_card(own / "cifar10" / BASE)
    card["delta"]["rank"] = 9
    weights.write_card(own / "cifar10" / BASE, card)
    assert weights.offers() == weights.bundles() and weights.source("cifar10", BASE) == BACKBONE
    with pytest.warns(UserWarning, match=f"cifar10/{BASE} refused: .* another rank than the card"):
        model = mvit.load("cifar10", BASE, device="cpu")
    assert model.grown_from == BACKBONE and weights.card_of("cifar10", BASE)["grown_from"]
    assert [b["ok"] for b in weights.verify()] == [False, True]
    assert cli.main(["deadline", "x.png", "--ms", "9", "--backbone", BASE]) == 2
    assert "remove its folder and have the network grown" in capsys.readouterr().err


def test_a_head_that_its_source_has_not_lies_beside_the_change_in_full(own):
    folder = own / "cifar10" / "tuned"
    card, model = weights.read_card(folder), mvit.load("cifar10", "tuned", device="cpu", heads=[])
    more = MultiExitViT.untrained(model.backbone, model.task, ("vit",))
    card["files"] |= weights.save_part(more.heads["vit"], folder, "heads/vit")
    weights.write_card(folder, card)
    again = mvit.load("cifar10", "tuned", device="cpu")
    assert list(again.heads) == [*HEADS, "vit"]
    assert torch.equal(
        again.head_at(1, "vit").mlp[0].weight, more.head_at(1, "vit").mlp[0].weight.half().float()
    )


def test_a_bundle_made_from_it_and_written_whole_needs_no_source(own):
    model, card = mvit.load("cifar10", "tuned", device="cpu"), weights.card_of("cifar10", "tuned")
    weights.save(model, own / "cifar10" / "whole", card)
    no_source(own)
    again = mvit.load("cifar10", "whole", device="cpu")
    assert again.head_at(2, "mlp") and "delta" not in weights.card_of("cifar10", "whole")
