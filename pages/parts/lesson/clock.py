"""Steps of the lesson against the clock, and the one on how exits are trained."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from mvit.charts import budget as draw
from mvit.charts.style import plain_label, sure_text
from mvit.inference.deadline import Answer, answer_by
from mvit.models.multi_exit import FINAL, Plan
from mvit.policies import budget
from mvit.policies.plans import exits_for_deadlines
from pages import parts as ui
from pages.parts import recorded as recordings
from pages.parts.budget import views
from pages.parts.budget.stream import Stream
from pages.parts.lesson.scene import Question, Scene, Step, exit_name
from pages.parts.timeline.page import FEW
from pages.parts.words import percent

NOTHING, END = "nothing yet", "the final exit"
# pictures, and the limits of the budget as shares of the backbone's time
STREAM, LEAST, MOST = 500, 0.3, 1.4
WORSE, SAME, BETTER = "they get worse", "they stay exactly the same", "they get better"
STRATEGIES = """
- **classifier-wise** trains the exits alone. The backbone stays as it is, so exits can be added at
  any time.
- **layer-wise** trains one exit together with the layers below it. Each exit then has a backbone of
  its own.
- **end-to-end** trains everything at once. One backbone must serve all exits and the final one.
"""


def deadline(s: Scene) -> float:
    """A moment at which the backbone is on its way, even if the machine has become quiet: a bit
    over half of its shortest time, in ms. On a machine so busy that no exit would be ready then,
    half as long again as the first exit took in the run on this picture."""
    quiet = 0.55 * min(s.plain_ms, ui.plain(s.bundle).ms)
    first = next(e.ms for e in s.exits if (e.layer, e.head) == few(s)[0])
    return max(0.1, round(max(quiet, min(1.5 * first, 0.9 * s.plain_ms)), 1))


def few(s: Scene) -> Plan:
    """The few exits that are worth running against a clock, as on the Latency page."""
    return exits_for_deadlines(s.model, s.bundle.accuracies, s.head)


def interrupted(s: Scene) -> tuple[Answer, Answer]:
    """Two real runs stopped at the deadline: with a few useful exits of the head, and with the
    final exit alone."""

    def work(model) -> tuple[Answer, Answer]:
        plans = (few(s), [s.model.final_exit])
        return tuple(answer_by(model, s.picture.pixels, deadline(s), plan=plan) for plan in plans)

    clicks = st.session_state.get("_lesson_again", 0)
    with st.spinner("Interrupting two real runs …", show_time=True):
        return ui.once(
            "lesson_clock", (*s.seen, deadline(s), clicks), lambda: ui.inference(s.bundle, work)
        )


def ask_clock(s: Scene) -> Question:
    options = [NOTHING, *(exit_name(*e) for e in few(s)[:-1]), END]

    def answer() -> list[str]:
        fired = interrupted(s)[0].exit
        return [NOTHING if fired is None else exit_name(fired.layer, fired.head)]

    return Question(
        f"So far the network had all the time it needs; the plain network needs {s.plain_ms:.1f} "
        f"ms here. Now a clock stops it after **{deadline(s):g} ms**, wherever it is. Only a few "
        "useful exits run, since each delays the later ones. The latest that has answered by then "
        "gives the answer. Such a network is called **anytime**.",
        "Which exit will have answered last?",
        (*s.seen, deadline(s)),
        answer=answer,
        options=options,
    )


def the_exit(layer: int, head: str) -> str:
    return f"the exit after layer {layer}" if head != FINAL else END


def tell_clock(s: Scene, answers: list) -> str:
    got, static = interrupted(s)
    with_exits = (
        got.message
        if not got.ready
        else (
            f"{the_exit(got.exit.layer, got.exit.head)} had answered "
            f"'{plain_label(got.exit.label)}', {sure_text(got.exit.confidence)} sure"
        )
    )
    without = "no answer" if not static.ready else f"'{plain_label(static.exit.label)}'"
    return f"When the clock stopped, {with_exits}. The plain network had {without}"


def again() -> None:
    st.session_state["_lesson_again"] = st.session_state.get("_lesson_again", 0) + 1


def show_clock(s: Scene, answers: list) -> None:
    ui.live_badge(s.bundle)
    ui.plain_badge(ui.plain(s.bundle, s.run["plain"]))
    for column, one, name in zip(
        st.columns(2), interrupted(s), ("With exits", "Plain network"), strict=True
    ):
        with column.container(border=True):
            st.markdown(f"**{name}**")
            st.metric(
                "Answer",
                plain_label(one.exit.label) if one.ready else "none",
                help="The latest answer finished at the deadline.",
            )
            st.metric(
                "Finished after",
                f"{one.exit.elapsed_ms:.1f} ms" if one.ready else "-",
                help="Milliseconds since the run began.",
            )
            late = (
                "the run was over"
                if one.in_flight is None
                else f"on the way to {exit_name(*one.in_flight)}"
            )
            st.caption(
                f"At {one.deadline_ms:g} ms: {late}. Overshoot {one.overshoot_ms:.2f} ms.",
                help="Overshoot: from the deadline to the moment the answer was in hand.",
            )
            if one.note:
                st.caption(one.note)
    if not ui.hidden("run"):
        st.button(
            "Interrupt it again",
            icon=":material/bolt:",
            key="lesson_again",
            on_click=again,
            help="Two more real runs. On a busy machine the answer may come from another exit.",
        )


def stream(s: Scene) -> tuple[pd.DataFrame, Stream, dict]:
    """Recorded pictures under a budget that moves in bursts, and what three ways of computing make
    of them: `budget.summary`, what it was made from, and the times measured for it."""
    times = recordings.times(s.bundle, [s.head])
    trace = recordings.medians(times["runs"])
    plain = float(trace.ms.iloc[-1])
    moving = Stream(
        budgets=budget.series("bursts", STREAM, LEAST * plain, high=MOST * plain),
        runs=times["runs"],
        trace=trace,
        test=s.recorded["test"] if s.has_predictions and s.recorded is not None else None,
        accuracies=s.bundle.accuracies,
        cut=(s.middle, s.head),
        final=s.model.final_exit,
        stops_when_sure=False,
        seed=0,
    )
    table = budget.summary(moving.outcomes(s.model.practical(s.head)))
    return table.set_index("way", drop=False), moving, times


def ask_static(s: Scene) -> Question:
    return Question(
        "On a phone or a drone the time for one answer is never the same twice. Here are "
        f"{STREAM} pictures in a row. Most of them get {percent(MOST)} of the time that the plain "
        "network needs. Now and then other work takes the machine, and a picture gets only about "
        f"{percent(LEAST)}.",
        "What share of these pictures does the plain network answer in time?",
        s.place,
        answer=lambda: [100 * float(stream(s)[0].answered[draw.STATIC])],
        near=10,
    )


def tell_static(s: Scene, answers: list) -> str:
    table, _, _ = stream(s)
    with_exits, static = table.loc[draw.ANYTIME], table.loc[draw.STATIC]
    return (
        f"The plain network answers {percent(static.answered)} in time and gets "
        f"{percent(static.right)} right; with {s.head} exits {percent(with_exits.answered)} are "
        f"answered in time and {percent(with_exits.right)} are right"
    )


def show_static(s: Scene, answers: list) -> None:
    table, moving, times = stream(s)
    views.show_sources(s.bundle, moving, times)
    told = "Answered in time: " + ", ".join(
        f"{row.way} {percent(row.answered)}" for row in table.itertuples()
    )
    ui.chart(
        draw.compared(table.reset_index(drop=True), told),
        alt=f"Answered, right and wasted. {told}.",
    )
    ui.table(table)
    st.caption(
        f"The fixed early cut always stops after layer {s.middle}, even if there is time for more."
    )


def ends(s: Scene) -> tuple[float, float]:
    """The final exit's confidence in the same answer, run alone and run with every exit on its
    way."""
    alone = ui.once(
        "lesson_alone",
        s.seen,
        lambda: ui.inference(
            s.bundle, lambda model: list(model.run(s.picture.pixels, [s.model.final_exit]))[0]
        ),
    )
    final = s.exits[-1]
    return alone.scores[final.prediction], final.confidence


def ask_training(s: Scene) -> Question:
    def answer() -> list[str]:
        alone, beside = ends(s)
        return [SAME if abs(beside - alone) < 1e-6 else (BETTER if beside > alone else WORSE)]

    return Question(
        "Exits must be trained. The simplest way is called **classifier-wise**: train the backbone "
        "first, then keep it fixed and train each exit on what its layer gives. Now "
        f"{len(s.plan) - 1} {s.head} exits stand behind the layers.",
        "When all of them run too, what happens to the answers of the final exit?",
        s.seen,
        answer=answer,
        options=[WORSE, SAME, BETTER],
    )


def tell_training(s: Scene, answers: list) -> str:
    alone, beside = ends(s)
    name = plain_label(s.exits[-1].label)
    return (
        f"Both were just run. By itself the final exit is {percent(alone, 4)} sure of '{name}', "
        f"with all exits on the way {percent(beside, 4)}. So {answers[0]}"
    )


def show_training(s: Scene, answers: list) -> None:
    ui.live_badge(s.bundle)
    own = s.bundle.card.get("strategy", "not recorded")
    st.markdown(f"The paper names three ways to train exits. Here it was: **{own}**.\n{STRATEGIES}")
    st.caption(
        "Classifier-wise training leaves the final exit as it was. The other two ways may improve "
        "early answers, but they change the backbone."
    )


STEPS = {
    step.name: step
    for step in [
        Step(
            "clock",
            "The clock stops it",
            ask_clock,
            tell=tell_clock,
            show=show_clock,
            deeper=("latency", "Move the deadline yourself"),
            picture=True,
            there=lambda s: {"exit_head": s.head, "exits": FEW, "deadline": deadline(s)},
        ),
        Step(
            "static",
            "A clock that moves",
            ask_static,
            tell=tell_static,
            show=show_static,
            deeper=("budget", "Other budgets and exits"),
            needs="accuracies",
            there=lambda s: {
                "exits": "practical",
                "cut": s.middle,
                "pictures": STREAM,
                "low": round(100 * LEAST),
                "high": round(100 * MOST),
            },
        ),
        Step(
            "training",
            "How exits are trained",
            ask_training,
            tell=tell_training,
            show=show_training,
            deeper=("models", "What this model is made of"),
            picture=True,
        ),
    ]
}
