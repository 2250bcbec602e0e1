"""A clip under a stop rule: where each of its frames leaves, and what that saves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from mvit.policies.policy import Policy
from mvit.policies.replay import leaves_at

SETTLED, BUDGET, END = "the count has settled", "the budget is spent", "the end is reached"


class Left(NamedTuple):
    """Where a frame leaves: index of the exit in its plan, and why (SETTLED, BUDGET or END)."""

    at: int
    why: str


def leave(rule: Policy, exits: Sequence[Any], work: Sequence[float], budget: float) -> Left:
    """Where a rule leaves one frame if no exit may be run that would bring its work above the
    budget; the first exit always runs.

    exits: the frame's exits in running order, as the rule reads them. work: (E,) what has been done
    when each exit has answered, in the unit of the budget.
    """
    last = max(1, int(np.searchsorted(work, budget * (1 + 1e-9), side="right")))
    at = leaves_at(rule, exits[:last])
    if at == len(exits) - 1:
        return Left(at, END)
    # asked again, since the last exit is left in any case
    rule.reset()
    if [rule.stop(exit) for exit in exits[: at + 1]][-1]:
        return Left(at, SETTLED)
    return Left(at, BUDGET)


def leaving(
    rule: Policy,
    traces: Sequence[pd.DataFrame],
    plan: Sequence[tuple[int, str]],
    work: Sequence[float],
    budget: float = np.inf,
) -> pd.DataFrame:
    """Where each frame of a clip leaves and what it counts there: layer, head, count, work, why,
    and `whole`, the final exit's count. One row a frame.

    traces: of each frame, with at least the exits of the plan, whose last one is the final exit.
    work: (E,) as in `leave`.
    """
    rows = []
    for trace in traces:
        known = {(row.layer, row.head): row for row in trace.itertuples()}
        path = [known[e] for e in plan]
        at, why = leave(rule, path, work, budget=budget)
        own = path[at]
        rows.append((own.layer, own.head, own.count, float(work[at]), why, path[-1].count))
    return pd.DataFrame(rows, columns=["layer", "head", "count", "work", "why", "whole"])
