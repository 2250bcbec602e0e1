"""Rules by what exits in a row say: the same class, or nearly the same count."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass

import numpy as np

from mvit.evaluation.predictions import Predictions
from mvit.models.multi_exit import Exit
from mvit.policies.policy import Policy, memory


@dataclass
class Patience(Policy):
    """Leave when `threshold` exits in a row have predicted the same class (PABEE, Zhou et al.,
    2020); 1 leaves at the first exit."""

    threshold: float = 3
    streak: np.ndarray | int = memory(0)
    last: np.ndarray | int | None = memory(None)
    title = "patience"
    meaning = "leave when this many exits in a row give the same answer (PABEE's rule)"
    key = "patience"
    step, format = 1, "%d"

    @property
    def fewest(self) -> int:
        return 2

    def reset(self) -> None:
        self.streak, self.last = 0, None

    def stop(self, exit: Exit) -> bool:
        same = False if self.last is None else self.last == exit.prediction
        self.streak, self.last = self.streak * same + 1, exit.prediction
        return self.streak >= self.threshold

    def limits(self, exits: int, classes: int) -> tuple[float, float]:
        return 2, max(exits, 3)  # a slider needs two places

    def candidates(self, predictions: Predictions, n: int = 50) -> np.ndarray:
        """From two exits in a row, the fewest that can agree, to all of them."""
        return np.arange(2.0, max(2, len(predictions.exits)) + 1)


@dataclass
class PatienceAndConfidence(Policy):
    """Leave when `patience` exits in a row predict the same class, each with probability >=
    threshold."""

    threshold: float = 0.8
    patience: int = 2
    streak: np.ndarray | int = memory(0)
    _: KW_ONLY
    last: np.ndarray | int | None = memory(None)
    title = "patience and confidence"
    meaning = (
        "leave when two exits in a row give the same answer, each with at least this probability"
    )
    key = "both"

    @property
    def fewest(self) -> int:
        return self.patience

    def reset(self) -> None:
        self.streak, self.last = 0, None

    def stop(self, exit: Exit) -> bool:
        same = False if self.last is None else self.last == exit.prediction
        self.streak, self.last = (
            (self.streak * same + 1) * (exit.confidence >= self.threshold),
            exit.prediction,
        )
        return self.streak >= self.patience


@dataclass
class Stability(Policy):
    """For counts: leave when `patience` exits in a row each differ by <= threshold (a share, 0.05
    is 5 %) from the one before, or by fewer than `people`.

    An exit's `count` is read; the share is of the greater of the two, and of at least one person.
    """

    threshold: float = 0.05
    patience: int = 1
    people: float = 0.0
    _: KW_ONLY
    streak: np.ndarray | int = memory(0)
    last: np.ndarray | float | None = memory(None)
    title = "stability"
    meaning = "leave when the count differs by at most this share from the exit before"
    key = "tau"
    sign = -1
    counts = True

    @property
    def fewest(self) -> int:
        return self.patience + 1

    def reset(self) -> None:
        self.streak, self.last = 0, None

    def stop(self, exit) -> bool:
        if self.last is not None:
            moved = abs(exit.count - self.last)
            share = moved / np.maximum(np.maximum(abs(exit.count), abs(self.last)), 1.0)
            steady = (share <= self.threshold) | (moved < self.people)
            self.streak = (self.streak + 1) * steady
        self.last = exit.count
        return self.streak >= self.patience

    def candidates(self, predictions, n: int = 50) -> np.ndarray:
        """Shares from all to a thousandth, evenly by ratio, and one that is never reached."""
        return np.append(np.geomspace(1.0, 1e-3, n - 1), -1.0)
