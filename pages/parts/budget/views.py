"""What the stream of pictures got: answers in time, right answers, wasted work."""

from __future__ import annotations

import numpy as np
import pandas as pd
import streamlit as st
from streamlit.column_config import NumberColumn

from mvit.charts import budget as draw
from mvit.models.multi_exit import Plan
from mvit.policies import budget
from mvit.policies.outcomes import finish_times
from pages import parts as ui
from pages.parts import columns
from pages.parts import recorded as recordings
from pages.parts.budget.stream import Stream
from pages.parts.words import exit_list, percent

POINTS = 400  # of the budget's curve, at most
WASTED_HELP = (
    "What ran after the last finished answer until the clock stopped, and earlier heads whose "
    "answers were replaced by a later one. Waiting costs nothing."
)
COLUMNS = {
    "answered": columns.share("answered in time", help="Of all pictures."),
    "right": columns.share("right", help="Of all pictures; no answer counts as wrong."),
    **columns.INTERVAL,
    "used_ms": NumberColumn("computed, ms", format="%.2f", help="Mean of a picture."),
    "wasted_ms": NumberColumn("wasted, ms", format="%.2f", help="Mean of a picture."),
    "wasted": columns.share("wasted share", help="Of the time computed."),
} | {
    f"p{share}": NumberColumn(
        f"p{share}, ms",
        format="%.1f",
        help=f"{share} of 100 pictures were computed for no longer than this.",
    )
    for share in (50, 95, 99)
}


def show_sources(bundle: ui.Bundle, stream: Stream, times: dict) -> None:
    """Say where the times and the answers come from."""
    middle = float(stream.trace.ms.iloc[-1])
    took = sorted(finish_times(run, [stream.final])[0] for run in stream.runs)
    plain = ui.plain(bundle, middle)
    test = stream.test
    if test is None and not bundle.accuracies:
        st.caption(
            "The card records no accuracies either, so only times and answers in time mean "
            "anything below."
        )
    with st.container(horizontal=True):
        ui.live_badge(bundle, times, "times", how=f"{len(took)} real runs of every exit")
        ui.plain_badge(plain)
        pictures = f"{len(test.truth):,} pictures" if test else "the card's accuracies"
        ui.recorded_badge(bundle, pictures)
        ui.replay_badge("simulated stream of recorded answers")
    if test is not None:
        recordings.few_note(test)
    alone = f" Timed by itself, it took {plain.ms:.1f} ms." if plain.is_usual else ""
    st.caption(
        f"Each picture takes as long as one of {len(took)} real runs, drawn at random. In these "
        f"runs the plain network took {took[0]:.1f} to {took[-1]:.1f} ms, {middle:.1f} ms in the "
        f"middle; all times below come from them.{alone}"
    )


def in_hindsight(stream: Stream, plan: Plan, best: Plan | None, *, chosen: bool) -> str:
    """What is expected of the best plan for these very budgets, beside the one that runs; chosen:
    it is that one. Empty if none is known."""
    if chosen and best is not None:
        return " This plan was made with hindsight: nobody knows these budgets beforehand."
    if best is None or not stream.accuracies.keys() >= set(plan):
        return ""
    own, most = stream.expected(plan), stream.expected(best)
    if most - own < 0.0005:  # what one decimal of a per cent cannot show
        return " Knowing these very budgets beforehand would hardly have helped."
    return (
        " Had these very budgets been known beforehand, the choice would have been "
        f"{exit_list(best)}: expected to be right in {percent(most, 1)} of the cases, these exits "
        f"in {percent(own, 1)}."
    )


def show_stream(stream: Stream, plan: Plan) -> pd.DataFrame:
    """Budget, accuracy over time, and the totals of the three ways, which are returned."""
    ways = stream.outcomes(plan)
    table = budget.summary(ways)
    _totals(table)
    _budgets(stream, stream.first_answers(plan), float(ways[1].answered.mean()))
    left, right = st.columns(2, gap="medium")
    with left:
        _over_time(ways, table)
    with right:
        _compared(table)
    st.caption("Wasted: time spent on work that the answer does not use.", help=WASTED_HELP)
    ui.table(table, column_config=COLUMNS)
    return table


def _totals(table: pd.DataFrame) -> None:
    """What each way answered in time, and how often it was right."""
    with st.container(horizontal=True):
        for row in table.itertuples():
            st.metric(
                f"{row.way}: in time",
                percent(row.answered, 1),
                f"{percent(row.right, 1)} right",
                "off",
                delta_arrow="off",
                help="Share of the pictures answered within their budget; below it, the share "
                "answered in time and right, of all pictures. Of other pictures with these very "
                f"budgets, between {percent(row.low, 1)} and {percent(row.high, 1)} would be "
                "right, with 95 % certainty (Wilson's interval). Other budgets of this kind, as "
                "another seed draws them, can change it more.",
            )


def _budgets(stream: Stream, first: pd.DataFrame, answered: float) -> None:
    """The budget of every picture, with the time that each way needs for its first answer.
    answered: share of the pictures for which the plain network was in time."""
    given = stream.budgets
    kept = np.unique(np.linspace(0, len(given) - 1, min(POINTS, len(given))).astype(int))
    line = pd.DataFrame({"picture": kept + 1, "ms": given[kept]})
    said = (
        f"Between {given.min():.1f} and {given.max():.1f} ms for a picture: enough for the plain "
        f"network in {percent(answered, 1)} of the cases"
    )
    ui.chart(draw.budgets(line, first, said), alt=f"The budget over time. {said}.")


def _over_time(ways: list[budget.Outcome], table: pd.DataFrame) -> None:
    """How often each way was right lately, picture by picture."""
    window = max(10, len(ways[0].right) // 12)
    best, plain = table.loc[table.right.idxmax()], table.iloc[1]
    others = "" if best.way == plain.way else f"; plain network {percent(plain.right, 1)}"
    said = f"Right most often over the stream: {best.way}, {percent(best.right, 1)}{others}"
    figure = draw.over_time(budget.over_time(ways, window), window, said)
    ui.chart(figure, alt=f"Share of right answers over time. {said}.")


def _compared(table: pd.DataFrame) -> None:
    """The totals as bars."""
    answered, wasted = (
        ", ".join(
            f"{way} {percent(share, 1)}" for way, share in zip(table.way, shares, strict=True)
        )
        for shares in (table.answered, table.wasted)
    )
    said = f"Answered in time: {answered}. Work wasted: {wasted}"
    ui.chart(draw.compared(table, said), alt=f"{said}.")
