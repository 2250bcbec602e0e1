"""For the tests of the replay pages: made-up recorded predictions (later exits are better)."""

import json
from pathlib import Path

import numpy as np

from mvit.evaluation.predictions import Predictions, save_predictions


def made_up(card: dict, n: int, seed: int) -> Predictions:
    """N pictures seen by every exit of a card, each about as accurate as the card says."""
    chance = np.random.default_rng(seed)
    exits = [(e["layer"], e["head"]) for e in card["exits"]] + [(max(card["layers"]), "final")]
    skill = np.array([e["accuracy"] for e in card["exits"]] + [card["final"]["accuracy"]])[:, None]
    classes = len(card["task"]["labels"])
    truth = chance.integers(0, classes, n)
    # (E, N), an exit is right on what is easy enough for it
    ease = chance.random(n) * 0.7 + chance.random((len(exits), n)) * 0.3
    top1 = np.where(ease < skill, truth, (truth + 1) % classes)
    confidence = np.clip(0.2 + 0.8 * skill - 0.5 * ease + 0.15, 0.11, 0.99).astype(np.float32)
    return Predictions(
        exits,
        top1,
        confidence,
        entropy=(1 - confidence) * 2,
        margin=np.clip(2 * confidence - 1, 0, 1),
        truth=truth,
    )


def record(
    weights: Path, backbone: str = "vit_tiny_patch16_224", pictures: int = 400
) -> dict[str, Predictions]:
    """Write predictions of so many test pictures beside the small bundle's card."""
    folder = weights / "cifar10" / backbone
    card = json.loads((folder / "card.json").read_text())
    splits = {"val": made_up(card, 120, 1), "test": made_up(card, pictures, 2)}
    save_predictions(folder, splits)
    return splits
