"""The rule for a clock that is known beforehand."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from mvit.evaluation.predictions import Predictions
from mvit.models.exit import FINAL, Exit
from mvit.policies.policy import Policy


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
    meaning = "leave when the next exit would come too late for a clock of this many milliseconds"
    key = "ms"
    step, format, unit = 0.1, "%.1f", "ms"

    @classmethod
    def along(
        cls, plan: Sequence[tuple[int, str]], finish: Sequence[float], classes: int
    ) -> Policy:
        times = [round(float(ms), 3) for ms in finish]
        return cls(expected=dict(zip(map(tuple, plan), times, strict=True)))

    @property
    def note(self) -> str:
        ready = ", ".join(f"{ms:.1f}" for ms in self.expected.values())
        return (
            f"These exits are ready after {ready} ms; between two of these times the threshold "
            "changes nothing."
        )

    @property
    def overrun(self) -> str:
        (layer, head), first = next(iter(self.expected.items()))
        if first - self.threshold < self.step / 2:  # less is not seen on the slider
            return ""
        name = "the final exit" if head == FINAL else f"the one after layer {layer}"
        return (
            f"No exit is ready after {self.told(self.threshold)}. The first, {name}, answers after "
            f"{first:.1f} ms, which is {first - self.threshold:.1f} ms too late."
        )

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
