"""What a counter's card records of one exit: its errors by size of the crowd, and its counts of
unusual pictures."""

from __future__ import annotations

import re

import pandas as pd
import streamlit as st

from mvit.charts import crowd as charts_crowd
from mvit.charts.crowd import people_text, people_words
from mvit.evaluation.counts import blank_counts
from mvit.models.multi_exit import FINAL
from pages import parts as ui
from pages.parts import words

FEW = 3  # people that an exit may find on a blank wall


def show_ranges(bundle: ui.Bundle, layer: int, head: str) -> None:
    """How far this exit is off in small and in large crowds, from the card."""
    ranges = {}
    for name, split in bundle.card.get("splits", {}).items():
        exits = [e for e in split["exits"] if (e["layer"], e["head"]) == (layer, head)]
        if own := exits and exits[0].get("ranges"):
            ranges[words.split_name(name)] = own
    if not ranges:
        return
    st.subheader(
        "How far off is it usually?",
        anchor=False,
        help="Mean absolute error on the official test pictures, from the card.",
    )
    ui.recorded_badge(bundle, f"{bundle.card['n']:,} pictures")
    said = charts_crowd.range_finding(ranges, f"{head} after layer {layer}")
    figure = charts_crowd.error_by_range(ranges, said)
    ui.chart(figure, alt=f"Error by range of the true count: {said}.")


def show_unusual(bundle: ui.Bundle, layer: int, head: str) -> None:
    """What the exit counts in pictures that hold nobody, or drawn people, from the card."""
    if not (odd := bundle.card.get("unusual")):
        return
    st.subheader(
        "The blank wall test",
        anchor=False,
        help="Counters are known to find people in empty pictures, so every exit was asked to "
        "count some that hold nobody, and some drawn crowds.",
    )
    if said := blank_finding(odd, f"{layer}:{head}", f"{head} after layer {layer}"):
        st.markdown(said)
    places = {"this exit": f"{layer}:{head}", "final exit": f"{bundle.model.depth}:{FINAL}"}
    rows = [
        {"picture": re.sub(r"\b1 people", "1 person", u["picture"].replace("rendered", "drawn"))}
        | {n: people_text(u["counts"][at]) for n, at in places.items() if at in u["counts"]}
        for u in odd
    ]
    st.table(
        pd.DataFrame(rows),
        border="horizontal",
        hide_index=True,
        alt="Counts of blank, noisy and drawn pictures, recorded in the card",
    )


def blank_finding(odd: list[dict], at: str, name: str) -> str:
    """How many people an exit finds where nobody is, and how many exits find hardly any. odd: the
    card's unusual pictures; at: the exit's key in their counts."""
    most = blank_counts(odd)
    if at not in most:
        return ""
    few = sum(people <= FEW for people in most.values())
    worst = f"at most {people_words(most[at])}" if most[at] >= 0.5 else "nobody"
    return (
        f"On white, grey, black and noise, {name} counts {worst}; {few} of {len(most)} exits "
        f"count {FEW} or fewer on each."
    )
