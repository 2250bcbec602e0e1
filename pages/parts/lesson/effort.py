"""Steps of the lesson on how much of the network an answer needs: easy and hard pictures, and what
an answer costs."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from mvit.charts import lesson as charts_lesson
from mvit.charts import style as charts
from mvit.charts.style import macs_text, plain_label
from mvit.evaluation import lesson
from mvit.models.multi_exit import FINAL
from mvit.policies.outcomes import prediction_depth
from pages import parts as ui
from pages.parts.lesson.picture import gallery
from pages.parts.lesson.scene import Question, Scene, Step
from pages.parts.words import percent


def four(s: Scene) -> pd.DataFrame:
    """One head's answers on a few pictures: picture, layer (depth + 1: final), label, confidence,
    settled, at (layer where settled)."""
    pictures = gallery(s)

    def work(model) -> pd.DataFrame:
        rows = []
        for p in pictures:
            exits = list(model.run(p.pixels, s.plan))
            start = lesson.settled([e.label for e in exits])
            places = [e.layer + (e.head == FINAL) for e in exits]
            rows += [
                (p.title, places[k], plain_label(e.label), e.confidence, k >= start, places[start])
                for k, e in enumerate(exits)
            ]
        return pd.DataFrame(
            rows, columns=["picture", "layer", "label", "confidence", "settled", "at"]
        )

    with st.spinner("Running all these pictures …", show_time=True):
        return ui.once(
            "lesson_four",
            (s.place, tuple(p.key for p in pictures)),
            lambda: ui.inference(s.bundle, work),
        )


def stage_easy(s: Scene, told: bool) -> None:
    with st.container(horizontal=True):
        for p in gallery(s):
            st.image(
                s.model.task.seen(p.pixels),
                width=112 if told else 200,
                caption=p.title,
                alt=f"{p.title}, as the model sees it",
            )


def ask_easy(s: Scene) -> Question:
    pictures = gallery(s)

    def answer() -> list[str]:
        at = four(s).drop_duplicates("picture").set_index("picture")["at"]
        return at[at == at.min()].index.tolist()

    return Question(
        "Not every picture needs all layers. Some are settled almost at once, others only at the "
        "very end. Here are a few: look at them as the network does, small and blurred.",
        "Which of them is settled first?",
        (s.place, tuple(p.key for p in pictures)),
        answer=answer,
        options=[p.title for p in pictures],
    )


def tell_easy(s: Scene, answers: list) -> str:
    at = four(s).drop_duplicates("picture").set_index("picture")["at"]
    soon, late = (
        "only at the end" if b > s.depth else f"from layer {b} on" for b in (at.min(), at.max())
    )
    return f"Settled first: {' and '.join(answers)}, {soon}. Last: {at.idxmax()}, {late}"


def show_easy(s: Scene, answers: list) -> None:
    late = four(s).set_index("picture")["at"].idxmax()
    told = f"Settled first: {answers[0]}; last: {late}"
    ui.chart(
        charts_lesson.answers(four(s), s.depth, told),
        alt=f"Answers by picture and layer. {tell_easy(s, answers)}.",
    )
    table = four(s).drop(columns="at")
    ui.table(table.assign(layer=[str(b) if b <= s.depth else "final" for b in table.layer]))
    if s.has_predictions and s.recorded is not None:
        at = prediction_depth(s.test)  # right or wrong, as settled is explained a step before
        soon, late = (at <= s.depth // 3).mean(), (at > 2 * s.depth // 3).mean()
        ui.recorded_badge(s.bundle, f"{len(at):,} pictures")
        st.markdown(
            f"Of the whole test set, the answers to **{percent(soon)}** of the pictures settle "
            f"within the first third of the layers, those to **{percent(late)}** in the last third."
        )


def ask_work(s: Scene) -> Question:
    full = s.model.exit_macs(s.depth, FINAL)
    return Question(
        "Work is counted in **multiply-accumulates** (MACs): a multiplication and an addition. "
        f"The network without exits (its **backbone**) takes {macs_text(full)} MACs for one "
        "picture (M: million, G: billion). An exit saves the layers after it, but its head costs "
        "something too.",
        f"The {s.head} exit answers after layer {s.middle} of {s.depth}. What share of the full "
        "work has been done by then?",
        s.place,
        answer=lambda: [100 * s.model.exit_macs(s.middle, s.head) / full],
        near=7,
    )


def tell_work(s: Scene, answers: list) -> str:
    fired = next(e for e in s.exits if e.layer == s.middle and e.head == s.head)
    own = s.model.head_macs(s.middle, s.head)
    return (
        f"{macs_text(fired.macs)} MACs, {percent(answers[0] / 100)} of the full work; the head "
        f"alone takes {macs_text(own)} MACs. Measured here: {fired.ms:.1f} ms; the plain network "
        f"needs {s.plain_ms:.1f} ms"
    )


def show_work(s: Scene, answers: list) -> None:
    ui.live_badge(s.bundle, s.run)
    ui.plain_badge(ui.plain(s.bundle, s.run["plain"]))
    fired = next(e for e in s.exits if e.layer == s.middle and e.head == s.head)
    share = percent(fired.ms / s.plain_ms)
    told = f"After layer {s.middle}, {percent(answers[0] / 100)} of the work is done"
    ui.chart(charts.macs_by_layer(s.rows, told), alt=f"MACs by layer. {told}.")
    told = f"After layer {s.middle} it has taken {share} of the plain network's time"
    ui.chart(charts.time_by_layer(s.rows, s.plain_ms, told), alt=f"Time by layer. {told}.")
    ui.table(s.rows[["layer", "head", "ms", "head_ms", "macs"]])


STEPS = {
    step.name: step
    for step in [
        Step(
            "easy",
            "Easy and hard pictures",
            ask_easy,
            tell=tell_easy,
            show=show_easy,
            deeper=("rules", "Easy and hard classes"),
            needs="examples",
            stage=stage_easy,
        ),
        Step(
            "work",
            "What an answer costs",
            ask_work,
            tell=tell_work,
            show=show_work,
            deeper=("compare", "What each head costs"),
            picture=True,
            there=lambda s: {"left": s.head, "layer": s.middle},
        ),
    ]
}
