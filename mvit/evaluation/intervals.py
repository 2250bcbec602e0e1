"""How far a count may be off: an interval from the recorded errors of similar counts, and how often
such intervals held.

Split conformal prediction (Lei et al., 2018, section 2.2; Vovk's), made local: of one half of the
recorded pictures, those whose count was most like this one say how far the truth lay above and
below, as a share of the count; the other half checks how often the truth lies inside.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from mvit.evaluation.counts import Counts

CARD = "intervals"  # their key in a card
SHARE = 0.9  # of the pictures whose truth should lie inside
OUTSIDE = 0.05  # of them below it, and as many above
SIMILAR = 99  # recorded counts that speak for one interval
LEAST = 19  # of them: with fewer, even the largest errors do not hold so large a share
FLOOR = 10.0  # people added to a count before a share of it is taken: small counts err by a few


@dataclass(frozen=True)
class Interval:
    """Between how many people are there, probably: whole numbers, never below zero."""

    low: int
    high: int

    def __str__(self) -> str:
        return f"{self.low} to {self.high}" if self.high > self.low else f"{self.low}"


@dataclass(frozen=True)
class Errors:
    """What one exit counted on N recorded pictures, never below zero, and who was there: (N,)
    each."""

    counted: np.ndarray
    there: np.ndarray

    @classmethod
    def of(cls, counts: Counts, exit_: tuple[int, str]) -> Errors:
        """One exit's errors. Raises ValueError for an exit that is not recorded."""
        counted = counts.counted[counts.exits.index(exit_)]
        return cls(np.maximum(counted, 0), counts.there)

    def pictures(self, index: np.ndarray) -> Errors:
        """Some of the pictures."""
        return Errors(self.counted[index], self.there[index])

    def interval(self, count: float) -> Interval | None:
        """Between how many people are there, where the exit counts `count`; None if too few
        pictures are recorded to say so."""
        if len(self.there) < LEAST:
            return None
        count = max(count, 0.0)
        near = similar(self.counted, count)
        shares = np.sort((self.there[near] - self.counted[near]) / (self.counted[near] + FLOOR))
        # of n + 1 equally likely places for a new error, leave a share of OUTSIDE at either end
        out = math.floor((len(near) + 1) * OUTSIDE) - 1
        low, high = (count + shares[i] * (count + FLOOR) for i in (out, len(near) - 1 - out))
        return Interval(max(0, round(low)), max(0, round(high)))

    def held(self, others: Errors) -> float:
        """The share of other pictures whose truth lies inside the interval; there must be one."""
        found = [
            interval.low <= truth <= interval.high
            for interval, truth in zip(
                map(self.interval, others.counted), others.there, strict=True
            )
        ]
        return float(np.mean(found))


def similar(counted: np.ndarray, count: float) -> np.ndarray:
    """Indices of the SIMILAR recorded counts that are most like this one. counted: (N,), never
    below zero, as count."""
    off = np.abs(np.log(counted + FLOOR) - np.log(count + FLOOR))
    return np.argsort(off, kind="stable")[:SIMILAR]


def halves(counts: Counts, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """(indices that calibrate, indices that check): each set of pictures cut in two by the seed."""
    rng, first, second = np.random.default_rng(seed), [], []
    owner = np.array([name.split("/")[0] for name in counts.names])
    for name in dict.fromkeys(owner.tolist()):
        order = rng.permutation(np.flatnonzero(owner == name))
        first.append(order[: (len(order) + 1) // 2])
        second.append(order[(len(order) + 1) // 2 :])
    return np.sort(np.concatenate(first)), np.sort(np.concatenate(second))


def summary(counts: Counts) -> dict:
    """What the card tells: {"share", "similar", "calibrated on", "checked on", "exits": [{layer,
    head, held}]}.

    held: how often the truth lay inside, each half checked with the errors of the other; no exits
    where the pictures are too few for two halves that can say so.
    """
    parts, rows = halves(counts), []
    for layer, head in counts.exits if min(map(len, parts)) >= LEAST else []:
        errors = [Errors.of(counts, (layer, head)).pictures(part) for part in parts]
        kept = [a.held(b) * len(b.there) for a, b in (errors, errors[::-1])]
        rows.append({"layer": layer, "head": head, "held": sum(kept) / len(counts.names)})
    return {
        "share": SHARE,
        "similar": SIMILAR,
        "calibrated on": len(parts[0]),
        "checked on": len(parts[1]),
        "exits": rows,
    }
