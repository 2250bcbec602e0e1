"""What came after the paper: ways to train exits and backbone together, compared at equal cost."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from mvit.charts import since as draw
from mvit.evaluation.ablation import BASE, ablation, early_exits
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
    means = early_exits(rows)
    if means.empty:
        return
    st.subheader(TITLE, anchor=False, help=MEANING)
    ui.recorded_badge(bundle, f"{n:,} pictures, one exit after every layer")
    told = finding(means, rows)
    shown = rows[rows.way.isin(means.way)]
    shown = shown.assign(layer=shown.layer.astype(str).where(shown.exit == "early", "final"))
    ui.chart(draw.gains(shown, depth, told), alt=f"{told}.", key="since_gains")
    st.markdown("\n".join(f"- {line}" for line in lines(rows)))
    st.caption(doubts(rows, n))
    st.caption(cost(found))
    table = wide(rows, depth)
    shares = dict.fromkeys(table.columns[1:], columns.share())
    ui.table(table, "All exits as a table", column_config=shares)


def finding(means: pd.DataFrame, rows: pd.DataFrame) -> str:
    """Which way helps early exits most, and what it does to the final one; that no way stands out
    where the differences could be chance. means: as `early_exits` gives them."""
    helps = means[means.gain > means.chance]
    if helps.empty:
        said = "No way stands out: on average, none helps the early exits by more than chance could"
        worst = means.iloc[-1]
        hurts = f"; {worst.way} costs them {-worst.gain:.1f} points"
        return said + (hurts if worst.gain < -worst.chance else "")
    best = helps.iloc[0]
    close = helps[best.gain - helps.gain <= best.chance]
    if len(close) > 1:
        return (
            f"No way stands out: {' and '.join(close.way)} help the early exits by "
            f"{close.gain.iloc[-1]:.1f} to {best.gain:.1f} points on average, too close to rank"
        )
    final = rows[(rows.way == best.way) & (rows.exit == "final")].iloc[0]
    return (
        f"{best.way[0].upper()}{best.way[1:]} helps the early exits most: {best.gain:+z.1f} points "
        f"on average, {final.gain:+z.1f} at the final exit{doubt(final)}"
    )


def doubt(row: pd.Series) -> str:
    """A word where a gain could be chance."""
    return " (could be chance)" if abs(row.gain) <= row.chance else ""


def lines(rows: pd.DataFrame) -> list[str]:
    """What each way reaches or changes, and whether that could be chance."""
    found, means = [], early_exits(rows).set_index("way")
    for way in dict.fromkeys(rows.way):
        own = rows[rows.way == way]
        early, final = own[own.exit == "early"], own[own.exit == "final"].iloc[0]
        if way == BASE:
            some = early[early.layer % 3 == 0].itertuples()
            levels = ", ".join(f"{100 * e.accuracy:.1f} % after layer {e.layer}" for e in some)
            right = f"{levels}; {100 * final.accuracy:.1f} % at the final exit"
            found.append(f"**{way}**, which the others are compared with: {right}.")
        elif way not in means.index:
            found.append(f"**{way}**: the final exit {final.gain:+z.1f} points{doubt(final)}.")
        else:
            mean = means.loc[way]
            found.append(
                f"**{way}**: early exits {mean.gain:+z.1f} points on average{doubt(mean)}"
                f"{places(early)}; the final exit {final.gain:+z.1f}{doubt(final)}."
            )
    return found


def places(early: pd.DataFrame) -> str:
    """After which layers a way is better, and after which it is worse, by more than chance."""
    signs = {"better": early.gain > early.chance, "worse": early.gain < -early.chance}
    said = [f"{word} after {layers(early.layer[at])}" for word, at in signs.items() if at.any()]
    return f": {', '.join(said)}" if said else ""


def layers(which: pd.Series) -> str:
    """Layers in words, neighbours joined: `layers 1 to 4, 6`."""
    runs: list[list[int]] = []
    for layer in map(int, which):
        if runs and layer == runs[-1][1] + 1:
            runs[-1][1] = layer
        else:
            runs.append([layer, layer])
    joined = ", ".join(f"{a}" if a == b else f"{a} to {b}" for a, b in runs)
    return f"layer{'s' if len(which) > 1 else ''} {joined}"


def doubts(rows: pd.DataFrame, n: int) -> str:
    """What n test pictures and one training a way leave open."""
    could = rows[rows.gain.notna() & (rows.way != BASE)].chance
    return (
        f"With {n:,} test pictures, a difference of {could.min():.1f} to {could.max():.1f} points "
        "at one exit, more after later layers (the grey band), could be chance; of twenty such "
        "differences, about one is larger by chance alone. Every way was trained only once: how "
        "far two trainings of the same way differ was not measured."
    )


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
