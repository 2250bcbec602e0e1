"""Recorded answers of another bundle are refused, not shown as this one's."""

import json

import numpy as np
import pytest
from bundles import BACKBONE
from recorded import made_up

from mvit.bundles import weights
from mvit.cli.main import main
from mvit.evaluation.counts import Counts, load_counts, save_counts
from mvit.evaluation.predictions import (
    Predictions,
    PredictionsError,
    load_predictions,
    save_predictions,
)

EXITS = [(1, "mlp"), (2, "final")]


def beside(folder, figures: dict) -> None:
    """A card that tells of the two exits with these figures."""
    card = {"task": {}, "architecture": "x", "files": {}, **figures}
    (folder / "card.json").write_text(json.dumps(card))


def told(key: str, early: float, final: float, n: int) -> dict:
    exits = [{"layer": 1, "head": "mlp", key: early, "practical": True}]
    return {"n": n, "exits": exits, "final": {key: final}}


@pytest.mark.parametrize(
    ("figures", "reason"),
    [
        (told("accuracy", 0.25, 0.5, 4), None),
        ({"exits": []}, None),  # an old card that does not say on how many
        (told("accuracy", 0.25, 0.5, 9), "of 4 test pictures, the card tells of 9"),
        (told("accuracy", 0.5, 0.5, 4), "mlp after layer 1 has 0.25 in them, and 0.5 in the card"),
        (told("accuracy", 0.25, 0.75, 4), "final after layer 2 has 0.5 in them"),
    ],
)
def test_predictions_are_those_that_the_card_tells_of(tmp_path, figures, reason):
    top1, share = np.array([[0, 1, 1, 1], [0, 0, 1, 1]]), np.ones((2, 4), np.float32)
    truth = np.zeros(4, np.int64)
    found = Predictions(EXITS, top1, share, entropy=share, margin=share, truth=truth)
    save_predictions(tmp_path, {"val": found, "test": found})
    beside(tmp_path, figures)
    if reason is None:
        assert load_predictions(tmp_path)["test"].quality == {EXITS[0]: 0.25, EXITS[1]: 0.5}
    else:
        with pytest.raises(PredictionsError, match=reason):
            load_predictions(tmp_path)


def test_counts_are_those_that_the_card_tells_of(tmp_path):
    truth = np.full((3, 6), 10.0)
    counts = Counts(EXITS, np.stack([truth + 1, truth]), truth, names=["a/1", "a/2", "a/3"])
    save_counts(tmp_path, {"val": counts, "test": counts})
    beside(tmp_path, told("mae", 6.004, 0.01, 3))  # but for rounding
    assert load_counts(tmp_path)["test"].quality == {EXITS[0]: 6, EXITS[1]: 0}
    beside(tmp_path, told("mae", 7, 0, 3))
    with pytest.raises(
        PredictionsError, match="mlp after layer 1 has 6 in them, and 7 in the card"
    ):
        load_counts(tmp_path)


@pytest.mark.parametrize("bundle", weights.bundles(), ids="/".join)
def test_the_answers_that_come_with_the_lab_belong_to_their_cards(bundle):
    folder = weights.folder(*bundle)
    counts = "mae" in weights.read_card(folder)["final"]
    found = (load_counts if counts else load_predictions)(folder)
    assert len(found["test"].truth) == weights.read_card(folder)["n"]


def test_verify_tells_of_answers_that_were_copied_from_elsewhere(own_weights, capsys):
    folder = own_weights / "cifar10" / BACKBONE
    assert main(["verify"]) == 0
    card = weights.read_card(folder)
    weights.write_card(folder, card | {"n": 30})
    splits = {"val": made_up(card, 12, 1), "test": made_up(card, 30, 2)}
    save_predictions(folder, splits)
    capsys.readouterr()
    assert main(["verify"]) == 2
    assert "predictions.safetensors are missing or damaged (they are of another network" in (
        capsys.readouterr().err
    )
