"""How really interrupted runs keep their deadlines."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass

import numpy as np
import torch

from mvit.inference.deadline import answer_by, settle
from mvit.models.multi_exit import MultiExitViT


@dataclass(frozen=True)
class Deadlines:
    """How interrupted runs kept their deadlines. late_answers: answers that had finished after it;
    must be 0."""

    runs: int
    late_answers: int
    median_ms: float
    _: KW_ONLY
    p99_ms: float
    worst_ms: float
    wasted_blocks: float
    by_budget: list[dict]


def deadlines(
    model: MultiExitViT, x: torch.Tensor, head: str, runs: int, budgets: int = 20
) -> Deadlines:
    """Really interrupt `runs` runs at each of several deadlines, from a twentieth of the whole
    run's time to a tenth beyond it."""
    plan = model.plan(head)
    whole = float(np.median([answer_by(model, x, 60_000, plan=plan).answered_ms for _ in range(5)]))
    overshoot, wasted, late, rows = [], [], 0, []
    for budget in np.linspace(0.05 * whole, 1.1 * whole, budgets):
        layers = []
        for _ in range(runs):
            answer = answer_by(model, x, float(budget), plan=plan)
            settle()  # so that one run's last block does not weigh on the next
            overshoot.append(answer.overshoot_ms)
            wasted.append(answer.wasted_blocks)
            late += int(answer.ready and answer.exit.elapsed_ms > budget)
            layers.append(answer.exit.layer if answer.ready else 0)
        rows.append(
            {
                "deadline_ms": float(budget),
                "median_layer": float(np.median(layers)),
                "ready": float(np.mean(np.array(layers) > 0)),
            }
        )
    median, p99 = np.percentile(overshoot, (50, 99)).tolist()
    return Deadlines(
        len(overshoot),
        late,
        median,
        p99_ms=p99,
        worst_ms=max(overshoot),
        wasted_blocks=float(np.mean(wasted)),
        by_budget=rows,
    )
