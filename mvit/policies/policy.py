"""What a stop rule is: at which exit to leave. Its title, what it means, its slider, the thresholds
worth trying, and one `stop` for live runs and replays; the rules themselves are in `rules`.

Live, a rule is shown one Exit after another: `rule.stop(exit) -> bool`. In replay it is shown whole
columns: an object whose `prediction`, `confidence`, ... are arrays (N,) over recorded pictures, and
`stop` returns an array of bools. A threshold may be an array too, of shape (T, 1), so that one
replay answers for T thresholds: every rule is written in operations that broadcast. A rule
that never fires leaves at the last exit. `reset()` before every picture.

A new rule is one class: with a `title` of its own it is in `POLICIES`, and so on the pages.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import numpy as np

from mvit.evaluation.predictions import Predictions
from mvit.models.multi_exit import Exit

POLICIES: dict[str, type[Policy]] = {}


@dataclass
class Policy:
    """What all rules share, and a rule may say otherwise.

    title: its name on pages, in links and for `make`; meaning: one clause, "leave when ...", about
    the threshold. key: the query parameter that holds its threshold. measure: the field of an exit
    that the threshold is compared with; sign: a higher threshold leaves later (+1) or earlier (-1).
    counts: whether it reads counts instead of classes. step, format: of its slider. unit: of the
    threshold, if it has one. note: what a replay of it cannot know. holdout: whether what it
    promises needs validation pictures that have chosen nothing else, neither exits nor
    temperatures.
    """

    title: ClassVar[str] = ""
    meaning: ClassVar[str] = ""
    key: ClassVar[str] = ""
    measure: ClassVar[str] = "confidence"
    sign: ClassVar[int] = 1
    counts: ClassVar[bool] = False
    step: ClassVar[float] = 0.001
    format: ClassVar[str] = "%.3f"
    unit: ClassVar[str] = ""
    note: ClassVar[str] = ""
    holdout: ClassVar[bool] = False

    def __init_subclass__(cls) -> None:
        if "title" in cls.__dict__:
            POLICIES[cls.title] = cls

    @classmethod
    def along(
        cls, plan: Sequence[tuple[int, str]], finish: Sequence[float], classes: int
    ) -> Policy:
        """The rule as it is used with a plan. finish: (E,) ms when each exit of the plan has
        answered; classes: how many the task has."""
        return cls()

    def learned(self, val: Predictions) -> Policy:
        """The rule with what it takes from validation pictures, besides its threshold."""
        return self

    @property
    def fewest(self) -> int:
        """Early exits that the rule needs before it can ever fire."""
        return 1

    def at(self, threshold: Any) -> Policy:
        """The same rule, as new, with another threshold."""
        return replace(self, threshold=threshold)

    @classmethod
    def told(cls, threshold: float) -> str:
        """A threshold as people read it, with the digits of the slider and the unit."""
        if not math.isfinite(threshold):
            return "never leaving"
        return f"{cls.format % threshold} {cls.unit}".strip()

    @classmethod
    def in_unit(cls, words: str) -> str:
        """Words for the threshold, with its unit: `Threshold, ms`."""
        return f"{words}, {cls.unit}" if cls.unit else words

    @property
    def overrun(self) -> str:
        """That the rule cannot keep to its threshold, if so."""
        return ""

    def reset(self) -> None:
        """Forget the picture before."""

    def stop(self, exit: Exit) -> bool:
        """Whether to leave here; shown the exits in running order."""
        raise TypeError(f"{type(self).__name__} has no rule")

    def answer(self, exit: Exit) -> Exit:
        """What is said on leaving at this exit, which the rule has just been shown."""
        return exit

    def on_records(self, predictions: Predictions) -> tuple[Policy, Predictions]:
        """The rule and the answers that a replay of recorded predictions shows it and judges."""
        return self, predictions

    def limits(self, exits: int, classes: int) -> tuple[float, float]:
        """The least and the greatest threshold that make sense, where so many exits run."""
        return 0.0, 1.0

    def keeps(self, given: np.ndarray, final: np.ndarray, max_drop: float) -> np.ndarray:
        """At which of T thresholds, from early to late, validation allows to use the rule: (T,).

        given: (T, N) whether its answers are right (for counts, how far off they are); final: (N,)
        the same of the final exit. max_drop: the accuracy that may be lost, or the share by which a
        mean absolute error may grow.
        """
        if self.counts:
            return given.mean(axis=1) <= final.mean() * (1 + max_drop)
        return given.mean(axis=1) >= final.mean() - max_drop - 1e-12

    def candidates(self, predictions: Predictions, n: int = 50) -> np.ndarray:
        """Thresholds worth trying, at most n, from early to late; the last never stops early.

        These are quantiles of the measure over all early exits, so they lie densely where the
        pictures are.
        """
        early = getattr(predictions, self.measure)[:-1]
        found = np.quantile(early, np.linspace(0, 1, n - 1)) if early.size else []
        return np.append(np.unique(found)[:: self.sign], self.sign * math.inf)


def memory(start: Any) -> Any:
    """A field for what a rule remembers of a picture; no part of what the rule is."""
    return field(default=start, init=False, repr=False, compare=False)


def make(title: str, threshold: float | np.ndarray, **options) -> Policy:
    """A rule by its title; raises ValueError for a title that is not in POLICIES."""
    if title not in POLICIES:
        raise ValueError(f"there is no stop rule '{title}'; there are: {', '.join(POLICIES)}")
    return POLICIES[title](**options).at(threshold)
