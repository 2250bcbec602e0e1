"""The stop rules, one class each: by the answers' probabilities, by agreement, by how a count
changes, and by the clock. A new one is one more class, see `policy`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from mvit.evaluation.predictions import Predictions
from mvit.models.multi_exit import Exit
from mvit.policies.policy import POLICIES, Policy, make, memory

__all__ = [
    "POLICIES",
    "Confidence",
    "Deadline",
    "Entropy",
    "Margin",
    "Patience",
    "PatienceAndConfidence",
    "Policy",
    "ProductOfExperts",
    "Stability",
    "make",
]


@dataclass
class Confidence(Policy):
    """Leave when the predicted class has probability >= threshold (paper, section II; BranchyNet's
    rule with confidence)."""

    threshold: float = 0.9
    title = "confidence"
    meaning = "leave when the most likely answer has at least this probability (the paper's rule)"
    key = "threshold"

    def stop(self, exit: Exit) -> bool:
        return exit.confidence >= self.threshold


@dataclass
class Entropy(Policy):
    """Leave when the entropy of the probabilities, in nats, is <= threshold (BranchyNet,
    Teerapittayanon et al., 2016)."""

    threshold: float = 0.3
    title = "entropy"
    meaning = "leave when the uncertainty over all classes, in nats, is at most this (BranchyNet)"
    key = measure = "entropy"
    sign = -1

    def stop(self, exit: Exit) -> bool:
        return exit.entropy <= self.threshold

    def limits(self, exits: int, classes: int) -> tuple[float, float]:
        return 0.0, round(math.log(classes), 2)


@dataclass
class Margin(Policy):
    """Leave when the two highest probabilities are >= threshold apart."""

    threshold: float = 0.8
    title = "margin"
    meaning = "leave when the two most likely answers are at least this far apart"
    key = measure = "margin"

    def stop(self, exit: Exit) -> bool:
        return exit.margin >= self.threshold


@dataclass
class Patience(Policy):
    """Leave when `threshold` exits in a row have predicted the same class (PABEE, Zhou et al.,
    2020); 1 leaves at the first exit."""

    threshold: float = 3
    streak: np.ndarray | int = memory(0)
    last: np.ndarray | int | None = memory(None)
    title = "patience"
    meaning = "leave when this many exits in a row say the same (PABEE)"
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
        return 2, exits

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
    last: np.ndarray | int | None = memory(None)
    title = "patience and confidence"
    meaning = "leave when two exits in a row say the same, each with at least this probability"
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
    is 5 %) from the one before.

    An exit's `count` is read; the share is of the greater of the two, and of at least one person.
    """

    threshold: float = 0.05
    patience: int = 1
    streak: np.ndarray | int = memory(0)
    last: np.ndarray | float | None = memory(None)
    title = "stability"
    meaning = "leave when the count has changed by at most this share"
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
            change = abs(exit.count - self.last) / np.maximum(
                np.maximum(abs(exit.count), abs(self.last)), 1.0
            )
            self.streak = (self.streak + 1) * (change <= self.threshold)
        self.last = exit.count
        return self.streak >= self.patience

    def candidates(self, predictions, n: int = 50) -> np.ndarray:
        """Shares from all to a thousandth, evenly by ratio, and one that is never reached."""
        return np.append(np.geomspace(1.0, 1e-3, n - 1), -1.0)


@dataclass
class Deadline(Policy):
    """Leave when the next exit of the plan would finish after `threshold`: for a clock that is
    known beforehand.

    expected: (layer, head) -> when that exit finishes, in the unit of the threshold (ms or MACs),
    in running order. Live, the time that an exit really took (`elapsed_ms`) replaces the expected
    one. To be interrupted by a clock that is not known, see mvit.inference.deadline.
    """

    threshold: float = 20.0
    expected: dict[tuple[int, str], float] = field(default_factory=dict)
    title = "deadline"
    meaning = "leave when the next exit would answer after this many milliseconds (a known clock)"
    key = "ms"
    step, format = 0.1, "%.1f"

    @classmethod
    def along(
        cls, plan: Sequence[tuple[int, str]], finish: Sequence[float], classes: int
    ) -> Policy:
        times = [round(float(ms), 3) for ms in finish]
        return cls(expected=dict(zip(map(tuple, plan), times, strict=True)))

    def stop(self, exit: Exit) -> bool:
        order = list(self.expected)
        here = order.index((exit.layer, exit.head))
        if here + 1 == len(order):
            return True
        now = getattr(exit, "elapsed_ms", None)
        now = self.expected[order[here]] if now is None else now
        then = now + self.expected[order[here + 1]] - self.expected[order[here]]
        return then > self.threshold + 1e-9  # sums of floats are not exact

    def limits(self, exits: int, classes: int) -> tuple[float, float]:
        # one step more than the last exit needs: then nothing stops early
        return 0.0, round(math.ceil(max(self.expected.values()) / self.step + 1) * self.step, 1)

    def candidates(self, predictions: Predictions, n: int = 50) -> np.ndarray:
        """The moments at which one more exit fits in."""
        return np.sort([self.expected[e] for e in predictions.exits])


@dataclass
class ProductOfExperts(Policy):
    """Any rule, applied to the product of all exits so far instead of the newest alone (Jazbec et
    al., 2023, anytime monotonicity).

    Log probabilities are summed with weight layer / depth, so later exits count for more, and
    normalised again. `combined` is the Exit that the rule saw, and the answer to give. Records hold
    the probability of the first answer only: in replay the rest is spread evenly over the other
    classes.
    """

    rule: Policy = field(default_factory=Confidence)
    depth: int = 12
    classes: int = 10
    combined: Exit | None = memory(None)
    total: np.ndarray | float = memory(0.0)
    title = "product of experts"
    meaning = (
        "leave when the product of all exits so far gives its answer at least this probability"
    )
    key = "product"
    note = (
        "Recorded is the probability of the first answer only; for this rule the rest is spread "
        "evenly over the other classes. A live run uses every probability."
    )

    @classmethod
    def along(
        cls, plan: Sequence[tuple[int, str]], finish: Sequence[float], classes: int
    ) -> Policy:
        return cls(depth=plan[-1][0], classes=classes)

    @property
    def threshold(self) -> Any:
        return self.rule.threshold

    def at(self, threshold: Any) -> Policy:
        return replace(self, rule=self.rule.at(threshold))

    def reset(self) -> None:
        self.rule.reset()
        self.combined, self.total = None, 0.0

    def stop(self, exit: Exit) -> bool:
        log_p = np.log(np.maximum(np.asarray(exit.scores, np.float64), 1e-12))
        self.total = self.total + exit.layer / self.depth * log_p
        p = np.exp(self.total - self.total.max())
        self.combined = replace(exit, scores=(p / p.sum()).tolist())
        return self.rule.stop(self.combined)

    def answer(self, exit: Exit) -> Exit:
        return self.combined

    def on_records(self, predictions: Predictions) -> tuple[Policy, Predictions]:
        """The inner rule, and the products of the first e exits in place of exit e."""
        total = np.zeros((self.classes, len(predictions.truth)))  # (C, N)
        every = np.arange(total.shape[1])
        found = []
        for (layer, _), top1, sure in zip(
            predictions.exits, predictions.top1, predictions.confidence, strict=True
        ):
            rest = np.log(np.maximum((1 - sure) / (self.classes - 1), 1e-12))
            total += layer / self.depth * rest
            total[top1, every] += layer / self.depth * (np.log(np.maximum(sure, 1e-12)) - rest)
            p = np.exp(total - total.max(axis=0))
            p /= p.sum(axis=0)
            second, first = np.partition(p, -2, axis=0)[-2:]
            entropy = -(p * np.log(np.maximum(p, 1e-300))).sum(axis=0)
            found.append((p.argmax(axis=0), first, entropy, first - second))
        columns = (np.stack(column) for column in zip(*found, strict=True))
        return self.rule, Predictions(predictions.exits, *columns, predictions.truth)

    def candidates(self, predictions: Predictions, n: int = 50) -> np.ndarray:
        """Those of the inner rule, for the products."""
        rule, products = self.on_records(predictions)
        return rule.candidates(products, n)
