"""A stream of pictures with a budget each, and what the three ways of computing make of it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from mvit.charts.budget import NAMES
from mvit.evaluation.predictions import Predictions
from mvit.models.multi_exit import Plan
from mvit.policies import budget
from mvit.policies.outcomes import finish_times
from mvit.policies.replay import replay
from mvit.policies.rules import Confidence

SURE = 0.9  # confidence at which the anytime exits stop, if they may


@dataclass(frozen=True, kw_only=True)
class Stream:
    """budgets: (T,) ms; every picture takes as long as one of the real runs, whose medians are the
    trace. test: the recorded answers, or None where only the accuracies are known.
    stops_when_sure: of the anytime exits."""

    budgets: np.ndarray
    runs: list[pd.DataFrame]
    trace: pd.DataFrame
    test: Predictions | None
    accuracies: dict[tuple[int, str], float]
    cut: tuple[int, str]
    final: tuple[int, str]
    stops_when_sure: bool
    seed: int

    def outcomes(self, plan: Plan) -> list[budget.Outcome]:
        """What the exits of a plan, the plain network and the early cut make of the pictures."""
        worth, order = budget.chances(
            {*plan, self.cut, self.final},
            len(self.budgets),
            test=self.test,
            accuracies=self.accuracies,
            seed=self.seed,
        )
        stop = None
        if self.stops_when_sure:
            stop = replay(Confidence(SURE), self.test.select(plan))[order]
        return budget.three_ways(
            NAMES,
            self.budgets,
            worth,
            plan=plan,
            final=self.final,
            cut=self.cut,
            runs=self.runs,
            stop=stop,
            seed=self.seed,
        )

    def expected(self, plan: Plan) -> float:
        """The share of right answers to expect from a plan at these budgets, whichever the
        pictures, in the run of middle length and with no early stop."""
        typical = replace(self, runs=[self.trace], test=None, stops_when_sure=False)
        return float(typical.outcomes(plan)[0].right.mean())

    def first_answers(self, plan: Plan) -> pd.DataFrame:
        """When each way has its first answer, by the medians of the runs: way, ms."""
        ways = (plan, [self.final], [self.cut])
        return pd.DataFrame({"way": NAMES, "ms": [finish_times(self.trace, w)[0] for w in ways]})
