"""Lesson: early exits in a few steps, each of them a prediction first and then the network's own
answer."""

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from mvit.bundles import weights
from mvit.evaluation import lesson
from pages import parts as ui
from pages.parts.lesson import guess as guessing
from pages.parts.lesson import panel as teaching
from pages.parts.lesson.scene import Scene, Step


def go(number: int) -> None:
    """The buttons' callback: another step, whether its slider is on the page or hidden by the
    link."""
    if ui.hidden("step", "teacher"):
        st.query_params["step"] = str(number)
    else:
        st.session_state["step"] = number


def switch(task: str) -> None:
    """The button's callback: another task, whether the sidebar has its menu or the link hides
    it."""
    if ui.hidden("sidebar"):
        st.query_params["task"] = task
    else:
        st.session_state["task"] = task


def offer_classes(counts: str) -> None:
    """For a task that counts: say which tasks the lesson can use, and switch at a click."""
    name = ui.TASK_NAMES.get(counts, counts)
    st.info(
        f"{name} answers with a number. This lesson asks for names - cat, ship, frog - where right "
        "and wrong are easier to see. What you learn holds for counting too.",
        title="The lesson uses a task with classes",
        icon=":material/school:",
    )
    tasks = []
    for task, backbone in weights.bundles():
        try:
            if not weights.task_of(weights.card_of(task, backbone)).counts:
                tasks.append(task)
        except (weights.WeightsError, KeyError):
            continue
    for task in dict.fromkeys(tasks):
        st.button(
            f"Start with {ui.TASK_NAMES.get(task, task)}",
            key=f"switch_{task}",
            icon=":material/play_arrow:",
            on_click=switch,
            args=(task,),
            help="The same as choosing this task in the sidebar.",
        )
    if not tasks:
        st.markdown(
            "No task with classes is installed yet. `python -m mvit train --help` says how to "
            "make one."
        )
    st.stop()


def missing(bundle: ui.Bundle, step: Step, scene: Scene) -> bool:
    """Whether this step cannot be asked of this bundle; says so."""
    if step.needs in ("predictions", "mistakes"):
        if scene.recorded is None:
            st.caption("This step needs those recorded answers. Go on to the next one.")
            return True
        test = scene.test
        few = len(test.truth) < lesson.ENOUGH
        none = step.needs == "mistakes" and test.correct[-1].all()
        if few or none:
            st.info(
                f"This step is about many pictures, and this model has {len(test.truth)} test "
                f"pictures{' and makes no mistake' if none else ''}: too few to say. Go on to the "
                "next one.",
                icon=":material/skip_next:",
            )
        return few or none
    there = bundle.card.get("exits") and "accuracy" in bundle.card.get("final", {})
    differ = there and lesson.widest_layer(bundle.accuracies, bundle.heads) is not None
    has, what = {
        "accuracies": (there, "the recorded accuracies of the exits"),
        "heads": (differ, "the recorded accuracies of several heads"),
        "examples": (ui.examples(bundle.task), "the example pictures"),
    }.get(step.needs, (True, ""))
    if not has:
        st.info(
            f"This step needs {what}, and this installation has none. Go on to the next one.",
            icon=":material/skip_next:",
        )
        return True
    return False


def look(step: Step, scene: Scene, told: bool) -> None:
    """What there is to look at before guessing, and after."""
    if step.stage:
        step.stage(scene, told)
    elif step.picture:
        width = 120 if told else 168
        with st.container(horizontal=True):
            st.image(
                scene.picture.preview,
                width=width,
                caption=scene.picture.title,
                alt=scene.picture.title,
            )
            st.image(
                scene.small,
                width=width,
                caption="What the network sees",
                alt="The reduced picture that the network sees",
            )


def walk(step: Step, scene: Scene, following: int | None) -> None:
    """One step: story, guess, answer, and the way on. following: the next step's number, if there
    is one."""
    left, right = st.columns([2, 3], gap="large")
    with left:
        story, controls = st.container(), st.container()
        with controls:
            question = step.ask(scene)
        story.markdown(question.story)
        st.markdown(f"**{question.text}**", help=question.help)
        guess = guessing.made(step, question)
        answers = None
        if guess is not None or ui.hidden("guess"):
            answers = guessing.reveal(step, question, scene, guess=guess)
        else:
            guessing.ask(step, question)
        if answers is not None:
            if following and not ui.hidden("nav"):
                st.button("Next", key="on", on_click=go, args=(following,))
            if not ui.hidden("go"):
                name, label = step.deeper
                ui.page_link(
                    name,
                    f"Go deeper: {label[0].lower()}{label[1:]}",
                    icon=":material/explore:",
                    query_params=travel(step, scene),
                    help="Another page; the browser's back button returns here.",
                )
    with right:
        look(step, scene, answers is not None)
        if answers is not None:
            guessing.line(question, guess, answers)
            step.show(scene, answers)


def travel(step: Step, scene: Scene) -> dict[str, str]:
    """What a link to another page takes along."""
    name = {
        "task": ui.TASK_NAMES.get(scene.bundle.task, scene.bundle.task),
        "backbone": scene.bundle.backbone,
        "head": scene.head,
    }
    name |= {key: str(value) for key, value in step.there(scene).items()}
    return name | ({"example": st.query_params["example"]} if "example" in st.query_params else {})


def finish(steps: list[Step]) -> None:
    """After the last step: what the visitor found out, in the network's own numbers."""
    right, of = guessing.score()
    st.divider()
    st.subheader(f"What you found out, with {right} of {of} guesses right", anchor=False)
    found = guessing.table(steps).itertuples()
    st.markdown("\n".join(f"{row.step}. {row.finding}." for row in found))


def turn(number: int, last: int) -> None:
    """The buttons to the steps before and after; the arrow keys press them too."""
    if ui.hidden("nav"):
        return
    for name, key, there in (("Previous", "Left", number - 1), ("Next", "Right", number + 1)):
        st.button(
            name,
            key=name.lower(),
            shortcut=key,
            disabled=not 1 <= there <= last,
            on_click=go,
            args=(there,),
            help=f"Also the {key.lower()} arrow key.",
        )


def keep_score(scored: DeltaGenerator) -> int:
    """Show how many guesses were right; how many there were."""
    right, of = guessing.score()
    if of:
        colour = "green" if right == of else "blue"
        scored.badge(f"{right} of {of} guesses right", icon=":material/star:", color=colour)
    return of


@ui.page("Lesson")
def page() -> None:
    if ui.counting():
        offer_classes(st.session_state["_choice"][0])
    bundle = ui.current()
    bar, body, below, foot = (st.container() for _ in range(4))
    panel = foot.container()
    if not ui.hidden("teacher"):
        panel = foot.expander("Jump, heads, and links for teachers", icon=":material/tune:")
    with panel:
        steps, number, head = teaching.controls(bundle)
    step, last = steps[number - 1], len(steps)
    with bar:
        with st.container(horizontal=True, vertical_alignment="center"):
            turn(number, last)
            st.progress(number / last, f"Step {number} of {last}")
            scored = st.empty()
        st.header(step.title, anchor=False)
    with below:
        picture = ui.pick_picture(bundle.task) if step.picture else None
        if (which := ui.other_model()) and not ui.hidden("nav"):
            st.caption(which.strip())
    with body:
        scene = Scene(bundle, head, picture)
        if not missing(bundle, step, scene):
            walk(step, scene, number + 1 if number < last else None)
        if number == last and guessing.score()[1]:
            finish(steps)
    of = keep_score(scored)
    with panel:
        if not ui.hidden("teacher"):
            teaching.teacher(number, picture)
        if of and not ui.hidden("export"):
            st.button(
                "Start over",
                key="over",
                icon=":material/restart_alt:",
                on_click=guessing.forget,
                help="Forget all guesses.",
            )
        if of:
            about = {"step": number, "head": head, "right": guessing.score()[0], "guesses": of}
            ui.export("lesson", guessing.table(steps), bundle, settings=about)
