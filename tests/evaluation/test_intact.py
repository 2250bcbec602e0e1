"""A bundle is intact if nothing that its card tells of is missing."""

import json

import pytest
from bundles import BACKBONE
from recorded import record
from safetensors.numpy import load_file, save_file

from mvit.bundles import weights
from mvit.evaluation.intact import verify
from mvit.evaluation.predictions import FILE, load_predictions


@pytest.fixture
def bundle(own_weights):
    """A bundle with recorded answers, as training leaves it."""
    folder = own_weights / "cifar10" / BACKBONE
    record(own_weights, pictures=400)
    rewrite(folder, lambda card: card | {"n": 400} | measured(folder, card))
    return folder


def rewrite(folder, change) -> None:
    card = json.loads((folder / "card.json").read_text())
    (folder / "card.json").write_text(json.dumps(change(card)))


def measured(folder, card: dict) -> dict:
    """The figures of the recorded answers, in the card's form."""
    quality = load_predictions(folder, belonging=False)["test"].quality
    exits = [row | {"accuracy": quality[row["layer"], row["head"]]} for row in card["exits"]]
    final = card["final"] | {"accuracy": quality[max(card["layers"]), "final"]}
    return {"exits": exits, "final": final}


def told() -> dict:
    [found] = verify()
    return found


def test_a_bundle_as_training_leaves_it_is_intact(bundle):
    assert told() == {"task": "cifar10", "backbone": BACKBONE, "ok": True, "reason": None}


def test_recorded_answers_that_are_gone_are_told(bundle):
    (bundle / FILE).unlink()
    assert not told()["ok"] and f"{BACKBONE}/{FILE} are missing" in told()["reason"]


def test_recorded_answers_without_a_split_are_told(bundle):
    tensors = load_file(bundle / FILE)
    save_file({n: t for n, t in tensors.items() if n.startswith("val")}, bundle / FILE, {})
    assert told()["reason"] == f"{BACKBONE}/{FILE} holds no answers to test and val"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda card: without(card, "final"), "does not tell the accuracy of the final exit"),
        (lambda card: without(card, "exits"), "does not tell the accuracy of mlp after layer 1"),
        (lambda card: card | {"exits": card["exits"][1:]}, "of mlp after layer 1"),
        (lambda card: card | {"final": {"macs": 1}}, "of the final exit"),
    ],
)
def test_a_card_without_figures_is_told(bundle, change, reason):
    rewrite(bundle, change)
    assert not told()["ok"] and reason in told()["reason"] and "card.json" in told()["reason"]


def test_a_listed_file_that_is_gone_is_told(bundle):
    listed = {"more.safetensors": {"sha256": "0" * 64, "bytes": 1}}
    rewrite(bundle, lambda card: card | {"files": card["files"] | listed})
    assert told()["reason"] == f"{BACKBONE}/more.safetensors is missing"


def without(card: dict, name: str) -> dict:
    return {key: value for key, value in card.items() if key != name}


def test_the_lab_s_own_bundles_lack_nothing(monkeypatch):
    monkeypatch.delenv("MVIT_WEIGHTS", raising=False)
    monkeypatch.setattr(
        weights,
        "verify",
        lambda *_: [
            {"task": task, "backbone": backbone, "ok": True, "reason": None}
            for task, backbone in weights.bundles()
        ],
    )
    assert {found["reason"] for found in verify()} <= {None}
