"""A rule by what all exits so far say together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass, field, replace
from typing import Any

import numpy as np

from mvit.evaluation.predictions import FIELDS, Predictions
from mvit.models.multi_exit import Exit
from mvit.policies.certainty import Confidence
from mvit.policies.policy import Policy, memory


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
    _: KW_ONLY
    combined: Exit | None = memory(None)
    total: np.ndarray | float = memory(0.0)
    title = "product of experts"
    meaning = (
        "leave when the probabilities of all exits so far, multiplied together, give one answer at "
        "least this probability"
    )
    key = "product"
    note = (
        "The records hold the probability of each exit's most likely answer only; this rule "
        "spreads the rest evenly over the other classes. A live run uses every probability."
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
        return self.rule, replace(predictions, **dict(zip(FIELDS, columns, strict=True)))

    def candidates(self, predictions: Predictions, n: int = 50) -> np.ndarray:
        """Those of the inner rule, for the products."""
        rule, products = self.on_records(predictions)
        return rule.candidates(products, n)
