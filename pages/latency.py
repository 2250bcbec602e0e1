"""Latency slider: the answer whenever the clock stops, replayed while the handle moves and for
real, by interrupting the network, when it is let go."""

from dataclasses import dataclass

import pandas as pd
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from mvit.charts.latency import exit_rows, interrupted_rows, spread
from mvit.inference.deadline import Answer, answer_by
from mvit.models.multi_exit import Plan
from pages import parts as ui
from pages.parts import race, unlike
from pages.parts.timeline import (
    Interrupted,
    Measured,
    against_replay,
    contradicted,
    real_text,
    timeline,
)
from pages.parts.timeline.page import COLUMNS, HELP, as_measured, pick_exits, pictures_of
from pages.parts.timeline.series import Series, go_on, let_go, series_at, spoken
from pages.parts.words import WORDS, head_help

REPEATS = 30  # real runs by one click
SHORTEST, LONGEST = 0.1, 2000.0  # ms; no bundled model needs as long on a CPU
REPEAT_HELP = (
    """Interrupt 30 more real runs at this moment, to see how much the answer and its delay vary."""
)


def plain_side(bundle: ui.Bundle, picture: ui.Picture, deadline: float) -> Answer:
    """The network without exits, interrupted at the same deadline."""
    answer = ui.once(
        "latency_plain",
        (*bundle.key, picture.key, deadline),
        lambda: ui.inference(
            bundle,
            lambda model: answer_by(model, picture.pixels, deadline, plan=[model.final_exit]),
        ),
    )
    return spoken(bundle, answer)


def controls(bundle: ui.Bundle) -> tuple[ui.Picture, str, Plan, bool]:
    """Draw the controls and return what they say: picture, head, plan, measure again."""
    picture = ui.pick_picture(bundle.task)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        head = ui.linked(
            st.selectbox,
            "Head",
            key="exit_head",
            options=bundle.heads,
            index=bundle.heads.index(bundle.best_head),
            width=180,
            help=head_help(bundle.heads),
        )
        plan, why = pick_exits(bundle, [head])
        again = not ui.hidden("run") and st.button(
            "Measure again",
            icon=":material/bolt:",
            key="run",
            help="Run the network on this picture again and measure its times anew, for everybody "
            "who looks at this example.",
        )
    st.caption(why, help=HELP)
    return picture, head, plan, again


@dataclass(frozen=True, kw_only=True)
class View:
    """What the page shows: the measured run that is replayed, and the real ones."""

    bundle: ui.Bundle
    picture: ui.Picture
    head: str
    plan: Plan
    run: dict
    measured: Measured
    deadline: float
    series: Series

    @property
    def here(self) -> list[Interrupted]:
        """The real runs at this very deadline."""
        return [r for r in self.series.runs if r.answer.deadline_ms == self.deadline]


@ui.page("Latency slider")
def page() -> None:
    st.markdown(
        "Drag the handle to set when the clock stops. A network with exits then gives its "
        "**latest answer**.",
        help=f"{WORDS['exit']} {WORDS['backbone']}",
    )
    ui.classes_only()
    bundle = ui.current(joint=True)
    stage, buttons, below = st.container(), st.container(), st.container()
    with below:
        picture, head, plan, again = controls(bundle)
    with stage:
        with below, st.spinner("Measuring a run …", show_time=True):
            run = ui.measured(
                "latency",
                bundle,
                tuple(plan),
                work=ui.beside_plain(bundle, picture.pixels, plan),
                picture=picture,
                again=again,
            )
        view = interrupted_at(bundle, picture, head, plan=plan, run=run)
        show_clock(view)
    show_doubts(view, buttons)
    ui.classes_note(bundle)
    rows = show_tables(view)
    race.panel(bundle, picture, head, again=again)
    ui.export("latency", rows, bundle, settings=record(view), run=run)
    if view.series.left > 0:
        st.rerun()


def interrupted_at(
    bundle: ui.Bundle, picture: ui.Picture, head: str, *, plan: Plan, run: dict
) -> View:
    """The deadline that the link or the handle asks for, and real runs there."""
    measured = as_measured(run, bundle, picture.truth)
    deadline = ui.linked_number(
        key="deadline",
        min_value=SHORTEST,
        max_value=LONGEST,
        value=min(max(round(0.6 * measured.plain_ms, 1), SHORTEST), LONGEST),
    )
    series = series_at((*bundle.key, picture.key, tuple(plan), run["at"]), deadline)
    go_on(series, bundle, picture, plan=plan)
    return View(
        bundle=bundle,
        picture=picture,
        head=head,
        plan=plan,
        run=run,
        measured=measured,
        deadline=deadline,
        series=series,
    )


def show_clock(view: View) -> None:
    """The timeline with its handle, and what the real runs said."""
    measured, latest = view.measured, view.series.runs[-1]
    static = plain_side(view.bundle, view.picture, view.deadline)
    timeline(
        measured,
        run="/".join(map(str, view.series.where)),
        picture=pictures_of(view.bundle, view.picture),
        unknown=unlike.told(view.bundle, view.run),
        deadline=view.deadline,
        fixed=ui.hidden("deadline"),
        runs=view.series.runs,
        real=(
            latest.told(measured),
            real_text(static)
            + against_replay(static.ready - (measured.plain_ms <= static.deadline_ms)),
        ),
        on_release=let_go,
    )
    unlike.way_on(view.bundle, view.run)
    for note in {latest.answer.note, static.note} - {""}:
        st.warning(f"{note[0].upper()}{note[1:]}.", icon=":material/memory_alt:")


def show_doubts(view: View, buttons: DeltaGenerator) -> None:
    """Where the times come from, and how far real runs differ from the replay. buttons: the place
    under the timeline."""
    here = view.here
    if other := contradicted(view.measured, here):
        again_too = "" if ui.hidden("run") else " *Measure again* replays a run of now."
        buttons.warning(f"{other}{again_too}", icon=":material/speed:")
    with buttons, st.container(horizontal=True, vertical_alignment="center"):
        repeat_button(view.series)
        ui.live_badge(view.bundle, view.run)
        ui.plain_badge(ui.plain(view.bundle, view.run["plain"]))
        ui.replay_badge("dragging replays the measured run; letting go interrupts a real one")
        if len(here) > 1:
            said = spread(interrupted_rows([r.answer for r in here]))
            st.caption(f"Deadline {view.deadline:g} ms: {said}.")
    if any(r.beyond(view.measured) for r in view.series.runs):
        st.caption(
            "A dot marks when a real run had its answer in hand. A hollow dot: another exit "
            "answered than in the replay, as the machine was busier or less busy."
        )


def show_tables(view: View) -> pd.DataFrame:
    """Every exit and every real run as tables, which are returned as one."""
    rows = exit_rows(view.run["exits"], view.measured.macs, view.picture.truth)
    ui.table(rows, "Every exit: with all exits before it, and alone", column_config=COLUMNS)
    real = interrupted_rows([r.answer for r in view.series.runs])
    ui.table(real, "Every real run as a table")
    kinds = [rows.assign(kind="measured"), real.assign(kind="interrupted")]
    return pd.concat(kinds, ignore_index=True)


def record(view: View) -> dict:
    """The view for the run record."""
    return {
        "head": view.head,
        "plan": [list(e) for e in view.plan],
        "deadline_ms": view.deadline,
        "plain_network_ms": view.measured.plain_ms,
        "picture": view.picture.title,
        "source": view.picture.source,
        "final": view.measured.exits[-1].label,
    }


def repeat_button(series: Series) -> None:
    """Many real runs at this deadline, or the way to stop them."""
    if series.left > 0:
        st.button(
            f"Stop ({series.left} to go)",
            icon=":material/stop:",
            key="stop",
            on_click=series.want,
            args=(0,),
            help="Keep the runs so far and stop here.",
        )
    elif not ui.hidden("repeat"):
        st.button(
            f"{REPEATS} more real runs",
            icon=":material/repeat:",
            key="repeat",
            on_click=series.want,
            args=(REPEATS,),
            help=REPEAT_HELP,
        )
