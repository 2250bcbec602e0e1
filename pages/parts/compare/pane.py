"""One side of the page "Compare heads": what one exit says about one picture, what it looks at, and
how its head's answer grows; and the clicks in the page's charts."""

from functools import partial
from typing import NamedTuple

import pandas as pd
import streamlit as st

from mvit.charts import compare as charts_compare
from mvit.charts import compared
from mvit.charts import style as charts
from mvit.images.draw import overlay
from mvit.inference import explain
from pages import parts as ui
from pages.parts import words
from pages.parts.words import WORDS

FITTING = {compared.AGREES: "the same", compared.FITS: "fits", compared.DIFFERS: "differs"}


class View(NamedTuple):
    """What the page's controls say. compare: HEADS or PICTURES; look: the way of explaining;
    plain_network_ms: its time, to compare with."""

    compare: str
    left: str
    right: str
    layer: int
    look: str
    plain_network_ms: float = 0.0


def take_click(chart: str, heads: list[str]) -> None:
    """Move the shared layer (and on the map the left head) to what was clicked in a chart; a click
    beside it changes nothing."""
    for cell in st.session_state[chart].selection.get(charts_compare.CELL, []):
        st.session_state["layer"] = int(cell[charts_compare.PICKED])
        if cell.get("head") in heads:
            st.session_state["left"] = cell["head"]


def clickable(figure, alt: str, key: str, heads: list[str], **options) -> None:
    """Draw a chart in which a click picks the layer, unless the link hides that control."""
    if not ui.hidden("layer"):
        options["on_select"] = partial(take_click, key, heads)
    ui.chart(figure, alt, key, **options)


def looked_at(name: str, bundle: ui.Bundle, picture: ui.Picture, view: View):
    """What the model sees with what the left exit of the view looks at laid over it."""
    asked = view.layer, view.left, view.look

    def work(model) -> dict:
        return {"heat": explain.attribute(model, picture.pixels, *asked)}

    with st.container(), st.spinner("Asking what the exit looks at …", show_time=True):
        heat = ui.measured(name, bundle, asked, work=work, picture=picture)["heat"]
    return overlay(bundle.model.task.seen(picture.pixels), heat)


def figures(fired: pd.Series, final: pd.Series, plain_network_ms: float) -> None:
    """How sure an exit is, what it costs, and what the final exit says. fired, final: their
    rows."""
    guess = f"best guess: {fired.guess}" if fired.guess else None
    st.metric(
        "Confidence",
        charts.sure_text(fired.confidence),
        guess,
        "off",
        delta_arrow="off",
        help=WORDS["confidence"],
    )
    st.metric(
        "This exit alone",
        f"{fired.ms:.1f} ms",
        f"plain network {plain_network_ms:.1f} ms",
        "off",
        delta_arrow="off",
        help=f"{WORDS['alone']} {WORDS['plain']}",
    )
    st.metric(
        "Final exit says",
        final.answer,
        FITTING[fired.agreement],
        delta_color="off",
        delta_arrow="off",
        help=WORDS["final"],
    )


def pane(
    name: str, bundle: ui.Bundle, picture: ui.Picture, *, rows: pd.DataFrame, view: View
) -> None:
    """One side: what the left exit of the view says about this picture, what it looks at, and how
    its head's answer grows."""
    head, layer = view.left, view.layer
    fired = rows[(rows["head"] == head) & (rows.layer == layer)].iloc[0]
    final, thing = rows.iloc[-1], fired.guess or fired.answer
    verdict = {charts.RIGHT: ", right ✓", charts.WRONG: ", wrong ✗"}.get(fired.verdict, "")
    st.subheader(
        f"{head} after layer {layer}: '{fired.answer}'{verdict}",
        anchor=False,
        help=words.drawn(head),
    )
    look, numbers = st.columns([3, 2], gap="small")
    with look:
        st.image(
            looked_at(name, bundle, picture, view=view),
            width=224,
            caption=f"{picture.title}: the bright places spoke for '{thing}'",
            alt=f"{picture.title}: what {head} after layer {layer} looks at for '{thing}'",
        )
    with numbers:
        figures(fired, final, view.plain_network_ms)
    since = compared.keeps(rows, head)
    finding = (
        f"{head} gives the final answer from layer {since} on"
        if since
        else f"{head} does not end with the final answer"
    )
    figure = charts_compare.pane_line(rows, head, layer, finding=finding)
    clickable(figure, f"Confidence by layer: {finding}.", f"{name}_line", heads=bundle.heads)
