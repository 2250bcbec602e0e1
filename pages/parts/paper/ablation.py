"""What came after the paper: ways to train exits and backbone together, compared at equal cost."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from mvit.charts import since as draw
from mvit.evaluation.ablation import BASE, ablation
from mvit.evaluation.paper import chance
from pages import parts as ui
from pages.parts import columns

MEANING = """All begin from the same pre-trained weights and see the same number of pictures, with
  one exit after every layer.

- **end-to-end**: the paper's way; backbone and exits learn together from the start
- **mixed regime**: the backbone learns alone for the first half, then together with its exits
  (Kubaty et al., 2025)
- **self-distillation**: an exit learns the final exit's answer as well as the label
  (Phuong and Lampert, 2019)
- **gradient equilibrium**: every layer learns equally much from all exits above it
  (Li et al., 2019)
- **patch average**: the exit `mlp_mean` also reads the average of all patches, `mlp` only the
  class token
- **no exits**: the plain network, which the final exit is compared with"""
TITLE = "What came after the paper"


def show(bundle: ui.Bundle) -> None:
    """Each way's gain at every exit, the same in sentences, and the cost that all had."""
    found = ablation(bundle.task, bundle.card)
    if found is None:
        return
    rows, depth, n = found["rows"], found["depth"], found["n"]
    st.subheader(TITLE, anchor=False, help=MEANING)
    others = rows[rows.gain.notna() & ~rows.way.isin([BASE, *without_exits(rows)])]
    if others.empty:
        return
    ui.recorded_badge(bundle, f"{n:,} pictures, one exit after every layer")
    noise = max(chance(share, n) for share in rows[rows.way == BASE].accuracy)
    told = finding(others)
    shown = others.assign(layer=others.layer.astype(str).where(others.exit == "early", "final"))
    ui.chart(draw.gains(shown, depth, told), alt=f"{told}.", key="since_gains")
    st.markdown("\n".join(f"- {line}" for line in lines(rows, noise)))
    st.caption(cost(found))
    table = wide(rows, depth)
    shares = dict.fromkeys(table.columns[1:], columns.share())
    ui.table(table, "All exits as a table", column_config=shares)


def without_exits(rows: pd.DataFrame) -> list[str]:
    """The ways that have a final exit alone."""
    early = set(rows[rows.exit == "early"].way)
    return [way for way in dict.fromkeys(rows.way) if way not in early]


def finding(others: pd.DataFrame) -> str:
    """Which way helps early exits most, and what it does to the final one."""
    early = others[others.exit == "early"].groupby("way").gain.mean()
    final = others[others.exit == "final"].set_index("way").gain
    best = early.idxmax()
    if early[best] <= 0:
        return "None of these ways helps the early exits on average"
    return (
        f"{best[0].upper()}{best[1:]} helps early exits most: {early[best]:+.1f} points on "
        f"average, {final[best]:+.1f} at the final exit"
    )


def lines(rows: pd.DataFrame, noise: float) -> list[str]:
    """What each way reaches or changes, and whether that could be chance."""
    found = []
    for way in dict.fromkeys(rows.way):
        own = rows[rows.way == way]
        early, final = own[own.exit == "early"], own[own.exit == "final"].iloc[0]
        doubt = " (could be chance)" if abs(final.gain) <= noise else ""
        if way == BASE:
            some = early[early.layer % 3 == 0].itertuples()
            levels = ", ".join(f"{100 * e.accuracy:.1f} % after layer {e.layer}" for e in some)
            right = f"{levels}; {100 * final.accuracy:.1f} % at the final exit"
            found.append(f"**{way}**, which the others are compared with: {right}.")
        elif early.empty:
            found.append(f"**{way}**: the final exit {final.gain:+.1f} points{doubt}.")
        else:
            found.append(
                f"**{way}**: early exits {early.gain.mean():+.1f} points on average, from "
                f"{early.gain.min():+.1f} to {early.gain.max():+.1f}; the final exit "
                f"{final.gain:+.1f}{doubt}."
            )
    return [*found, f"A single difference of up to {noise:.1f} points could be chance (95 %)."]


def cost(found: dict) -> str:
    """What the trainings saw, and what they may be compared with."""
    budget = found["budget"]
    missing = (
        f" {found['missing']} are still missing: `python -m mvit ablation` goes on where it was."
        if found.get("missing")
        else ""
    )
    return (
        f"Every training saw {budget['images']:,} pictures of {budget['px']} × {budget['px']} "
        f"pixels, {budget['batch']} at a time, from {budget['init']}. That is far less than the "
        f"bundles here got, so compare these figures with each other only.{missing}"
    )


def wide(rows: pd.DataFrame, depth: int) -> pd.DataFrame:
    """One row a way: the accuracy after each layer and of the final exit."""
    place = rows.layer.map("layer {}".format).where(rows.exit == "early", "final exit")
    table = rows.assign(place=place).pivot(index="way", columns="place", values="accuracy")
    order = [f"layer {layer}" for layer in range(1, depth + 1)] + ["final exit"]
    table = table.reindex(index=list(dict.fromkeys(rows.way)), columns=order)
    return table.reset_index().rename(columns={"way": "training"})
