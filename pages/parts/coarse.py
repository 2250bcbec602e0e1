"""The panel "From coarse to fine": at each exit the most specific thing that it is sure of."""

from collections.abc import Sequence

import pandas as pd
import streamlit as st

from mvit.charts.coarse import coarse_chart, coarse_rows
from mvit.data.tree import SURE, tree_of
from pages import parts as ui


def show(task: str, exits: Sequence, head: str) -> None:
    """Draw the panel for the exits of one head in a run, the final exit last; nothing for a task
    whose classes have no tree."""
    tree = tree_of(task)
    if tree is None:
        return
    told = [
        {"layer": e.layer, "head": e.head, "scores": e.scores}
        for e in exits
        if e.head in (head, "final")
    ]
    rows = coarse_rows(pd.DataFrame(told), tree)
    st.subheader(finding(rows), anchor=False)
    st.caption(
        f"Each bar is the most specific thing that the exit is at least {SURE:.0%} sure of: the "
        "probabilities of all classes below it in WordNet's tree, added up. Early layers know the "
        "kind long before they know the name."
    )
    lines = "; ".join(f"{r.exit}: {r.says}, {r.sure}" for r in rows.itertuples())
    ui.chart(coarse_chart(rows), f"What each exit is sure of. {lines}.")


def finding(rows: pd.DataFrame) -> str:
    """The panel's heading: the first exit that says what the final one says, and what it said
    before."""
    last = rows.iloc[-1]
    first = rows[rows.says == last.says].iloc[0]
    if first.name == 0:
        return f"Every exit is sure of {last.says}"
    before = rows.iloc[: first.name].says
    return f"First {before.iloc[0]}, then {last.says} from {first.exit} on"
