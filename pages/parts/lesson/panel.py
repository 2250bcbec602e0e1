"""The teacher's panel of the lesson: which steps, which head, and a link that hides the rest."""

from __future__ import annotations

from urllib.parse import urlencode

import streamlit as st

from pages import parts as ui
from pages.parts.lesson.scene import Step
from pages.parts.lesson.steps import STEPS
from pages.parts.words import head_help

HIDEABLE = {
    "sidebar": "task, backbone, device and number format",
    "step": "the slider that jumps to a step",
    "nav": "previous and next, the menu, and links to other pages",
    "upload": "own pictures",
    "example": "the choice of pictures",
    "head": "the choice of heads",
    "go": "links to other pages",
    "teacher": "this panel, with the choice of steps and heads",
    "export": "downloads",
    "guess": "guessing: shows the answers at once",
}


def teacher(number: int, picture: ui.Picture | None) -> None:
    """A link that opens the lesson at this step, with as much hidden as the teacher likes."""
    st.markdown(
        "**A link for the class.** It opens this very step, with the picture, head and task that "
        "are chosen now. Choose what to leave out:"
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
    own = picture is not None and picture.source != ui.EXAMPLE
    left = {"hide", "page", "step"} | ({"example"} if own else set())
    query = {k: st.query_params.get_all(k) for k in st.query_params if k not in left}
    query |= {"step": number} | ({"hide": ",".join(hide)} if hide else {})
    address = (st.context.url or "").split("?")[0]
    st.code(f"{address}?{urlencode(query, doseq=True, safe=',')}", language=None, wrap_lines=True)
    if own:
        st.caption("Your photo is not in this link: it opens an example instead.")
    st.caption("More for teachers: docs/teaching.md in the repository.")


def controls(bundle: ui.Bundle) -> tuple[list[Step], int, str]:
    """Draw the controls of the teacher's panel: which steps there are, the present one's number,
    and the head."""
    left_out = ui.linked(
        st.pills,
        "Leave out steps",
        key="skip",
        part_of="teacher",
        options=[s.name for s in STEPS],
        selection_mode="multi",
        wrap=True,
        help="\n".join(f"- **{s.name}**: {s.title}" for s in STEPS),
    )
    steps = [s for s in STEPS if s.name not in left_out] or STEPS
    number = 1
    if len(steps) > 1:
        number = ui.linked(
            st.slider,
            "Step",
            key="step",
            part_of="teacher",
            min_value=1,
            max_value=len(steps),
            width=420,
            help="\n".join(f"{n}. {s.title}" for n, s in enumerate(steps, 1)),
        )
    head = ui.linked(
        st.selectbox,
        "Head",
        key="head",
        part_of="teacher",
        options=bundle.heads,
        index=bundle.heads.index(bundle.best_head),
        width=200,
        help=head_help(bundle.heads),
    )
    return steps, min(number, len(steps)), head
