"""The few numbers that the paper reports, beside what we measured."""

from __future__ import annotations

from functools import partial

import pandas as pd
import streamlit as st

from mvit.evaluation import paper
from pages import parts as ui
from pages.parts import words

PAPER = "Bakhtiarnia, Zhang, Iosifidis: Multi-Exit Vision Transformer for Dynamic Inference (2021)"
UNLIKE = "trained differently"


def reported(task: str) -> pd.DataFrame:
    """The accuracies that the paper reports for a task, with the words for the legend."""
    said = paper.accuracies(task)
    # short, since it stands in the legend of a phone
    whose = [
        f"{r.head} {r.layer}, {r.strategy}" if r.head else f"plain {paper.BACKBONE}" for r in said
    ]
    rows = [(f"paper: {r.value:.2%} ({w})", r.value) for r, w in zip(said, whose, strict=True)]
    return pd.DataFrame(rows, columns=["text", "accuracy"])


def show(task: str, card: dict) -> None:
    """The paper's numbers beside ours."""
    rows = paper.side_by_side(task, card)
    if rows.empty:
        st.caption(
            f"The paper reports no number for {ui.TASK_NAMES.get(task, task)} to compare with ours."
        )
        return
    st.subheader("Beside what the paper reports", anchor=False, help=PAPER)
    two_digits = partial(words.percent, digits=2)
    told = {
        "what": rows.what,
        "the paper reports": rows.paper.map(two_digits),
        "we measured": rows.ours.map(two_digits),
        "points": rows.difference.map("{:+z.2f}".format, na_action="ignore").fillna(UNLIKE),
    }
    st.table(
        pd.DataFrame(told),
        border="horizontal",
        hide_index=True,
        alt="What the paper reports beside what we measured",
    )
    st.caption(f"We measured: {'; '.join(rows.ours_is)}.")
    if told := other_training(task, card):
        st.caption(told)


def other_training(task: str, card: dict) -> str:
    """What to know of an exit that was trained in another way than the paper's was; nothing if it
    was trained like that."""
    said = next((r for r in paper.accuracies(task) if r.head), None)
    how = card.get("strategy", "in a way not recorded")
    if said is None or how == said.strategy:
        return ""
    exits = paper.exits_of(card)
    own = exits[(exits.layer == said.layer) & (exits["head"] == said.head)].accuracy
    told = []
    if alike := paper.trained_alike(task, card, said):
        told += [
            f"Our exit is from Table I below, where it was trained {said.strategy} like the "
            f"paper's, on smaller pictures ({alike[1]} × {alike[1]} pixels)."
        ]
        told += [
            f"The one in the figure above was trained {how} and gets {words.percent(right, 2)} "
            "right."
            for right in own
        ]
    elif len(own):
        told += [
            "The exit's two numbers cannot be compared: the paper's was trained "
            f"{said.strategy}, which also trains the layers below it, ours {how}."
        ]
    return " ".join(told)
