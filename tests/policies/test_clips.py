"""A clip under a stop rule: each frame leaves where the count has settled, or where the budget
ends."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from mvit.policies.clips import BUDGET, END, SETTLED, leave, leaving
from mvit.policies.rules import Stability

PLAN = [(3, "mlp"), (6, "mlp"), (9, "mlp"), (12, "final")]
WORK = [0.25, 0.5, 0.75, 1.0]


def counts(*found: float) -> list[SimpleNamespace]:
    return [SimpleNamespace(count=c) for c in found]


@pytest.mark.parametrize(
    "found, budget, at, why",
    [
        ((10, 10, 50, 80), np.inf, 1, SETTLED),
        ((10, 20, 40, 80), np.inf, 3, END),
        ((10, 20, 80, 80), np.inf, 3, END),
        ((10, 20, 40, 80), 0.75, 2, BUDGET),
        ((10, 20, 40, 80), 0.74, 1, BUDGET),
        ((10, 10, 50, 80), 0.5, 1, SETTLED),
        ((10, 10, 50, 80), 0.1, 0, BUDGET),  # the first exit always runs
    ],
)
def test_a_frame_leaves_when_its_count_has_settled_or_the_budget_ends(found, budget, at, why):
    assert leave(Stability(threshold=0.05), counts(*found), WORK, budget) == (at, why)


def test_quiet_frames_leave_early_and_busy_ones_late():
    def trace(*found: float) -> pd.DataFrame:
        rows = [(*e, c) for e, c in zip(PLAN, found, strict=True)]
        return pd.DataFrame(rows, columns=["layer", "head", "count"])

    traces = [trace(2, 2, 2, 3), trace(50, 80, 130, 170)]
    table = leaving(Stability(threshold=0.05), traces, PLAN, WORK)
    assert list(table.layer) == [6, 12] and list(table["count"]) == [2, 170]
    assert list(table.work) == [0.5, 1.0] and list(table.whole) == [3, 170]
    capped = leaving(Stability(threshold=0.05), traces, PLAN, WORK, budget=0.8)
    assert list(capped.layer) == [6, 9] and list(capped.why) == [SETTLED, BUDGET]
