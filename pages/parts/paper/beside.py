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
        "points": rows.difference.map("{:+.2f}".format, na_action="ignore").fillna(UNLIKE),
    }
    st.table(
        pd.DataFrame(told),
        border="horizontal",
        hide_index=True,
        alt="What the paper reports beside what we measured",
    )
    st.caption(f"We measured: {'; '.join(rows.ours_is)}.")
    if rows.difference.isna().any():
        st.caption(other_training(task, card))


def other_training(task: str, card: dict) -> str:
    """Why an exit of the paper's and ours cannot be subtracted, and what ours reach when they are
    trained as the paper's was, if Table I was measured."""
    said = next(r for r in paper.accuracies(task) if r.head)
    told = (
        "The exit's two numbers cannot be compared: the paper's was trained "
        f"{said.strategy}, which also trains the layers below it, ours "
        f"{card.get('strategy', 'in a way not recorded')}."
    )
    table = paper.table1(task, card)
    if table is None or table["layer"] != said.layer:
        return told
    rows = table["rows"]
    like = rows[(rows.strategy == said.strategy) & (rows["head"] == said.head)]
    if like.empty:
        return told
    px = table["budget"]["px"]
    right = words.percent(like.accuracy.iloc[0], 2)
    return (
        f"{told} Trained {said.strategy} like the paper's, {said.head} after layer {said.layer} "
        f"gets {right} right here, on smaller pictures ({px} × {px} pixels; see Table I below)."
    )
