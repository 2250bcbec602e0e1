"""Steps of the lesson on what the exits say about the visitor's picture."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from mvit.charts import lesson as charts_lesson
from mvit.charts.style import plain_label, sure_text
from mvit.evaluation import lesson
from mvit.models.multi_exit import FINAL
from pages import parts as ui
from pages.parts import pictures as picking
from pages.parts.lesson.scene import Question, Scene, Step, exit_name
from pages.parts.timeline import timeline
from pages.parts.timeline.page import ALL, as_measured
from pages.parts.words import WORDS, about, percent

SPEEDS = {"1x": 1, "1/10": 10, "1/100": 100}
FEW = 12  # labels that fit on a page as choices
PICTURES = 4


def ask_patches(s: Scene) -> Question:
    grid, side = s.model.backbone.grid, s.model.task.input_px
    options = [
        str(n) for n in sorted({max(1, grid // 7) ** 2, (grid // 2) ** 2, grid**2, (2 * grid) ** 2})
    ]
    return Question(
        "A vision transformer does not read pixel by pixel. It cuts the picture into square "
        "**patches** and describes each with a list of numbers, a **token**. This network gets "
        f"{side} × {side} pixels, and a patch is {side // grid} pixels wide.",
        "How many patches does it cut the picture into?",
        (s.bundle.backbone, grid),
        answer=lambda: [str(grid**2)],
        options=options,
    )


def tell_patches(s: Scene, answers: list) -> str:
    grid = s.model.backbone.grid
    return (
        f"{grid} × {grid} = {answers[0]} patches, and so {answers[0]} tokens. One more, the class "
        "token, collects what the answer needs"
    )


def stage_patches(s: Scene, told: bool) -> None:
    cut = lesson.gridded(s.small, s.model.backbone.grid) if told else s.small
    st.image(
        cut,
        width=340,
        caption=f"{s.picture.title}, as the network gets it",
        alt=f"{s.picture.title}, as the network gets it",
    )


def show_patches(s: Scene, answers: list) -> None:
    st.markdown(
        f"The tokens now pass through **{s.depth} layers**. In each layer every token looks at "
        "every other token and changes a little. The next step asks what the first layers already "
        "know about the picture."
    )


def ask_first(s: Scene) -> Question:
    labels = list(s.model.task.labels)
    if len(labels) > FEW:  # the likeliest few, found by really asking the exit
        best = sorted(range(len(labels)), key=s.exits[0].scores.__getitem__)[-5:]
        labels = sorted(
            {*(labels[i] for i in best), s.exits[-1].label, *([s.truth] if s.truth else [])}
        )
    what = (
        f"The right answer is **{plain_label(s.truth)}**."
        if s.truth
        else "It is none of the classes that this network knows, so no answer can be right."
        if s.picture.source == ui.EXAMPLE
        else "The lab does not know what your photo shows, so no answer is marked right or wrong."
    )
    layer = s.plan[0][0]
    return Question(
        "Behind each layer we put a small network, an **exit**. It gives an answer before the "
        "later layers have run. The kind of small network is called its **head**; here every exit "
        f"has the head `{s.head}`. {what_it_does(s.head)} The first exit has seen "
        f"the picture through {layer} of {s.depth} layers. {what}",
        f"What will the exit after layer {layer} say?",
        s.seen,
        answer=lambda: [plain_label(s.exits[0].label)],
        options=[plain_label(name) for name in labels],
    )


def what_it_does(head: str) -> str:
    """A head in whole sentences, for somebody who has never heard of a class token."""
    does = f"It {about(head).split('. ')[0].rstrip('.')}."
    return f"{does} {WORDS['class token']}" if "class token" in does else does


def verdict(label: str, truth: str | None) -> str:
    return "" if truth is None else (" ✓" if label == truth else " ✗")


def tell_first(s: Scene, answers: list) -> str:
    own = (
        ""
        if s.truth is None
        else (" - and is right" if s.exits[0].label == s.truth else " - and is wrong")
    )
    return f"The exit after layer {s.exits[0].layer} says '{answers[0]}'{own}"


def first_answers(s: Scene, pictures: list[ui.Picture]) -> list[str]:
    """What the first exit says about several pictures; the later layers never run."""

    def work(model) -> list[str]:
        return [next(iter(model.run(p.pixels, s.plan[:1]))).label for p in pictures]

    return ui.once(
        "lesson_first",
        (s.place, tuple(p.key for p in pictures)),
        lambda: ui.inference(s.bundle, work),
    )


def show_first(s: Scene, answers: list) -> None:
    others = [p for p in gallery(s, PICTURES + 1) if p.key != s.picture.key][:PICTURES]
    if not others:
        return
    st.markdown("**The same exit on other pictures.** Rough shapes and colours are all it has.")
    with st.spinner("Asking the exit about other pictures …", show_time=True):
        said = first_answers(s, others)
    with st.container(horizontal=True):
        for p, label in zip(others, said, strict=True):
            known = p.truth if p.truth in s.model.task.labels else None
            name = f"'{plain_label(label)}'{verdict(label, known)}"
            st.image(
                s.model.task.seen(p.pixels),
                width=112,
                caption=name,
                alt=f"{p.title}: the first exit says {name}",
            )


def gallery(s: Scene, n: int = PICTURES) -> list[ui.Picture]:
    """A few of the bundled examples, spread over all of them, those with a known label first."""
    known = ui.examples(s.bundle.task)
    names = [k for k, e in known.items() if e.get("truth") in s.model.task.labels] or list(known)
    names = names[:: max(1, len(names) // n)][:n]
    return [picking.shown(known, name) for name in names]


def ask_sure(s: Scene) -> Question:
    first, classes = s.exits[0], s.model.task.outputs
    return Question(
        "An exit gives every possible answer a probability. The probability of the answer that it "
        f"gives is its **confidence**. There are {classes:,} classes: an exit that knows nothing "
        f"would give each of them {percent(1 / classes, 0 if classes <= 100 else 1)}.",
        f"How sure is the exit after layer {first.layer} that it is '{plain_label(first.label)}'?",
        s.seen,
        answer=lambda: [100 * s.exits[0].confidence],
        near=12,
    )


def tell_sure(s: Scene, answers: list) -> str:
    first, last = s.exits[0], s.exits[-1]
    said = [f"{sure_text(e.confidence)} sure of '{plain_label(e.label)}'" for e in (first, last)]
    return f"The first exit is {said[0]}; the final exit is {said[1]}"


def show_sure(s: Scene, answers: list) -> None:
    first = s.exits[0]
    best = sorted(range(len(first.scores)), key=first.scores.__getitem__, reverse=True)[:5]
    rows = pd.DataFrame(
        [(plain_label(first.labels[i]), first.scores[i]) for i in best], columns=["name", "value"]
    )
    rows["mark"] = ["its answer", *[""] * (len(rows) - 1)]
    top = [f"'{name}' {percent(value)}" for name, value in zip(rows.name, rows.value, strict=True)]
    told = f"After layer {first.layer}: {top[0]}, then {top[1]}"
    ui.chart(
        charts_lesson.bars(rows, "Probability", told, top=max(0.1, rows.value.max())),
        alt=f"The likeliest answers. {told}.",
    )
    ui.table(rows)
    if s.truth and first.label != s.truth:
        st.markdown("Sure is not the same as right: this answer is **wrong**.")


def ask_settle(s: Scene) -> Question:
    layers = [*(exit_name(*e) for e in s.plan[:-1]), "the end"]
    return Question(
        "Ask an exit after every layer. At first the answer changes from layer to layer. At some "
        "point it stays: from there on every exit says what the final exit says. Then the answer "
        "is **settled**.",
        "From which layer on is the answer settled?",
        s.seen,
        answer=lambda: [layers[s.exits.index(s.known)]],
        options=layers,
        near=1,
    )


def tell_settle(s: Scene, answers: list) -> str:
    name = plain_label(s.exits[-1].label)
    if s.known.head == FINAL:
        return f"Only at the end: the last exit before it still said something else than '{name}'"
    return (
        f"From layer {s.known.layer} on every exit says '{name}'. The later layers do not change "
        "the answer"
    )


def show_settle(s: Scene, answers: list) -> None:
    speed = ui.linked(
        st.segmented_control,
        "Replay speed",
        key="speed",
        options=list(SPEEDS),
        default="1/100",
        required=True,
        help="The run is too fast to see. The replay lights the lamps at the measured times, "
        "slowed down.",
    )
    ui.replay_badge(
        "replay of measured times, "
        + ("real time" if speed == "1x" else f"{SPEEDS[speed]}× slower")
    )
    timeline(
        as_measured(s.run, s.bundle, s.truth), run="/".join(map(str, s.seen)), slower=SPEEDS[speed]
    )
    st.caption(
        "A brighter lamp is a surer exit. ✓ right, ✗ wrong, where the right answer is known."
    )


STEPS = {
    step.name: step
    for step in [
        Step(
            "patches",
            "A picture becomes tokens",
            ask_patches,
            tell=tell_patches,
            show=show_patches,
            deeper=("watch", "Watch exits fire"),
            picture=True,
            stage=stage_patches,
        ),
        Step(
            "first",
            "The first guess",
            ask_first,
            tell=tell_first,
            show=show_first,
            deeper=("watch", "Watch every exit answer"),
            picture=True,
        ),
        Step(
            "sure",
            "How sure is it?",
            ask_sure,
            tell=tell_sure,
            show=show_sure,
            deeper=("compare", "See every exit's confidence"),
            picture=True,
        ),
        Step(
            "settle",
            "When does it know?",
            ask_settle,
            tell=tell_settle,
            show=show_settle,
            deeper=("watch", "Watch it with other heads"),
            picture=True,
            there=lambda s: {"exits": ALL},
        ),
    ]
}
