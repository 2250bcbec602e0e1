"""Lesson: early exits in a few steps, each of them a prediction first and then the network's own
answer."""

from urllib.parse import urlencode

import streamlit as st

from mvit.bundles import weights
from pages import parts as ui
from pages.parts import link
from pages.parts.lesson import guess as guessing
from pages.parts.lesson.scene import Scene, Step
from pages.parts.lesson.steps import STEPS
from pages.parts.words import head_help

HIDEABLE = {
    "sidebar": "task, backbone, device and number format",
    "step": "jump to a step",
    "nav": "previous and next",
    "upload": "own pictures",
    "example": "the choice of pictures",
    "head": "the choice of heads",
    "go": "links to other pages",
    "teacher": "this panel",
    "export": "downloads",
    "guess": "guessing: shows the answers at once",
}


def go(number: int) -> None:
    """The buttons' callback: another step, whether its slider is on the page or hidden by the
    link."""
    if ui.hidden("step"):
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


def offer_classes(bundle: ui.Bundle) -> None:
    """For a task that counts: say which tasks the lesson can use, and switch at a click."""
    name = ui.TASK_NAMES.get(bundle.task, bundle.task)
    st.info(
        f"{name} answers with a number. This lesson asks for names - cat, ship, frog - where right and wrong are easier to see. "
        "What you learn holds for counting too.",
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
            "No task with classes is installed yet. `python -m mvit train --help` tells how to make one."
        )
    st.stop()


def missing(bundle: ui.Bundle, step: Step, scene: Scene) -> bool:
    """Whether this step cannot be asked of this bundle; says so."""
    if step.needs == "predictions":
        if scene.recorded is not None:
            return False
        st.caption(
            "This step needs those recorded answers. Every other step works; go on to the next one."
        )
        return True
    lacking = {
        "accuracies": not (bundle.card.get("exits") and "accuracy" in bundle.card.get("final", {})),
        "examples": not ui.examples(bundle.task),
    }
    if lacking.get(step.needs):
        what = (
            "the recorded accuracies of the exits"
            if step.needs == "accuracies"
            else "the example pictures"
        )
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


def walk(step: Step, scene: Scene) -> None:
    """One step: story, guess, answer."""
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
            answers = guessing.reveal(step, question, scene, guess)
        else:
            guessing.ask(step, question)
        if answers is not None and not ui.hidden("go"):
            ui.page_link(
                step.deeper[0],
                f"Go deeper: {step.deeper[1][0].lower()}{step.deeper[1][1:]}",
                icon=":material/explore:",
                query_params=travel(scene),
                help="Another page; the browser's back button returns here.",
            )
    with right:
        look(step, scene, answers is not None)
        if answers is not None:
            guessing.line(question, guess, answers)
            step.show(scene, answers)


def travel(scene: Scene) -> dict[str, str]:
    """What a link to another page takes along."""
    name = {
        "task": ui.TASK_NAMES.get(scene.bundle.task, scene.bundle.task),
        "backbone": scene.bundle.backbone,
        "head": scene.head,
    }
    return name | ({"example": st.query_params["example"]} if "example" in st.query_params else {})


def finish() -> None:
    """After the last step: what the visitor found out, in the network's own numbers."""
    known = guessing.table(STEPS)
    right, of = guessing.score()
    st.divider()
    st.subheader(f"What you found out, with {right} of {of} guesses right", anchor=False)
    st.markdown("\n".join(f"{row.step}. {row.finding}." for row in known.itertuples()))


def teacher(number: int) -> None:
    """A link that opens the lesson at this step, with as much hidden as the teacher likes."""
    st.markdown(
        "**A link for the class.** It opens this very step, with the picture, head and task of now. Choose what to leave out:"
    )
    hide = st.pills(
        "Leave out",
        list(HIDEABLE),
        selection_mode="multi",
        default=["sidebar", "teacher"],
        key="teacher_hide",
        wrap=True,
        help="\n".join(f"- **{k}**: {v}" for k, v in HIDEABLE.items()),
    )
    kept = {
        k: st.query_params.get_all(k) for k in st.query_params if k not in ("hide", "page", "step")
    }
    query = urlencode(
        {**kept, "step": number, **({"hide": ",".join(hide)} if hide else {})}, doseq=True, safe=","
    )
    st.code(f"{(st.context.url or '').split('?')[0]}?{query}", language=None, wrap_lines=True)
    st.caption("More for teachers: docs/teaching.md in the repository.")


link.title("Lesson")
bundle = ui.current()
if bundle.model.task.counts:
    offer_classes(bundle)
bar, body, foot = st.container(), st.container(), st.container()
with foot:
    panel = (
        st.expander("Jump, heads, and links for teachers", icon=":material/tune:")
        if not ui.hidden("teacher")
        else foot.container()
    )
with panel, st.container(horizontal=True, vertical_alignment="bottom"):
    number = ui.linked(
        st.slider,
        "Step",
        key="step",
        min_value=1,
        max_value=len(STEPS),
        width=420,
        help="\n".join(f"{n}. {s.title}" for n, s in enumerate(STEPS, 1)),
    )
    head = ui.linked(
        st.selectbox,
        "Head",
        key="head",
        options=bundle.heads,
        index=bundle.heads.index(bundle.best_head),
        width=200,
        help=head_help(bundle.heads),
    )
step = STEPS[number - 1]
with bar:
    right, of = guessing.score()
    with st.container(horizontal=True, vertical_alignment="center"):
        if not ui.hidden("nav"):
            st.button(
                "Previous",
                key="previous",
                shortcut="Left",
                disabled=number == 1,
                on_click=go,
                args=(number - 1,),
                help="The step before; also the left arrow key.",
            )
            st.button(
                "Next",
                key="next",
                shortcut="Right",
                on_click=go,
                disabled=number == len(STEPS),
                args=(number + 1,),
                help="The next step; also the right arrow key.",
            )
        scored = st.empty()
    st.progress(number / len(STEPS), f"Step {number} of {len(STEPS)}")
    st.header(step.title, anchor=False)
with body:
    picture = ui.pick_picture(bundle.task) if step.picture else None
    scene = Scene(bundle, head, picture)
    if not missing(bundle, step, scene):
        walk(step, scene)
    if number == len(STEPS) and guessing.score()[1]:
        finish()
right, of = guessing.score()
if of:
    scored.badge(
        f"{right} of {of} guesses right",
        icon=":material/star:",
        color="green" if right == of else "blue",
    )
with panel:
    if not ui.hidden("teacher"):
        teacher(number)
if of:
    known = guessing.table(STEPS)
    with panel, st.container(horizontal=True, vertical_alignment="bottom"):
        if not ui.hidden("export"):
            st.button(
                "Start over",
                key="over",
                icon=":material/restart_alt:",
                on_click=guessing.forget,
                help="Forget all guesses.",
            )
    with panel:
        ui.export(
            "lesson", known, bundle, {"step": number, "head": head, "right": right, "guesses": of}
        )
