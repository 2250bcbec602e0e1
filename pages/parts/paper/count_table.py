"""Table I of a counter on the paper's page: three training strategies, judged by how far counts
are off."""

from __future__ import annotations

import pandas as pd
import streamlit as st
from streamlit.column_config import NumberColumn

from mvit.charts import paper as draw
from mvit.evaluation.count_table import count_table, decided, joint
from mvit.evaluation.paper import JOINT
from pages import parts as ui
from pages.parts import words
from pages.parts.paper import again, begun
from pages.parts.paper.table import MEANING

HOW = "Each point is one training; its line is what chance could change, with 95 % certainty."
COLUMNS = {
    "mae": NumberColumn("people off", format="%.1f", help="Mean absolute error of the exit."),
    "final": NumberColumn("final exit off", format="%.1f", help="Of the same network."),
}


def show(bundle: ui.Bundle) -> None:
    """The table as two charts, the paper's two claims about counting tested by it, and its
    budget."""
    st.subheader("Table I: three ways to train an exit", anchor=False, help=MEANING)
    table = count_table(bundle.task, bundle.card)
    if table is None:
        st.caption(
            "The paper's Table I was not measured for this task and backbone. "
            "`python -m mvit table1 --task crowd` measures it."
        )
        return
    rows, layer = joint(table["rows"]), table["layer"]
    ui.recorded_badge(bundle, f"{table['n']:,} pictures, exits after layer {layer}")
    if not rows.empty:
        first, second = st.columns(2, gap="medium")
        with first:
            said = sentence(rows, "gain", f"After layer {layer}, against classifier-wise")
            figure = draw.people_closer(rows, "gain", "People closer", finding=said, how=HOW)
            ui.chart(figure, alt=f"{said}.", key="count_table_early")
        with second:
            own = rows.assign(change=-rows.change)
            said = sentence(own, "change", "The final exit, against the plain network")
            figure = draw.people_closer(own, "change", "People closer", finding=said, how=HOW)
            ui.chart(figure, alt=f"{said}.", key="count_table_final")
        lines = claims(rows, layer) + again.lines(table, "mae", lambda off: f"off by {off:.1f}")
        st.markdown("\n".join(f"- {line}" for line in lines))
    for line in told(table):
        st.caption(line)
    splits = table["splits"].assign(set=table["splits"].set.map(words.split_name))
    ui.table(splits, "Table I as a table", column_config=COLUMNS)


def sentence(rows: pd.DataFrame, value: str, what: str) -> str:
    """How many trainings made an exit better, worse, or neither by more than chance."""
    found = [decided(*pair) for pair in zip(rows[value], rows[f"{value}_noise"], strict=True)]
    better, worse = found.count(1), found.count(-1)
    return (
        f"{what}: of {len(found)} trainings {better} count closer by more than chance, "
        f"{worse} less close"
    )


def claims(rows: pd.DataFrame, layer: int) -> list[str]:
    """The paper's two claims about counting, and what the table says of them."""
    lines = []
    for strategy in JOINT:
        own = rows[rows.strategy == strategy]
        if own.empty:
            continue
        early = spoken(own, "gain", own.gain)
        final = spoken(own, "change", -own.change)
        lines.append(
            f"**{strategy.capitalize()}**: after layer {layer} against classifier-wise, in people "
            f"closer: {early}. The final exit against the plain network: {final}."
        )
    both = rows[rows.strategy == "end-to-end"]
    if both.empty:
        return lines
    early = {decided(*pair) for pair in zip(both.gain, both.gain_noise, strict=True)}
    last = {decided(*pair) for pair in zip(-both.change, both.change_noise, strict=True)}
    return [
        *lines,
        f"**Do early exits count better when trained end-to-end?** {verdict(early)} "
        "The paper says yes.",
        f"**Does the final exit gain by end-to-end training?** {verdict(last)} The paper says "
        "yes for `mlp`, `vit` and `mixer`.",
    ]


def spoken(rows: pd.DataFrame, value: str, closer: pd.Series) -> str:
    """Each head with how many people closer it counts and what chance could do."""
    noise = rows[f"{value}_noise"]
    return ", ".join(
        f"`{head}` {by:+z.1f} (chance ±{n:.1f})"
        for head, by, n in zip(rows["head"], closer, noise, strict=True)
    )


def verdict(found: set[int]) -> str:
    """An answer from what each head's difference says."""
    if found == {1}:
        return "Yes, with every head tried."
    if found == {-1}:
        return "No, with no head tried."
    if found == {0}:
        return "Not decided by these runs: every difference could be chance."
    return "Not with every head." if 1 in found else "Not decided, and worse with some heads."


def measured_sets(table: dict) -> str:
    """The sets that the test pictures are of, in words."""
    return words.listed([words.split_name(name) for name in table["splits"].set.unique()])


def told(table: dict) -> list[str]:
    """What the trainings began from and saw."""
    budget, layer = table["budget"], table["layer"]
    return [
        f"Every training began from {begun.began_from(table)} and its exits after layer {layer}, "
        f"which had learned on it to the end, and saw {budget['images']:,} squares "
        f"of {budget['px']} × {budget['px']} pixels (layer-wise: in each part). "
        "Errors are compared picture by picture; one training each, so the luck of a "
        "training is not in the lines.",
        f"The {table['n']:,} test pictures are those of {measured_sets(table)}; of a set with more "
        "than were asked for, a seeded choice.",
        *begun.still_missing(table),
    ]
