"""Crowd: how many people does every exit count, where in the picture, and when not to believe
it."""

from pathlib import Path
from typing import NamedTuple

import pandas as pd
import streamlit as st

from mvit.bundles import weights
from mvit.charts import crowd as charts_crowd
from mvit.charts.crowd import people_text
from mvit.evaluation.counts import load_counts
from mvit.evaluation.predictions import PredictionsError
from mvit.images.draw import count_tiles, overlay
from mvit.inference import explain
from mvit.models.multi_exit import FINAL
from mvit.policies.doubts import doubts, stretch, usual_disagreement
from mvit.tasks import tile_boxes
from pages import parts as ui
from pages.parts import words
from pages.parts.crowd import card as crowd_card
from pages.parts.crowd import clip as crowd_clip
from pages.parts.crowd import rule as crowd_rule
from pages.parts.crowd import sources as crowd_sources

WORDS = words.WORDS
TRUTH_HELP = (
    "A drawn crowd is known exactly. In the photographs the heads were counted by hand, one by "
    "one: right to within two or three people."
)
PHOTO, DRAWN, SEVERAL, CLIP = "One photo", "Drawn crowd", "Several photos", "Clip"
SHOWS = {"tiles": "counts of the six tiles"} | {
    name: f"where it looks: {name}" for name in ("tokens", "saliency")
}
SHOW_HELP = (
    "The network cuts the picture into six tiles and adds their counts. Or: which places spoke for "
    "the count, computed through the layers up to this exit only.\n\n"
    + "\n".join(f"- **{n}**: {explain.METHODS[n].about}" for n in ("tokens", "saliency"))
)


class Counted(NamedTuple):
    """One exit's count of a picture: its row of the trace, the final exit's row, all rows, and how
    many people are there, if that is known."""

    own: pd.Series
    final: pd.Series
    rows: pd.DataFrame
    truth: float | None

    @property
    def exit(self) -> str:
        return f"{self.own['head']} after layer {self.own['layer']}"


@st.cache_resource(max_entries=2, show_spinner=False)
def recorded_counts(folder: str, stamp: str) -> tuple | None:
    """(validation counts, test counts, usual disagreement) of a bundle, or None if none are
    recorded."""
    try:
        found = load_counts(Path(folder))
        return found["val"], found["test"], usual_disagreement(found["test"])
    except (PredictionsError, KeyError):
        return None


def controls(bundle: ui.Bundle) -> tuple[str, str, int]:
    """Draw the controls above the picture: what to count, the head and, but for a clip, the
    layer."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        kind = ui.linked(
            st.segmented_control,
            "What to count",
            key="count",
            options=[PHOTO, DRAWN, SEVERAL, CLIP],
            default=PHOTO,
            required=True,
            help="A drawn crowd has an exactly known number of people, so the count can be tested.",
        )
        head = ui.linked(
            st.selectbox,
            "Head",
            key="head",
            options=bundle.heads,
            index=bundle.heads.index(bundle.best_head),
            width=180,
            help=words.head_help(bundle.heads),
        )
        if kind == CLIP:
            return kind, head, bundle.model.depth
        layer = ui.linked(
            st.slider,
            "Layer",
            key="layer",
            min_value=1,
            max_value=bundle.model.depth,
            value=bundle.model.depth * 3 // 4,
            width=240,
            help=WORDS["layer"],
        )
    return kind, head, layer


def drawn_over(bundle: ui.Bundle, picture: ui.Picture, own: pd.Series, show: str):
    """The stretched picture with this exit's tiles and counts, or with what it looks at."""
    stretched = bundle.model.task.stretch(picture.pixels)
    if show == "tiles":
        boxes = tile_boxes(stretched.shape[0] > stretched.shape[1])
        return count_tiles(stretched, boxes, charts_crowd.whole_tiles(own.tiles))
    layer, head = int(own["layer"]), own["head"]

    def make():
        with st.spinner("Asking what the exit looks at …", show_time=True):
            heat = ui.inference(
                bundle, lambda model: explain.attribute(model, picture.pixels, layer, head, show)
            )
        return overlay(stretched, heat)

    return ui.once("crowd_look", (*bundle.key, picture.key, layer, head, show), make)


def show_picture(bundle: ui.Bundle, picture: ui.Picture, counted: Counted) -> None:
    """The picture as the network gets it, and what to lay over it."""
    place = st.empty()
    show = ui.linked(
        st.pills,
        "Show",
        key="show",
        options=list(SHOWS),
        default="tiles",
        required=True,
        format_func=SHOWS.get,
        help=SHOW_HELP,
    )
    laid = "each tile's count" if show == "tiles" else f"the bright places spoke for it ({show})"
    if show == "tiles" and min(counted.own.tiles) < -0.5:
        laid += "; a tile whose raw output is below zero shows 0"
    total = people_text(counted.own["count"])
    place.image(
        drawn_over(bundle, picture, counted.own, show),
        width="stretch",
        caption=f"{picture.title}, as the network gets it: {laid}",
        alt=f"{picture.title} with six tiles, counted by {counted.exit}: {total} people in all",
    )


def usual_error(bundle: ui.Bundle, layer: int, head: str) -> str:
    """What the card says of this exit: "15 people in streets (part B), ..."."""
    found = []
    for name, split in bundle.card.get("splits", {}).items():
        rows = [e for e in split["exits"] if (e["layer"], e["head"]) == (layer, head)]
        found += [f"{rows[0]['mae']:.0f} people in {words.split_name(name)}"] if rows else []
    return " and ".join(found)


def show_numbers(bundle: ui.Bundle, counted: Counted, run: dict) -> None:
    """The count beside the final exit's and the truth, and what it cost."""
    own, final, _, truth = counted
    st.subheader(
        f"{counted.exit}: {people_text(own['count'])} people",
        anchor=False,
        help=words.about(own["head"]),
    )
    quiet = {"delta_color": "off", "delta_arrow": "off"}
    with st.container(horizontal=True):
        off = None if truth is None else f"{max(own['count'], 0) - truth:+.0f} against the truth"
        added = "People in all six tiles, added up."
        st.metric("This exit", people_text(own["count"]), off, help=added, **quiet)
        st.metric("Final exit", people_text(final["count"]), help=WORDS["final"])
        if truth is not None:
            st.metric("Really there", f"{truth:.0f}", help=TRUTH_HELP)
        st.metric(
            "This exit alone",
            f"{own['ms']:.0f} ms",
            f"final exit {final['ms']:.0f} ms",
            help=WORDS["alone"],
            **quiet,
        )
    ui.live_badge(bundle, run)
    if usual := usual_error(bundle, int(own["layer"]), own["head"]):
        st.caption(
            f"On the test pictures this exit is off by {usual}, on average.",
            help="Mean absolute error (MAE), from the card.",
        )


def show_fit(picture: ui.Picture) -> None:
    """How the picture was made to fit the network."""
    height, width = picture.pixels.shape[:2]
    most = stretch(picture.pixels)
    how = (
        f"The picture is resized; one side is stretched {most:.2f} times more than the other"
        if most >= 1.005
        else "The picture is resized and keeps its shape"
    )
    with st.expander(how, icon=":material/aspect_ratio:"):
        st.image(
            picture.preview,
            width=220,
            caption=f"as it came: {width} × {height}",
            alt="The picture before stretching",
        )
        st.caption(
            "TransCrowd's recipe: every picture becomes 1152 × 768 pixels (768 × 1152 if upright), "
            "whatever its shape, so people may become wider or narrower than they are."
        )


def show_layers(counted: Counted) -> None:
    """The count of this head by layer, and those of all heads."""
    own, final, rows, truth = counted
    first, second = st.columns(2, gap="medium")
    finding = charts_crowd.finding(own, final, truth)
    layer = int(own["layer"])
    with first:
        figure = charts_crowd.count_by_layer(rows, own["head"], layer, truth, finding)
        ui.chart(figure, alt=f"Count by layer: {finding}.")
    at = rows[(rows["layer"] == layer) & (rows["head"] != FINAL)]["count"].clip(lower=0)
    apart = f"After layer {layer} the heads count {at.min():.0f} to {at.max():.0f} people"
    with second:
        figure = charts_crowd.count_map(rows, layer, apart)
        ui.chart(figure, alt=f"Counts of all heads and layers. {apart}.")


def known(picture: ui.Picture) -> float | None:
    """How many people are really there, if that is known."""
    try:
        return None if picture.truth is None else float(picture.truth)
    except ValueError:
        return None  # an example of another task


@ui.page("Crowd")
def page() -> None:
    st.markdown(
        "How many people are there? A counter (TransCrowd) cuts the picture into six tiles and "
        "gives each a number. An exit behind every layer counts before the network has finished, "
        "and you see how the count changes from layer to layer.",
        help=f"{WORDS['backbone']} {WORDS['exit']} Liang et al., 2021, arXiv:2104.09116.",
    )
    bundle = ui.current(counting=True)
    folder = str(weights.folder(bundle.task, bundle.backbone))
    kept = recorded_counts(folder, str(bundle.card.get("files", "")))
    usual = kept and kept[2]
    kind, head, layer = controls(bundle)
    if kind == SEVERAL:
        crowd_sources.several(bundle, layer, head, usual)
        return
    if kind == CLIP:
        crowd_clip.section(bundle, head, kept)
        return
    picture = crowd_sources.drawn() if kind == DRAWN else ui.pick_picture(bundle.task)
    with st.container(), st.spinner("Counting at every exit …", show_time=True):
        run = ui.measured(
            "crowd",
            bundle,
            tuple(bundle.heads),
            lambda model: {"rows": model.trace(picture.pixels)},
            picture,
        )
    rows = run["rows"]
    own = rows[(rows["layer"] == layer) & (rows["head"] == head)].iloc[0]
    counted = Counted(own, rows.iloc[-1], rows, known(picture))
    left, right = st.columns([3, 2], gap="medium")
    with left:
        show_picture(bundle, picture, counted)
    with right:
        show_numbers(bundle, counted, run)
        if reasons := doubts(picture.pixels, rows, layer, head, usual):
            st.warning("\n\n".join(reasons), title="Doubt this count", icon=":material/help:")
        show_fit(picture)
    show_layers(counted)
    crowd_rule.section(bundle, rows, head, kept)
    crowd_card.show_ranges(bundle, layer, head)
    crowd_card.show_unusual(bundle, layer, head)
    out = rows.drop(columns=["tiles", "label"])
    out[[f"tile {i + 1}" for i in range(6)]] = rows.tiles.tolist()
    ui.table(out.rename(columns={"count": "raw output"}), "Every exit as a table")
    settings = {
        "head": head,
        "layer": layer,
        "picture": picture.title,
        "source": picture.source,
        "people_there": counted.truth,
    }
    ui.export("crowd", out, bundle, settings, run)
