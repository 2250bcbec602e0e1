"""A visitor's real runs on one picture: which are wanted, and interrupting them one by one."""

from __future__ import annotations

import time
from collections.abc import Hashable
from dataclasses import KW_ONLY, dataclass, field, replace

import streamlit as st

from mvit.inference.deadline import Answer, answer_by
from mvit.models.multi_exit import Plan
from pages import parts as ui
from pages.parts import coarse
from pages.parts.timeline import released
from pages.parts.timeline.runs import Interrupted

KEPT = 500  # runs that are drawn at most
PATIENCE_S = 0.4  # of real runs before they are drawn


@dataclass
class Series:
    """The real runs on one picture with one plan. left: how many are still wanted at `deadline`;
    number: of the latest one; turn: of whoever asks for runs, as an earlier one may still be at
    work."""

    where: Hashable
    deadline: float = 0.0
    left: int = 0
    _: KW_ONLY
    number: int = 0
    turn: int = 0
    runs: list[Interrupted] = field(default_factory=list)

    def want(self, more: int) -> None:
        """Forget what is still wanted, a run under way as well, and want so many more."""
        self.left, self.turn = more, self.turn + 1


def series_at(where: Hashable, deadline: float) -> Series:
    """This visitor's real runs; a new deadline wants one more."""
    series = st.session_state.get("_latency_series")
    if series is None or series.where != where:
        series = st.session_state["_latency_series"] = Series(where)
    if series.deadline != deadline:
        series.deadline = deadline
        series.want(1)
    return series


def let_go() -> None:
    """The handle's callback: the deadline goes into the link, and one real run is wanted there."""
    if (asked := released()) is not None:
        st.query_params["deadline"] = f"{asked:g}"
        if series := st.session_state.get("_latency_series"):
            series.deadline = asked
            series.want(1)


def go_on(series: Series, bundle: ui.Bundle, picture: ui.Picture, plan: Plan) -> None:
    """Interrupt real runs until none is wanted or it is time to draw them.

    A click starts a later script while this one's run is under way; two of them never count
    together.
    """
    end = time.monotonic() + PATIENCE_S
    series.turn = mine = series.turn + 1
    while series.left > 0 and time.monotonic() < end:
        answer = ui.inference(
            bundle, lambda model: answer_by(model, picture.pixels, series.deadline, plan=plan)
        )
        if series.turn != mine:
            st.stop()  # a later script has begun meanwhile, which draws the runs without this one
        series.left, series.number = series.left - 1, series.number + 1
        series.runs = [*series.runs, Interrupted(series.number, spoken(bundle, answer))][-KEPT:]


def spoken(bundle: ui.Bundle, answer: Answer) -> Answer:
    """The answer, which says no more than its exit is sure of."""
    return replace(answer, exit=coarse.spoken(bundle, [answer.exit])[0]) if answer.exit else answer
