"""Temperature scaling: one number an exit that makes its confidence mean how often it is right (Guo
et al., 2017).

An exit's probabilities are taken to the power of 1 / temperature and normalised again, which is the
same as dividing its logits by the temperature: above 1 it becomes less sure, below 1 surer, and it
answers the same. Records hold the two highest probabilities and the entropy: what the other classes
come to together is known, and how it scales is worked out of their entropy.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from scipy.special import xlogy

from mvit.evaluation import predictions
from mvit.evaluation.predictions import FIELDS, Predictions, calibration_error
from mvit.models.multi_exit import FINAL, MultiExitViT

GRID = np.geomspace(0.25, 4.0, 81)  # temperatures tried, 3.5 % apart
LEAST = 1e-7  # probability


def of_scores(scores: Sequence[float], temperature: float) -> list[float]:
    """The probabilities (classes,) of one exit, scaled."""
    log_p = np.log(np.maximum(np.asarray(scores, np.float64), 1e-30)) / temperature
    p = np.exp(log_p - log_p.max())
    return (p / p.sum()).tolist()


def of_records(seen: Predictions, temperatures: Mapping[tuple[int, str], float]) -> Predictions:
    """Recorded answers as they would be with these temperatures; exits without one stay as they
    are."""
    chosen = np.array([temperatures.get(e, 1.0) for e in seen.exits])[:, None]
    first, second, rest, spread = _scaled(_shares(seen), chosen)
    entropy = rest * spread - sum(xlogy(p, p) for p in (first, second, rest))
    # what is not scaled stays as it was recorded, bit for bit
    columns = {
        field: np.where(chosen == 1, getattr(seen, field), new)
        for field, new in zip(FIELDS[1:], (first, entropy, first - second), strict=True)
    }
    return replace(seen, **columns)


def _shares(seen: Predictions) -> tuple[np.ndarray, ...]:
    """The highest and the second probability, that of all other classes together, their entropy,
    and what that lacks to the greatest possible one: (E, N) each."""
    first = np.maximum(seen.confidence.astype(np.float64), LEAST)
    second = np.clip(first - seen.margin, LEAST, first)
    rest = np.maximum(1 - first - second, LEAST)
    classes = 1 + max(seen.top1.max(initial=0), seen.truth.max(initial=0))
    most = np.log(max(classes - 2, 1))
    own = seen.entropy + sum(xlogy(p, p) for p in (first, second, rest))
    spread = np.clip(own / rest, 0, most)
    return first, second, rest, spread, most - spread


def _scaled(shares: tuple[np.ndarray, ...], temperature: np.ndarray) -> tuple[np.ndarray, ...]:
    """The first four, scaled.

    The logarithm of the sum of q**power, over the shares q of the other classes, is 0 at power 1
    and has there the slope -entropy; its curvature, the variance of log q, is taken as what the
    entropy lacks: none if all are equal, more the less they are.
    """
    first, second, rest, spread, lacking = shares
    power = 1 / temperature
    others = (1 - power) * spread + (1 - power) ** 2 * lacking / 2
    new = [first**power, second**power, rest**power * np.exp(others)]
    total = sum(new)
    spread = np.clip(spread + (1 - power**2) * lacking / 2, 0, spread + lacking)
    return *(p / total for p in new), spread


def fitted(val: Predictions) -> dict[tuple[int, str], float]:
    """The temperature of every exit with which its confidence predicts best, by log loss, whether
    its answer is right, on validation pictures."""
    shares, right, losses = _shares(val), val.correct, []
    for temperature in GRID:
        sure = np.clip(_scaled(shares, temperature)[0], 1e-4, 1 - 1e-4)
        losses.append(-np.log(np.where(right, sure, 1 - sure)).mean(axis=1))
    best = GRID[np.argmin(losses, axis=0)].round(3).tolist()
    return dict(zip(val.exits, best, strict=True))


def with_temperatures(
    figures: dict, temperatures: Mapping[tuple[int, str], float], test: Predictions
) -> dict:
    """A card's figures (`predictions.summary`), with temperature, ece and ece_scaled (expected
    calibration error on the test pictures, before and after) of every exit."""
    after = of_records(test, temperatures)
    known = {
        exit: {
            "temperature": temperatures[exit],
            "ece": calibration_error(before, right),
            "ece_scaled": calibration_error(scaled, right),
        }
        for exit, before, scaled, right in zip(
            test.exits, test.confidence, after.confidence, test.correct, strict=True
        )
        if exit in temperatures
    }
    rows = [e | known.get((e["layer"], e["head"]), {}) for e in figures["exits"]]
    return figures | {"final": figures["final"] | known.get(test.exits[-1], {}), "exits": rows}


def summary(model: MultiExitViT, found: Mapping[str, Predictions]) -> dict:
    """A card's figures with the temperatures that the validation pictures give. found: the recorded
    answers, {"val", "test"}."""
    figures = predictions.summary(model, found["test"])
    return with_temperatures(figures, fitted(found["val"]), found["test"])


def of_card(card: dict) -> dict[tuple[int, str], float]:
    """The temperatures that a card holds, of as many exits as it has them for; what is no finite
    positive number is passed over."""
    last = {"layer": max(card.get("layers", [0]), default=0), "head": FINAL} | card.get("final", {})
    rows = [*card.get("exits", []), last]
    found = {(e["layer"], e["head"]): e.get("temperature") for e in rows}
    return {exit: value for exit, value in found.items() if _usable(value)}


def _usable(value: object) -> bool:
    """Whether probabilities can be scaled by it."""
    return type(value) in (int, float) and 0 < value < float("inf")
