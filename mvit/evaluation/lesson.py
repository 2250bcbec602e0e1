"""What the lesson asks about, worked out from runs, recorded predictions and cards; nothing here is
run and nothing is drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from mvit.evaluation.predictions import Predictions
from mvit.models.exit import settled as settled  # what the lesson asks most

# confidences to ask about, the first that enough pictures reach
BARS = (0.9, 0.8, 0.7, 0.6, 0.5, 0.0)
ENOUGH = 20  # pictures, for a share of them to mean something


def gridded(picture: np.ndarray, cells: int) -> np.ndarray:
    """The picture cut into cells x cells patches by thin light lines with a dark edge: RGB uint8
    (H, W, 3), a new array.

    Raises ValueError unless there is at least one cell and room for it.
    """
    height, width = picture.shape[:2]
    if not 1 <= cells <= min(height, width):
        raise ValueError(
            f"{cells} x {cells} cells do not fit into a picture of {width} x {height} pixels"
        )
    out = np.ascontiguousarray(picture).copy()
    cuts = [(round(k * width / cells), round(k * height / cells)) for k in range(1, cells)]
    for shift, ink in ((1, (0, 0, 0)), (0, (255, 255, 255))):
        for x, y in cuts:
            cv2.line(out, (x + shift, 0), (x + shift, height - 1), ink, 1)
            cv2.line(out, (0, y + shift), (width - 1, y + shift), ink, 1)
    return out


@dataclass(frozen=True)
class Trust:
    """Of the pictures about which an exit is at least `bar` sure: how many there are, and which
    share of them it gets right."""

    bar: float
    pictures: int
    right: float


def trust(predictions: Predictions, at: int) -> Trust:
    """How far to trust exit number `at` when it is sure: the highest bar of BARS that at least
    ENOUGH pictures reach."""
    sure, correct = predictions.confidence[at], predictions.correct[at]
    bar = next(b for b in BARS if b == 0 or int((sure >= b).sum()) >= ENOUGH)
    kept = sure >= bar
    return Trust(bar, int(kept.sum()), float(correct[kept].mean()) if kept.any() else 0.0)


@dataclass(frozen=True)
class Rescue:
    """Of the pictures that the final exit gets wrong: how many there are, and which share an
    earlier exit had right."""

    wrong: int
    share: float


def rescue(predictions: Predictions) -> Rescue:
    """Overthinking (Kaya et al., 2019) as a share of the final exit's mistakes; 0 if it makes
    none."""
    wrong = ~predictions.correct[-1]
    had = predictions.correct[:-1].any(axis=0) & wrong
    return Rescue(int(wrong.sum()), float(had.sum() / wrong.sum()) if wrong.any() else 0.0)


def widest_layer(accuracies: Mapping[tuple[int, str], float], heads: Sequence[str]) -> int | None:
    """The layer at which the heads' accuracies lie furthest apart, the earliest at a tie; None if
    no layer has two of them."""
    layers = sorted({layer for layer, head in accuracies if head in heads})
    spread = {}
    for layer in layers:
        here = [accuracies[layer, h] for h in heads if (layer, h) in accuracies]
        if len(here) > 1:
            spread[layer] = max(here) - min(here)
    return max(spread, key=spread.__getitem__) if spread else None


def practical_count(exits: Sequence[Mapping], head: str) -> tuple[int, int]:
    """How many of a head's exits are practical, and how many it has. exits: a card's, each with
    head and practical."""
    own = [e for e in exits if e["head"] == head]
    return sum(bool(e.get("practical")) for e in own), len(own)


def pickiest(exits: Sequence[Mapping], heads: Sequence[str]) -> str | None:
    """The head with the smallest share of practical exits: the one worth asking about; None if the
    card has no exits of these heads."""
    counts = {h: practical_count(exits, h) for h in heads}
    known = {h: good / of for h, (good, of) in counts.items() if of}
    return min(known, key=known.__getitem__) if known else None
