"""A trained classifier measured again, on pictures that it has not learned from."""

from __future__ import annotations

from pathlib import Path

from accelerate import Accelerator

from mvit.data.splits import CHOSEN_ON, CUT, describe, measured_part, sample, unseen_part
from mvit.evaluation.predictions import predict, summary
from mvit.evaluation.temperature import of_card, with_temperatures
from mvit.models.multi_exit import MultiExitViT


def evaluate(
    model: MultiExitViT,
    data: Path,
    card: dict | None = None,
    *,
    limit: int | None = None,
    seed: int = 0,
) -> dict:
    """Measure every exit on the test part of a data folder: {"task", "n", "split", "left_out",
    "final": {...}, "exits": [...]}.

    card: of the model's bundle; it remembers which pictures of a folder training kept for testing.
    limit: a sample of that many, by the seed. Raises DataError.
    """
    origin = test_part_of(card or {})
    part = unseen_part if origin.get(CUT) else measured_part
    pictures = part(model.task, data, origin)
    accelerator = Accelerator(cpu=model.device.type == "cpu")
    found = predict(model, sample(pictures, limit, seed), accelerator)
    measured = with_temperatures(summary(model, found), of_card(card or {}), found)
    about = {"split": describe(model.task, pictures), "left_out": list(pictures.unreadable)}
    return {"task": model.task.name, "n": measured["n"], **about, **measured}


def test_part_of(card: dict) -> dict:
    """What a card remembers of its test part. Bundles taught from photos have always chosen on one
    in three of it, but older cards of them do not say so."""
    taught = "photos without labels" in (card.get("data") or ())
    return ({CUT: CHOSEN_ON} if taught else {}) | card.get("test_part", {})
