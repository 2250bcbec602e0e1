"""Tables of the pages that show one run in time: a measured run, and real interrupted ones."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from mvit.charts.style import plain_label, verdicts
from mvit.inference.deadline import Answer
from mvit.models.multi_exit import FINAL, Exit

NONE = "none"  # the answering layer of a run that had no answer
ENOUGH = 20  # runs, of which one is 5 %
NAMES = "head layer label confidence elapsed_ms ms head_ms macs practical".split()


def exit_rows(exits: Sequence[Exit], macs: Sequence[float], truth: str | None) -> pd.DataFrame:
    """One row an exit of a measured run, in the order they fired.

    elapsed_ms and macs_run count all that was run until then, earlier heads included (macs, as
    `policies.plans.costs` finds it); ms and macs are those of the exit alone.
    """
    rows = pd.DataFrame([{n: getattr(e, n) for n in NAMES} for e in exits])
    rows.insert(rows.columns.get_loc("elapsed_ms") + 1, "macs_run", list(macs))
    rows["verdict"] = verdicts(rows.label, truth)
    return rows


def interrupted_rows(answers: Sequence[Answer]) -> pd.DataFrame:
    """One row a real interrupted run: run, deadline_ms, layer (NONE without an answer), head,
    answer, confidence, ready_ms, answered_ms, overshoot_ms, late (exits that finished after the
    deadline), wasted_blocks."""
    rows = []
    for i, a in enumerate(answers, 1):
        e = a.exit
        rows.append(
            {
                "run": i,
                "deadline_ms": a.deadline_ms,
                "layer": NONE if e is None else FINAL if e.head == FINAL else str(e.layer),
                "head": e and e.head,
                "answer": e and plain_label(e.label),
                "confidence": e and e.confidence,
                "ready_ms": e and e.elapsed_ms,
                "answered_ms": a.answered_ms,
                "overshoot_ms": a.overshoot_ms,
                "late": len(a.late),
                "wasted_blocks": a.wasted_blocks,
            }
        )
    return pd.DataFrame(rows)


def spread(rows: pd.DataFrame) -> str:
    """What several real runs found: how many had an answer, mostly from where, and how late it was
    in hand; in sentences. rows: as `interrupted_rows` returns them."""
    ready = rows[rows.layer != NONE]
    if ready.empty:
        found = f"None of {len(rows)} real runs had an answer yet"
    else:
        usual = ready.layer.mode().iloc[0]
        where = "the final exit" if usual == FINAL else f"layer {usual}"
        found = f"{len(ready)} of {len(rows)} real runs had an answer, mostly from {where}"
    over = rows.overshoot_ms
    if not over.any():
        return f"{found}. Every run was over before the deadline"
    late = [over.max(), over.quantile(0.95)][: 2 if len(rows) >= ENOUGH else 1]
    most, *usual = (f"{ms:.2f}" if ms >= 0.005 else "less than 0.01" for ms in late)
    mostly = "".join(f", 95\u00a0% of them within {ms} ms of it" for ms in usual)
    return f"{found}. They stopped at most {most} ms after the deadline{mostly}"
