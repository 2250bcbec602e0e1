"""The paper's figure 8 for a counter: error against work, for each test set."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from mvit.charts import crowd as charts_crowd
from mvit.evaluation import paper
from pages import parts as ui
from pages.parts import words
from pages.parts.paper import count_table


def show(bundle: ui.Bundle) -> None:
    """Draw the figure for each test set, with the paper's own number below."""
    ui.recorded_badge(bundle, f"{bundle.card.get('n', 0):,} pictures")
    found = []
    for name, split in bundle.card.get("splits", {"test": bundle.card}).items():
        exits, final = pd.DataFrame(split["exits"]), split["final"]
        best = paper.best_early(exits, bundle.model.depth)
        said = (
            f"In {words.split_name(name)} the best early exit ({best['head']} after layer "
            f"{best['layer']}) is off by {best['mae']:.1f} people, the final exit by "
            f"{final['mae']:.1f}"
        )
        ui.chart(charts_crowd.error_by_macs(exits, final, said), alt=f"Error against work. {said}.")
        found.append(exits.drop(columns="ranges", errors="ignore").assign(set=name))
    for r in paper.REPORTED.get(bundle.task, ()):
        st.markdown(
            f"In the paper the {r.what} is off by {r.value:g} people on average (MAE) on DISCO, a "
            "crowd set that is not among ours: the two cannot be compared."
        )
    count_table.show(bundle)
    st.caption(
        f"Ours counts with {bundle.card['architecture']}, the paper with a ViT-B/16; the Models "
        "page says how ours was trained."
    )
    rows = pd.concat(found, ignore_index=True)
    ui.table(rows)
    ui.export("paper_counts", rows, bundle, settings={})
