"""A grown network may begin between two bundles: it is grown from their mean, and needs both."""

import shutil

import pytest
import torch
from bundles import BACKBONE, HEADS, save_bundle
from thin import two_widths
from toys import snapshot

import mvit
from mvit.bundles import delta, weights
from mvit.bundles.weights import WeightsError
from mvit.models.growth import GrowthError
from mvit.tasks import CIFAR10_LABELS, Task
from mvit.training.initial import grown_start

WIDE, RANK, MOVED, SHARE = "vit_small_patch16_224", 2, 0.02, 0.25


@pytest.fixture
def between(tmp_path, monkeypatch):
    """The weights' folder, in force, with a small bundle; `other`, all weights of which are larger,
    with its first head only; and `between`, grown from what lies a quarter of the way to it."""
    two_widths(monkeypatch)
    folder = tmp_path / "weights"
    monkeypatch.setenv("MVIT_WEIGHTS", str(folder))
    card = save_bundle(folder, Task("cifar10", CIFAR10_LABELS, native_px=32, input_px=64))
    at = folder / "cifar10"
    moved = weights.read(at / BACKBONE, "cifar10", heads=HEADS[:1])
    for parameter in moved.parameters():
        parameter.data += MOVED
    exits = [e for e in card["exits"] if e["head"] == HEADS[0]]
    weights.save(moved, at / "other", card | {"exits": exits})
    heads, toward = weights.head_names(card["files"]), {"backbone": "other", "share": SHARE}
    of = delta.origin(at / BACKBONE, heads, RANK, toward)
    grown = weights.regrown(of, WIDE, heads)
    held = delta.changes(grown, grown, RANK)
    weights.save(grown, at / "between", card | {"architecture": WIDE, "delta": of}, changes=held)
    return folder


def test_a_network_may_be_grown_from_what_lies_between_two_bundles(between):
    own, wide = (mvit.load("cifar10", name, device="cpu") for name in (BACKBONE, "between"))

    def moved(narrow: torch.nn.Module, wide: torch.nn.Module) -> float:
        """How far the biases of a part went, those that growing repeats."""
        before = {k: v for k, v in narrow.named_parameters() if v.ndim == 1}
        now = dict(wide.named_parameters())
        return float(torch.cat([now[k][: len(v)] - v for k, v in before.items()]).median())

    assert moved(own.backbone.vit, wide.backbone.vit) == pytest.approx(SHARE * MOVED, rel=0.05)
    assert moved(own.heads[HEADS[0]], wide.heads[HEADS[0]]) == pytest.approx(
        SHARE * MOVED, rel=0.05
    )
    assert moved(own.heads[HEADS[1]], wide.heads[HEADS[1]]) == 0  # the other bundle lacks it
    named = [between / "cifar10" / name for name in ("between", BACKBONE, "other")]
    assert weights.folders("cifar10", "between") == named
    of = weights.card_of("cifar10", "between")["delta"]
    assert delta.told(of) == f"the mean of {BACKBONE} and other"


def replaced(folder):
    card = weights.read_card(folder / "cifar10" / "other")
    card["files"]["heads/mlp.safetensors"]["sha256"] = "0" * 64
    weights.write_card(folder / "cifar10" / "other", card)


def other_share(folder):
    card = weights.read_card(folder / "cifar10" / "between")
    card["delta"]["toward"]["share"] = 0.5
    weights.write_card(folder / "cifar10" / "between", card)


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (replaced, "from cifar10/other, whose heads/mlp.safetensors has been replaced since"),
        (
            lambda folder: shutil.rmtree(folder / "cifar10" / "other"),
            "cifar10/other, which is not inst",
        ),
        (other_share, "the change of a network with another source bundle than the card's"),
    ],
)
def test_it_is_refused_without_the_second_bundle_or_with_another_share(damage, reason, between):
    damage(between)
    with pytest.raises(WeightsError, match=reason):
        mvit.load("cifar10", "between", device="cpu")


def test_training_goes_on_from_its_own_beginning(between):
    wide = mvit.load("cifar10", "between", device="cpu")
    of, start = grown_start(wide, between / "cifar10" / "between", WIDE)
    assert of["toward"] == weights.card_of("cifar10", "between")["delta"]["toward"]
    now = snapshot(wide)  # nothing has learned since; vectors are kept in half precision
    assert all(torch.allclose(v, now[k], atol=1e-3) for k, v in snapshot(start).items())


def test_a_second_bundle_of_another_shape_is_refused_by_name(between):
    at = between / "cifar10"
    wide = weights.read(at / "between", "cifar10", heads=HEADS[:1])
    of = weights.read_card(at / "between")["delta"]
    card = {k: v for k, v in weights.read_card(at / "between").items() if k != "delta"}
    weights.save(wide, at / "wide", card | {"exits": []})
    with pytest.raises(GrowthError, match=f"wide is not of the shape of {BACKBONE}"):
        weights.regrown(
            delta.origin(at / BACKBONE, HEADS, RANK, of["toward"] | {"backbone": "wide"}),
            WIDE,
            heads=HEADS,
        )
