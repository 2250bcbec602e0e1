"""What one exit counts: the number with its interval, beside the final exit's and the truth."""

from __future__ import annotations

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from mvit.charts import crowd as charts_crowd
from mvit.charts.crowd import people_text, people_words
from mvit.evaluation.intervals import CARD, SHARE, SIMILAR, Errors, halves
from mvit.models.multi_exit import FINAL
from pages import parts as ui
from pages.parts import words
from pages.parts.crowd.counted import Counted
from pages.parts.words import WORDS

TRUTH_HELP = (
    "A drawn crowd is known exactly. In the photographs the heads were counted by hand, one by "
    "one: right to within two or three people."
)


def interval_told(bundle: ui.Bundle, counted: Counted, kept: tuple) -> tuple[str, str]:
    """Between how many people are there, by the recorded errors of similar counts, and how that was
    found; nothing where too few pictures are recorded to say so."""
    exit_ = (int(counted.own["layer"]), counted.own["head"])
    errors = Errors.of(kept[1], exit_).pictures(halves(kept[1])[0])
    found = errors.interval(counted.own["count"])
    if found is None:
        return "", ""
    told = {(e["layer"], e["head"]): e["held"] for e in bundle.card.get(CARD, {}).get("exits", [])}
    held = told.get(exit_)
    checked = "" if held is None else f" Each half of them checked by the other, {held:.0%} did."
    return (
        f", probably {found}",
        f"{SHARE:.0%} of test pictures with a count like this one had that many people: "
        f"computed from the errors of this exit on the {min(SIMILAR, len(errors.there))} recorded "
        f"pictures with the most similar counts.{checked} A picture of another kind than the test "
        "pictures may lie outside more often.",
    )


def usual_error(card: dict, layer: int, head: str) -> str:
    """What the card says of this exit: "37 people on average over all 498 test pictures: 81 in
    dense crowds, 12 in streets"."""

    def own(told: dict) -> str:
        rows = [e for e in told.get("exits", []) if (e["layer"], e["head"]) == (layer, head)]
        return people_words(rows[0]["mae"]) if rows and "mae" in rows[0] else ""

    if not own(card):
        return ""
    parts = {words.split_name(n): own(split) for n, split in card.get("splits", {}).items()}
    told = ", ".join(f"{off.split()[0]} in {name}" for name, off in parts.items() if off)
    many = f"all {card['n']}" if "n" in card else "all"
    every = f"{own(card)} on average over {many} test pictures"
    return f"{every}: {told}" if len(parts) > 1 else every


def off_by(count: float, truth: float) -> str:
    """How far a count is from the truth, both as they are shown."""
    off = round(max(count, 0)) - round(truth)
    if not off:
        return "the answer is exact"
    return f"the answer is {abs(off)} too {'high' if off > 0 else 'low'}"


def show_headline(bundle: ui.Bundle, counted: Counted, kept: tuple | None) -> None:
    """The count, and between how many people there probably are: the page's one answer."""
    said, how = interval_told(bundle, counted, kept) if kept is not None else ("", "")
    st.subheader(f"{people_words(counted.own['count'])}{said}", anchor=False, help=how or None)
    head = counted.own["head"]
    st.markdown(
        f"This is what the exit **{counted.exit}** counts.", help=f"**{head}** {words.about(head)}"
    )


def show_numbers(bundle: ui.Bundle, counted: Counted, run: dict) -> DeltaGenerator:
    """What the count is to be compared with, and what it cost; returns the place for the plain
    network's time."""
    own, final, _, truth = counted
    quiet = {"delta_color": "off", "delta_arrow": "off"}
    with st.container(horizontal=True):
        if truth is not None:
            off = off_by(own["count"], truth)
            st.metric("Really there", f"{truth:.0f}", off, help=TRUTH_HELP, **quiet)
        st.metric("For comparison: final exit", people_text(final["count"]), help=WORDS["final"])
        st.metric("Time of this exit alone", f"{own['ms']:.0f} ms", help=WORDS["alone"], **quiet)
    with st.container(horizontal=True):
        ui.live_badge(bundle, run)
        plain_place = st.empty()
    if usual := usual_error(bundle.card, int(own["layer"]), own["head"]):
        st.caption(
            f"This exit is off by {usual}.", help="Mean absolute error (MAE), from the card."
        )
    return plain_place


def show_layers(counted: Counted) -> None:
    """The count of this head by layer, and those of all heads."""
    own, final, rows, truth = counted
    first, second = st.columns(2, gap="medium")
    finding = charts_crowd.finding(own, final, truth)
    layer = int(own["layer"])
    with first:
        figure = charts_crowd.count_by_layer(rows, own["head"], layer, truth=truth, finding=finding)
        ui.chart(figure, alt=f"Count by layer: {finding}.")
    at = rows[(rows["layer"] == layer) & (rows["head"] != FINAL)]["count"].clip(lower=0)
    apart = f"After layer {layer} the heads count {at.min():.0f} to {at.max():.0f} people"
    with second:
        figure = charts_crowd.count_map(rows, layer, apart)
        ui.chart(figure, alt=f"Counts of all heads and layers. {apart}.")
