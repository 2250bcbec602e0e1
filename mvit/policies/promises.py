"""Rules whose thresholds stand for a promise that validation pictures back: a target accuracy, or a
limit on what is lost."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from scipy.stats import binom

from mvit.evaluation.predictions import Predictions
from mvit.models.multi_exit import Exit
from mvit.policies.policy import Policy

BINS = 10  # of equally many validation pictures each
CERTAINTY = 0.9


@dataclass
class PerformanceControl(Policy):
    """Leave when answers as sure as this one were right at least `threshold` often on validation
    pictures: one target accuracy for all exits, whatever their confidence means (PCEE, Mofakhami et
    al., 2024).

    reliability: (layer, head) -> [(least confidence, share that was right)], upwards, as `learned`
    makes it. An exit that is not in it is believed: its confidence is taken for that share.
    """

    threshold: float = 0.95
    reliability: dict[tuple[int, str], list[tuple[float, float]]] = field(default_factory=dict)
    title = "performance control"
    meaning = (
        "leave when answers of this exit that were as sure as this one were right at least this "
        "often on validation pictures (PCEE)"
    )
    key = "target"

    def learned(self, val: Predictions) -> PerformanceControl:
        """With the reliability of every exit, from bands of confidence that hold equally many
        pictures each."""
        found = {}
        for exit, sure, right in zip(val.exits, val.confidence, val.correct, strict=True):
            edges = np.quantile(sure.astype(float), np.linspace(0, 1, BINS + 1))[:-1]
            low = np.unique(np.floor(edges * 10_000) / 10_000)  # as they are kept and looked up
            band = np.searchsorted(low, sure, side="right") - 1
            held, band = np.unique(band, return_inverse=True)
            low = low[held]  # none is empty
            share = np.bincount(band, right) / np.bincount(band)
            found[exit] = list(zip(low.tolist(), share.round(4).tolist(), strict=True))
        return type(self)(self.threshold, found)

    def expected(self, exit: Exit) -> np.ndarray:
        """How often answers of this exit that are as sure as this one are right."""
        if (exit.layer, exit.head) not in self.reliability:
            return np.asarray(exit.confidence)
        low, share = np.array(self.reliability[exit.layer, exit.head]).T
        return share[np.maximum(np.searchsorted(low, exit.confidence, side="right") - 1, 0)]

    def stop(self, exit: Exit) -> bool:
        return self.expected(exit) >= self.threshold

    def candidates(self, predictions: Predictions, n: int = 50) -> np.ndarray:
        """The shares that the bands of the early exits have, and one that is never reached."""
        if not self.reliability:
            return super().candidates(predictions, n)
        early = [self.reliability[e] for e in predictions.exits[:-1]]
        shares = np.unique([share for bands in early for _, share in bands])
        kept = np.linspace(0, len(shares) - 1, min(len(shares), n - 1)).astype(int)
        return np.append(shares[kept], math.inf)


@dataclass
class Guaranteed(Policy):
    """Leave when the predicted class has probability >= threshold, a threshold that comes with a
    guarantee (risk control, Jazbec et al., 2024, by Learn then Test, Angelopoulos et al., 2021).

    A picture is spoilt if the final exit is right about it and the answer given is wrong; accuracy
    falls by no more than the share of pictures spoilt. Fixed thresholds are tried from the safest
    on. Of each, the hypothesis "more than the allowed share is spoilt" is rejected if as few
    spoilt validation pictures as were seen, or fewer, had a chance of at most 10 % under it (the
    binomial test, so exactly Clopper and Pearson's bound). At the first that is not rejected the
    search ends: so the chosen one is safe with 90 % certainty, however many were tried.
    """

    threshold: float = 0.9
    title = "guaranteed"
    meaning = (
        "leave when the most likely answer has at least this probability, chosen so that no more "
        "than the allowed points are lost on new pictures of the same kind, with 90 % certainty "
        "(risk control)"
    )
    key = "guarantee"
    holdout = True
    note = (
        "Half of the validation pictures choose the exits, the other half the threshold: the "
        "guarantee holds only for pictures that have chosen nothing else. (Where exits learned one "
        "by one, some of these had also chosen how long each exit learned.)"
    )

    def stop(self, exit: Exit) -> bool:
        return exit.confidence >= self.threshold

    def candidates(self, predictions: Predictions, n: int = 50) -> np.ndarray:
        """Fixed ones that the slider can stand at, whatever the pictures are, denser towards 1, and
        one that is never reached."""
        fixed = np.unique(np.round(1 - np.geomspace(1, self.step, n - 1), 3))
        return np.append(fixed, math.inf)

    def keeps(self, given: np.ndarray, final: np.ndarray, max_drop: float) -> np.ndarray:
        spoilt = (~given & final).sum(axis=1)
        safe = binom.cdf(spoilt, len(final), max_drop) <= 1 - CERTAINTY
        return np.logical_and.accumulate(safe[::-1])[::-1]
