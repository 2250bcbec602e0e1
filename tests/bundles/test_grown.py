"""A bundle of ViT-Ti/16 is offered as ViT-B/16 too, grown: the same answers at their own cost, and
refused where the small one is."""

import shutil

import numpy as np
import pytest
from bundles import BACKBONE, save_bundle
from thin import picture, thin_base

import mvit
from mvit.bundles import weights
from mvit.bundles.weights import WeightsError
from mvit.models.multi_exit import FINAL
from mvit.tasks import CrowdTask

BASE = "vit_base_patch16_224"


@pytest.fixture
def base_is_thin(monkeypatch):
    """A test in tests/models/test_growth.py takes the real size."""
    thin_base(monkeypatch)


def test_a_bundle_of_vit_tiny_gives_vit_base_too(tiny_weights, base_is_thin):
    assert weights.bundles() == [("cifar10", BACKBONE)] and weights.offers() == [
        ("cifar10", BACKBONE),
        ("cifar10", BASE),
    ]
    small, large = mvit.load("cifar10", device="cpu"), mvit.load("cifar10", BASE, device="cpu")
    assert (
        large.grown_from == BACKBONE
        and small.grown_from is None
        and not any(p.requires_grad for p in large.parameters())
    )
    a, b = small.trace(picture()), large.trace(picture())
    assert (
        np.allclose(a.confidence, b.confidence, atol=1e-4)
        and (a.practical == b.practical).all()
        and (b.macs > 3 * a.macs).all()
    )
    assert list(mvit.load("cifar10", BASE, device="cpu", heads=["mlp"]).heads) == ["mlp"]


def test_its_card_tells_the_same_accuracies_and_its_own_macs(tiny_weights, base_is_thin):
    card, own = weights.card_of("cifar10", BACKBONE), weights.card_of("cifar10", BASE)
    assert "grown_from" not in card and (own["grown_from"], own["architecture"]) == (BACKBONE, BASE)
    assert own["final"]["accuracy"] == card["final"]["accuracy"] and own["files"] == card["files"]
    assert [e["accuracy"] for e in own["exits"]] == [e["accuracy"] for e in card["exits"]]
    model = mvit.load("cifar10", BASE, device="cpu", heads=["mlp"])
    told = {(e["layer"], e["head"]): e["macs"] for e in own["exits"]}
    assert all(told[e] == model.exit_macs(*e) for e in model.exits()) and own["final"][
        "macs"
    ] == model.exit_macs(12, FINAL)
    assert weights.folder("cifar10", BASE) == weights.folder("cifar10", BACKBONE)


def test_a_bundle_of_its_own_comes_first(own_weights):
    shutil.copytree(own_weights / "cifar10" / BACKBONE, own_weights / "cifar10" / BASE)
    assert weights.offers() == weights.bundles() and weights.source("cifar10", BASE) is None
    assert mvit.load("cifar10", BASE, device="cpu", heads=[]).grown_from is None


def test_damaged_weights_are_refused_by_name_for_the_grown_one_too(own_weights):
    (own_weights / "cifar10" / BACKBONE / "heads" / "mlp.safetensors").write_bytes(b"")
    with pytest.raises(WeightsError, match="mlp.safetensors refused"):
        mvit.load("cifar10", BASE, device="cpu")
    (own_weights / "cifar10" / BACKBONE / "card.json").write_text("{")
    assert weights.offers() == weights.bundles()
    with pytest.raises(WeightsError, match=f"no weights for cifar10/{BASE}"):
        mvit.load("cifar10", BASE, device="cpu")


@pytest.mark.parametrize(("regressor", "offered"), [("token", True), ("gap", False)])
def test_a_counter_is_offered_grown_if_its_regressor_can(regressor, offered, own_weights):
    save_bundle(own_weights, CrowdTask("people", input_px=64, native_px=64, regressor=regressor))
    card = weights.read_card(own_weights / "people" / BACKBONE)
    card["splits"] = {"part_A": {"exits": card["exits"], "final": card["final"]}}
    weights.write_card(own_weights / "people" / BACKBONE, card)
    assert (("people", BASE) in weights.offers()) == offered
    if offered:
        own = weights.card_of("people", BASE)
        assert (
            own["splits"]["part_A"]["final"] == own["final"]
            and own["final"]["macs"] > 5 * card["final"]["macs"]
        )
        assert own["final"]["mae"] == card["final"]["mae"]
