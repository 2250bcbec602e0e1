"""The Crowd page's stop rule: leave when the count has settled, on this picture and replayed over
all recorded ones."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
import streamlit as st

from mvit.charts import tradeoff as draw
from mvit.charts.crowd import people_text, people_words
from mvit.evaluation.counts import Totals
from mvit.models.multi_exit import FINAL
from mvit.policies.outcomes import exit_names, finish_times, tradeoff
from mvit.policies.plans import costs
from mvit.policies.replay import choose_threshold, exits_for_rule, leaves_at
from mvit.policies.rules import Stability
from pages import parts as ui
from pages.parts.words import OTHER_AIM, WORDS, exit_list, percent, saved

TAUS = (0.01, 0.02, 0.03, 0.05, 0.08, 0.12, 0.2, 0.3, 0.5)
SETTLED = tuple(tau for tau in TAUS if tau <= 0.2)  # what moves by more has not settled
PATIENCES = (1, 2, 3)  # of which validation chooses
MORE = 0.05  # error that the rule may add on validation, as a share of the final exit's
ABOUT = (
    f"{Stability.meaning[0].upper()}{Stability.meaning[1:]} (tau) from one exit to the next, p "
    "times in a row: a count that no longer moves is believed."
)
WHY = f" With these the rule does the least work on validation pictures; {OTHER_AIM}"


class Search(NamedTuple):
    """What validation chose: the exits to run, the tau to start with, and what that costs in MACs
    on average."""

    plan: list[tuple[int, str]]
    tau: float
    macs: float


@st.cache_data(max_entries=64, show_spinner=False)
def _search(key: tuple, patience: int, _val: Totals, _model) -> Search:
    """The exits and the tau of least work whose error on validation is at most MORE above the final
    exit's."""

    def cost_of(plan: list[tuple[int, str]]) -> np.ndarray:
        return costs(_model, plan)

    rule = Stability(patience=patience)
    limit = {"max_drop": MORE, "thresholds": SETTLED}
    plan = exits_for_rule(lambda plan: rule, _val, cost_of, **limit)
    tau, score = choose_threshold(rule, _val.select(plan), cost_of(plan), **limit)
    return Search(plan, tau, score.macs)


def controls(
    bundle: ui.Bundle, head: str, kept: tuple | None
) -> tuple[list[tuple[int, str]], Stability]:
    """Draw the rule's controls: the exits to run, and the rule. kept: (val, test) recorded counts,
    if any."""
    plan, start, usual = bundle.model.plan(head), Stability.threshold, 1

    def search(patience: int) -> Search:
        key = (*bundle.key, str(bundle.card.get("files")), head)
        return _search(key, patience, kept[0].of_head(head).totals, _model=bundle.model)

    if kept is not None:
        with st.spinner("Looking for the exits worth running …", show_time=True):
            usual = min(PATIENCES, key=lambda patience: search(patience).macs)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        patience = ui.linked(
            st.slider,
            "Small changes in a row (p)",
            key="p",
            min_value=1,
            max_value=5,
            value=usual,
            width=220,
            help=f"{ABOUT} It starts at the p with the least work on validation.",
        )
        if kept is not None:
            plan, start, _ = search(patience)
        tau = ui.linked(
            st.select_slider,
            "Moved by at most (tau)",
            key="tau",
            options=list(TAUS),
            value=start,
            width=280,
            format_func=lambda t: f"{t:.0%}",
            help=f"{ABOUT} It starts at the tau with the least work on validation, where the error "
            f"grows by at most {percent(MORE)}.",
        )
    return plan, Stability(threshold=tau, patience=patience)


def section(bundle: ui.Bundle, rows: pd.DataFrame, head: str, kept: tuple | None) -> None:
    """Draw the rule's controls, what it does on this picture, and what it costs and saves on the
    test pictures. rows: the trace of this picture; kept: as in `controls`."""
    st.subheader("Stop when the count has settled", anchor=False, help=ABOUT)
    plan, rule = controls(bundle, head, kept)
    _on_this_picture(bundle, rows, plan, rule=rule)
    st.caption(f"Exits that run: {exit_list(plan)}.{'' if kept is None else WHY}")
    if kept is not None:
        _on_recorded(bundle, kept[1].of_head(head).totals, rows, plan=plan, rule=rule)


def _on_this_picture(
    bundle: ui.Bundle, rows: pd.DataFrame, plan: list[tuple[int, str]], rule: Stability
) -> None:
    known = {(row.layer, row.head): row for row in rows.itertuples()}
    path = [known[e] for e in plan]
    at = leaves_at(rule, path)
    stop, last = path[at], path[-1]
    work = costs(bundle.model, plan)[at] / bundle.model.exit_macs(*bundle.model.final_exit)
    time = finish_times(rows, plan)[at] / last.ms
    with st.container(horizontal=True):
        where = f"layer {stop.layer}" if stop.head != FINAL else "the end"
        st.metric(
            "Leaves at",
            where,
            help="The first exit at which the count has been steady for long enough.",
        )
        st.metric(
            "Counts",
            people_text(stop.count),
            f"final exit {people_text(last.count)}",
            delta_color="off",
            delta_arrow="off",
            help="The count at that exit, beside what the whole network counts.",
        )
        st.metric(
            "Work saved",
            **saved(1 - work),
            help="Against the plain network without exits; the heads on the way are counted. "
            f"{WORDS['macs']}",
        )
        st.metric(
            "Time saved",
            **saved(1 - time),
            help="Against the final exit alone, by the times measured on this picture.",
        )


def _on_recorded(
    bundle: ui.Bundle,
    test: Totals,
    rows: pd.DataFrame,
    plan: list[tuple[int, str]],
    rule: Stability,
) -> None:
    macs, ms = costs(bundle.model, plan), finish_times(rows, plan)
    curve = tradeoff(rule, test.select(plan), macs, ms=ms, thresholds=TAUS)
    here = curve[curve.threshold == rule.threshold].assign(what=draw.YOURS)
    errors = np.abs(test.count - test.truth).mean(axis=1)
    fixed = pd.DataFrame(
        {
            "exit": exit_names(test.exits),
            "mae": errors,
            "macs": [bundle.model.exit_macs(*e) for e in test.exits],
        }
    )
    said = (
        f"On the test pictures this rule does {percent(here.macs.iloc[0] / fixed.macs.iloc[-1])} "
        f"of the plain network's work and is off by {people_words(here.mae.iloc[0])} on average, "
        f"over all {len(test.truth):,}; the final exit by {errors[-1]:.0f}"
    )
    ui.recorded_badge(bundle, f"{len(test.truth):,} pictures")
    figure = draw.tradeoff(
        curve, fixed, here, final=errors[-1], cost="macs", rule=rule, finding=said, worth="mae"
    )
    ui.chart(figure, alt=f"Error against work: {said}.")
    st.caption(beside_one_exit(here.iloc[0], fixed))


def beside_one_exit(here: pd.Series, fixed: pd.DataFrame) -> str:
    """The rule compared with the best single exit of at most its work. here: macs, mae; fixed:
    exit, macs, mae."""
    cheap = fixed[fixed.macs <= here.macs]
    if cheap.empty:
        return "Every single exit takes more work than this rule."
    best = cheap.loc[cheap.mae.idxmin()]
    where = "at the final exit" if best.exit == FINAL else f"after layer {best.exit}"
    one, own = round(best.mae, 1), round(here.mae, 1)  # the difference is that of what is shown
    verdict = f"the rule is {'better' if own < one else 'worse'} by {abs(one - own):.1f}"
    return (
        f"Always leaving {where} takes no more work than this rule and is off by {one:.1f} "
        f"people on average, the rule by {own:.1f}: {verdict if own != one else 'no difference'}."
    )
