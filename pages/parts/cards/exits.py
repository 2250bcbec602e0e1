"""How good every exit of a bundle is, from its card: maps by head and layer, and a table."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from mvit.bundles.card import measured_on
from mvit.charts import crowd as charts_crowd
from mvit.charts import style as charts
from mvit.evaluation import paper
from pages import parts as ui
from pages.parts import words


def show_exits(card: dict, task: str) -> None:
    """The recorded accuracy of every exit as a map, and as a table."""
    exits, depth = pd.DataFrame(card.get("exits", [])), max(card.get("layers") or [0])
    if exits.empty:
        st.caption("This card records no exits.")
        return
    st.badge(
        f"recorded on {measured_on(card, ui.TASK_NAMES.get(task, task).split(' (')[0])}",
        icon=":material/inventory_2:",
        color="blue",
        help="Measured once, when the weights were made, and read from the card.",
    )
    if "accuracy" in exits:
        best = paper.best_early(exits, depth)
        finding = (
            f"Best early exit: {best['head']} at layer {best['layer']}, "
            f"{100 * best['accuracy']:.1f}\u00a0% right"
        )
        if "accuracy" in card.get("final", {}):
            finding += f"; the final exit: {100 * card['final']['accuracy']:.1f}\u00a0%"
        ui.chart(charts.accuracy_map(exits, finding), alt=f"Accuracy by head and layer. {finding}.")
    if "mae" in exits:
        best = paper.best_early(exits, depth)
        place = f"{best['head']} at layer {best['layer']}"
        st.markdown(
            f"Best early exit: **{place}**, off by {best['mae']:.1f} people on average over all "
            "test pictures."
        )
    for name, split in (card.get("splits", {}) | card.get("elsewhere", {})).items():
        own = pd.DataFrame(split["exits"])
        best = paper.best_early(own, depth)
        finding = (
            f"In {words.split_name(name)} the best early exit is {best['head']} at layer "
            f"{best['layer']}, off by {best['mae']:.1f} people; the final exit by "
            f"{split['final']['mae']:.1f}"
        )
        ui.chart(
            charts_crowd.error_map(own, own.mae.min(), finding),
            alt=f"Error by head and layer. {finding}.",
        )
        if "pictures" in split:
            st.caption(f"Measured on {split['pictures']}.")
    ui.table(exits.drop(columns="ranges", errors="ignore"), "Every exit as a table")
    if "maps" in card:
        show_maps(card["maps"])


def show_maps(maps: dict) -> None:
    """How far each layer's map of people is off by itself, from the card."""
    rows = [
        {
            "layer": row["layer"],
            "pictures": words.split_name(name),
            "off by, whole picture": row["mae"],
            "off by, a quarter of it": row["quarter"],
        }
        for name, split in maps.get("splits", {}).items()
        for row in split["layers"]
    ]
    if not rows:
        return
    ui.table(pd.DataFrame(rows).round(1), "Maps of people: how far their own sums are off")
