"""Steps of the lesson that run the network on the visitor's picture."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from mvit.charts import lesson as charts_lesson
from mvit.charts import style as charts
from mvit.charts.style import macs_text, plain_label, sure_text
from mvit.evaluation import lesson
from mvit.models.multi_exit import FINAL
from mvit.policies.outcomes import settled_layer
from pages.parts import pictures as picking
from pages.parts import shared as ui
from pages.parts.lesson.scene import Question, Scene, Step, exit_name, percent
from pages.parts.timeline import as_measured, timeline

SPEEDS = {"1x": 1, "1/10": 10, "1/100": 100}
FEW = 12  # labels that fit on a page as choices
PICTURES = 4


def ask_patches(s: Scene) -> Question:
    grid, side = s.model.backbone.grid, s.model.task.input_px
    options = [
        str(n) for n in sorted({max(1, grid // 7) ** 2, (grid // 2) ** 2, grid**2, (2 * grid) ** 2})
    ]
    return Question(
        f"A vision transformer does not read pixel by pixel. It cuts the picture into square **patches** and describes each with a list "
        f"of numbers, a **token**. This network gets {side} × {side} pixels, and a patch is {side // grid} pixels wide.",
        "How many patches does it cut the picture into?",
        (s.bundle.backbone, grid),
        lambda: [str(grid**2)],
        options,
    )


def tell_patches(s: Scene, answers: list) -> str:
    grid = s.model.backbone.grid
    return f"{grid} × {grid} = {answers[0]} patches, and so {answers[0]} tokens. One more, the class token, collects the answer"


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
        f"The tokens now pass through **{s.depth} layers**. In each of them every token looks at every other one, and changes a "
        "little. What an early layer knows about the picture, we ask next."
    )


def ask_first(s: Scene) -> Question:
    labels = list(s.model.task.labels)
    if len(labels) > FEW:  # the likeliest few, found by really asking the exit
        best = sorted(range(len(labels)), key=s.exits[0].scores.__getitem__)[-5:]
        labels = sorted(
            {*(labels[i] for i in best), s.exits[-1].label, *([s.truth] if s.truth else [])}
        )
    what = (
        f"We know that this is **{plain_label(s.truth)}**."
        if s.truth
        else "Nobody has told us what this is."
    )
    layer = s.plan[0][0]
    return Question(
        "Behind each layer we put a small classifier, an **exit**. It gives an answer before the later layers have run. "
        f"The first exit has seen the picture through {layer} of {s.depth} layers. {what}",
        f"What will the exit after layer {layer} say?",
        s.seen,
        lambda: [plain_label(s.exits[0].label)],
        [plain_label(name) for name in labels],
    )


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
        "An exit gives every possible answer a probability. That of its own answer is its **confidence**. "
        f"There are {classes} classes: who knows nothing gives each of them {percent(1 / classes)}.",
        f"How sure is the exit after layer {first.layer} of its answer '{plain_label(first.label)}'?",
        s.seen,
        lambda: [100 * s.exits[0].confidence],
        near=12,
    )


def tell_sure(s: Scene, answers: list) -> str:
    first, last = s.exits[0], s.exits[-1]
    end = f"the final exit is {sure_text(last.confidence)} sure of '{plain_label(last.label)}'"
    return f"The first exit is {sure_text(first.confidence)} sure of '{plain_label(first.label)}'; {end}"


def show_sure(s: Scene, answers: list) -> None:
    first = s.exits[0]
    best = sorted(range(len(first.scores)), key=first.scores.__getitem__, reverse=True)[:5]
    rows = pd.DataFrame(
        [(plain_label(first.labels[i]), first.scores[i]) for i in best], columns=["name", "value"]
    )
    rows["mark"] = ["its answer", *[""] * (len(rows) - 1)]
    told = f"After layer {first.layer}: '{rows.name[0]}' {percent(rows.value[0])}, then '{rows.name[1]}' {percent(rows.value[1])}"
    ui.chart(
        charts_lesson.bars(rows, "Probability", told, max(0.1, rows.value.max())),
        alt=f"The likeliest answers. {told}.",
    )
    ui.table(rows)
    if s.truth and first.label != s.truth:
        st.markdown("Sure is not the same as right: this answer is **wrong**.")


def ask_settle(s: Scene) -> Question:
    layers = [*(exit_name(*e) for e in s.plan[:-1]), "the end"]
    return Question(
        "Ask an exit after every layer. At first the answer jumps about. At some point it stays: from there on every exit says what the "
        "final exit says. We call it **settled**.",
        "From which layer on is the answer settled?",
        s.seen,
        lambda: [layers[s.exits.index(s.known)]],
        layers,
        near=1,
    )


def tell_settle(s: Scene, answers: list) -> str:
    name = plain_label(s.exits[-1].label)
    if s.known.head == FINAL:
        return f"Only the final exit says '{name}': every exit before it said something else, or wavered"
    return f"From layer {s.known.layer} on every exit says '{name}'. The layers after it change nothing about the answer"


def show_settle(s: Scene, answers: list) -> None:
    speed = ui.linked(
        st.segmented_control,
        "Replay speed",
        key="speed",
        options=list(SPEEDS),
        default="1/100",
        required=True,
        help="The run is too fast to see. The replay lights the lamps at the measured times, slowed down.",
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
        "Not every picture needs all layers. Some are settled almost at once, others only at the very end. "
        "Here are a few: look at them as the network does, small and blurred.",
        "Which of them is settled first?",
        (s.place, tuple(p.key for p in pictures)),
        answer,
        [p.title for p in pictures],
    )


def tell_easy(s: Scene, answers: list) -> str:
    at = four(s).drop_duplicates("picture").set_index("picture")["at"]
    soon, late = (
        f"settled {'only at the end' if b > s.depth else f'from layer {b} on'}"
        for b in (at.min(), at.max())
    )
    return f"{' and '.join(answers)}: {soon}. {at.idxmax()}: {late}"


def show_easy(s: Scene, answers: list) -> None:
    late = four(s).set_index("picture")["at"].idxmax()
    told = f"Settled first: {answers[0]}; last: {late}"
    ui.chart(
        charts_lesson.answers(four(s), s.depth, told),
        alt=f"Answers by picture and layer. {tell_easy(s, answers)}.",
    )
    ui.table(four(s))
    if s.has_predictions and s.recorded is not None:
        at = settled_layer(s.test)
        soon, late = (at <= s.depth // 3).mean(), ((at > 2 * s.depth // 3) & (at <= s.depth)).mean()
        ui.recorded_badge(s.bundle, f"{len(at):,} pictures")
        st.markdown(
            f"Over the whole test set **{percent(soon)}** are right for good within the first third of the layers; "
            f"only **{percent(late)}** need the last third."
        )


def ask_work(s: Scene) -> Question:
    full = s.model.exit_macs(s.depth, FINAL)
    return Question(
        f"Work is counted in **multiply-accumulates** (MACs): a multiplication and an addition. The whole backbone takes "
        f"{macs_text(full)} of them for one picture. An exit saves the layers after it, but its own small network costs something too.",
        f"The {s.head} exit after layer {s.middle} of {s.depth}: what share of the full work has been done when it answers?",
        s.place,
        lambda: [100 * s.model.exit_macs(s.middle, s.head) / full],
        near=7,
    )


def tell_work(s: Scene, answers: list) -> str:
    fired = next(e for e in s.exits if e.layer == s.middle and e.head == s.head)
    own = s.model.head_macs(s.middle, s.head)
    return (
        f"{macs_text(fired.macs)} MACs, {percent(answers[0] / 100)} of the full work; {macs_text(own)} of it in the head. "
        f"Measured here: {fired.ms:.1f} ms, against {s.run['plain']:.1f} ms for the plain backbone"
    )


def show_work(s: Scene, answers: list) -> None:
    ui.live_badge(s.bundle, s.run)
    fired = next(e for e in s.exits if e.layer == s.middle and e.head == s.head)
    share = percent(fired.ms / s.run["plain"])
    told = f"Work grows layer by layer: {percent(answers[0] / 100)} of it after layer {s.middle}"
    ui.chart(charts.macs_by_layer(s.rows, told), alt=f"MACs by layer. {told}.")
    told = f"Time follows the work: {share} of the plain backbone's time after layer {s.middle}"
    ui.chart(charts.time_by_layer(s.rows, s.run["plain"], told), alt=f"Time by layer. {told}.")
    ui.table(s.rows[["layer", "head", "ms", "head_ms", "macs"]])


STEPS = {
    step.name: step
    for step in [
        Step(
            "patches",
            "A picture becomes tokens",
            ask_patches,
            tell_patches,
            show_patches,
            ("watch", "Watch exits fire"),
            picture=True,
            stage=stage_patches,
        ),
        Step(
            "first",
            "The first guess",
            ask_first,
            tell_first,
            show_first,
            ("watch", "Watch every exit answer"),
            picture=True,
        ),
        Step(
            "sure",
            "How sure is it?",
            ask_sure,
            tell_sure,
            show_sure,
            ("compare", "See every exit's confidence"),
            picture=True,
        ),
        Step(
            "settle",
            "When does it know?",
            ask_settle,
            tell_settle,
            show_settle,
            ("watch", "Watch it with other heads"),
            picture=True,
        ),
        Step(
            "easy",
            "Easy and hard pictures",
            ask_easy,
            tell_easy,
            show_easy,
            ("rules", "Easy and hard classes"),
            needs="examples",
            stage=stage_easy,
        ),
        Step(
            "work",
            "What an answer costs",
            ask_work,
            tell_work,
            show_work,
            ("compare", "What each head costs"),
            picture=True,
        ),
    ]
}
