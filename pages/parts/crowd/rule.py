"""The Crowd page's stop rule: leave when the count has settled, on this picture and replayed over
all recorded ones."""

from __future__ import annotations

import numpy as np
import pandas as pd
import streamlit as st

from mvit.charts import crowd as charts_crowd
from mvit.evaluation.counts import Counts
from mvit.models.multi_exit import FINAL
from mvit.policies.plans import costs
from mvit.policies.rules import Stability, replay, score
from pages.parts import shared as ui

TAUS = (0.01, 0.02, 0.03, 0.05, 0.08, 0.12, 0.2, 0.3, 0.5)
ABOUT = "Leave when the count has moved by no more than tau, p layers in a row: a count that no longer moves is believed."


def _leaves(rows: pd.DataFrame, tau: float, patience: int) -> int:
    """Index of the row at which the rule leaves; the last one if it never fires."""
    rule = Stability(threshold=tau, patience=patience)
    rule.reset()
    return next((i for i, row in enumerate(rows.itertuples()) if rule.stop(row)), len(rows) - 1)


def _chosen(val: Counts, head: str, model) -> float:
    """The tau of least work whose error on the validation pictures is at most 5 % above the final
    exit's; the smallest if none is."""
    own = val.of_head(head)
    recorded, spent = own.totals, costs(model, own.exits)
    last = np.abs(recorded.count[-1] - recorded.truth).mean()
    found = {
        tau: score(replay(Stability(threshold=tau, patience=1), recorded), recorded, spent)
        for tau in TAUS
    }
    good = [tau for tau, s in found.items() if s.value <= 1.05 * last]
    return min(good, key=lambda tau: found[tau].macs, default=TAUS[0])


def section(bundle: ui.Bundle, rows: pd.DataFrame, head: str, kept: tuple | None) -> None:
    """Draw the rule's controls, what it does on this picture, and what it costs and saves on the
    test pictures."""
    st.subheader("Stop when the count has settled", anchor=False, help=ABOUT)
    start = 0.05 if kept is None else _chosen(kept[0], head, bundle.model)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        tau = ui.linked(
            st.select_slider,
            "Moved by at most (tau)",
            key="tau",
            options=list(TAUS),
            value=start,
            width=280,
            format_func=lambda t: f"{t:.0%}",
            help=f"{ABOUT} It starts at the tau that was best on validation.",
        )
        patience = ui.linked(
            st.slider,
            "Layers in a row (p)",
            key="p",
            min_value=1,
            max_value=5,
            value=1,
            width=220,
            help=ABOUT,
        )
    own = rows[rows["head"].isin([head, FINAL])].reset_index(drop=True)
    at = _leaves(own, tau, patience)
    stop, last = own.iloc[at], own.iloc[-1]
    plan = list(zip(own["layer"], own["head"], strict=True))
    spent = costs(bundle.model, plan)
    until = own.ms.iloc[at] + own.head_ms.iloc[:at].sum()
    whole = last.ms + own.head_ms.iloc[:-1].sum()
    with st.container(horizontal=True):
        where = f"layer {stop['layer']}" if stop["head"] != FINAL else "the end"
        st.metric(
            "Leaves at",
            where,
            help="The first exit at which the count has been steady for long enough.",
        )
        st.metric(
            "Counts",
            f"{stop['count']:.0f}",
            f"final exit {last['count']:.0f}",
            delta_color="off",
            delta_arrow="off",
            help="The count at that exit, beside what the whole network counts.",
        )
        st.metric(
            "Work saved", f"{1 - spent[at] / spent[-1]:.0%}", help="Multiply-accumulates not done."
        )
        st.metric(
            "Time saved",
            f"{1 - until / whole:.0%}",
            help="By the times measured on this picture, all earlier heads included.",
        )
    if kept is not None:
        _on_recorded(bundle, kept[1], head, tau, patience, spent)


def _on_recorded(
    bundle: ui.Bundle, test: Counts, head: str, tau: float, patience: int, spent: np.ndarray
) -> None:
    recorded = test.of_head(head).totals
    found = []
    for tried in TAUS:
        result = score(
            replay(Stability(threshold=tried, patience=patience), recorded), recorded, spent
        )
        found.append(
            {
                "tau": tried,
                "macs_share": result.macs / spent[-1],
                "mae": result.value,
                "now": tried == tau,
            }
        )
    here = next(f for f in found if f["now"])
    final = float(np.abs(recorded.count[-1] - recorded.truth).mean())
    said = (
        f"On the test pictures this rule does {here['macs_share']:.0%} of the work and is off by {here['mae']:.0f} people; "
        f"the final exit by {final:.0f}"
    )
    ui.recorded_badge(bundle, f"{len(recorded.truth)} pictures")
    ui.chart(
        charts_crowd.rule_tradeoff(pd.DataFrame(found), said), alt=f"Error against work: {said}."
    )
