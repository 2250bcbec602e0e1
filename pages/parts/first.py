"""What the first page shows while the server still starts: a run that was recorded with the very
weights and the very picture that the page opens with. The live run takes its place."""

from __future__ import annotations

import streamlit as st

from mvit.bundles import first_view, opening
from mvit.bundles.first_view import FirstView
from pages.parts import lamps
from pages.parts.timeline import Measured, timeline
from pages.parts.timeline.runs import found, told_exit
from pages.parts.words import WORDS

TITLE = "Watch exits fire"
HELP = """The lab is still starting on this server. These answers and times were measured on the
processor and the day named, with the same weights on the same picture. A live run on this machine
takes their place in a moment."""


def intro() -> None:
    """Say what the page is about."""
    st.markdown(
        "A network answers after its last layer. An **exit** answers sooner: it is a small extra "
        "network (a **head**) behind an earlier layer. Watch when the exits know, and how much "
        "time that saves.",
        help=f"{WORDS['backbone']} {WORDS['exit']}",
    )


def show() -> bool:
    """Draw the recorded run; False, and nothing drawn, if none fits or the link asks for something
    of its own."""
    kept = None if len(st.query_params) else record()
    if kept is None:
        return False
    view, example = kept
    st.title(TITLE)
    intro()
    st.empty()  # where the page will say that it reads the weights; so all below stays in its place
    truth = example.get("truth")
    with st.container(), st.empty().container():
        measured = Measured(
            exits=view.exits,
            macs=view.macs,
            plain_ms=view.plain_ms,
            truth=truth if truth in view.exits[0].labels else None,
        )
        timeline(
            measured,
            run=f"recorded/{view.made}",
            picture=lamps.pictures({example["title"]: view.picture, lamps.SEEN: view.seen}),
            finding=found(measured, [view.head]),
            settled=told_exit(measured.exits, view.head),
            slower=100,
        )
    st.badge(
        f"recorded on {view.device}, {view.dtype}, {view.made}",
        icon=":material/inventory_2:",
        color="blue",
        help=HELP,
    )
    return True


def record() -> tuple[FirstView, dict] | None:
    """The recorded run of the model and the example that the page opens with, and that example."""
    if (opens := opening.opens_with()) is None:
        return None
    folder, example = opens
    if (view := first_view.read(folder)) is None:
        return None
    same = first_view.sha256(opening.EXAMPLES / example["file"]) == view.picture_sha256
    return (view, example) if same else None
