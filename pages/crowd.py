"""Crowd: how many people does every exit count, where in the picture, and when not to believe
it."""

from pathlib import Path

import pandas as pd
import streamlit as st

from mvit.bundles import weights
from mvit.charts import crowd as charts_crowd
from mvit.charts import style as charts
from mvit.evaluation.counts import load_counts
from mvit.evaluation.predictions import PredictionsError
from mvit.images.draw import count_tiles, overlay
from mvit.inference import explain
from mvit.models.multi_exit import FINAL
from mvit.policies.doubts import doubts, stretch, usual_disagreement
from mvit.tasks import tile_boxes
from pages.parts import shared as ui
from pages.parts import words
from pages.parts.crowd import rule as crowd_rule
from pages.parts.crowd import sources as crowd_sources

WORDS = words.WORDS
PHOTO, DRAWN, SEVERAL = "One photo", "Drawn crowd", "Several photos"
SHOWS = {"tiles": "counts of the six tiles"} | {
    name: f"where it looks: {name}" for name in ("tokens", "saliency")
}
SHOW_HELP = (
    "The network cuts the picture into six tiles and adds their counts. Or: what spoke for the count, through the layers up to "
    "this exit only.\n\n"
    + "\n".join(f"- **{n}**: {explain.METHODS[n].about}" for n in ("tokens", "saliency"))
)


@st.cache_resource(max_entries=2, show_spinner=False)
def recorded_counts(folder: str, stamp: str) -> tuple | None:
    """(validation counts, test counts, usual disagreement) of a bundle, or None if none are
    recorded."""
    try:
        found = load_counts(Path(folder))
        return found["val"], found["test"], usual_disagreement(found["test"])
    except (PredictionsError, KeyError):
        return None


def work(model) -> dict:
    """Every exit's count of this picture."""
    return {"rows": model.trace(picture.pixels)}


def drawn_over(picture: ui.Picture, own: pd.Series):
    """The stretched picture with this exit's tiles and counts, or with what it looks at."""
    stretched = bundle.model.task.stretch(picture.pixels)
    if show == "tiles":
        return count_tiles(
            stretched, tile_boxes(stretched.shape[0] > stretched.shape[1]), own.tiles
        )

    def make():
        with st.spinner("Asking what the exit looks at …", show_time=True):
            heat = ui.inference(
                bundle,
                lambda model: explain.attribute(model, picture.pixels, layer, own["head"], show),
            )
        return overlay(stretched, heat)

    return ui.once("crowd_look", (*bundle.key, picture.key, layer, own["head"], show), make)


def usual_error(layer: int, head: str) -> str:
    """What the card says of this exit: "15 people on part_B, ..."."""
    found = []
    for name, split in bundle.card.get("splits", {}).items():
        rows = [e for e in split["exits"] if (e["layer"], e["head"]) == (layer, head)] or (
            [split["final"]] if head == FINAL else []
        )
        found += [f"{rows[0]['mae']:.0f} people on {name.replace('_', ' ')}"] if rows else []
    return ", ".join(found)


ui.title("Crowd")
st.markdown(
    "How many people are there? A counter (TransCrowd) cuts the picture into six tiles and gives each a number. "
    "With an exit behind every layer it has a first guess early, and you see it move.",
    help=f"{WORDS['backbone']} {WORDS['exit']} Liang et al., 2021, arXiv:2104.09116.",
)
bundle = ui.current(counting=True)
kept = recorded_counts(
    str(weights.folder(bundle.task, bundle.backbone)), str(bundle.card.get("files", ""))
)
kind = ui.linked(
    st.segmented_control,
    "What to count",
    key="count",
    options=[PHOTO, DRAWN, SEVERAL],
    default=PHOTO,
    required=True,
    help="A drawn crowd has an exactly known number of people: test the counter against the truth.",
)
with st.container(horizontal=True, vertical_alignment="bottom"):
    head = ui.linked(
        st.selectbox,
        "Head",
        key="head",
        options=bundle.heads,
        index=bundle.heads.index(bundle.best_head),
        width=180,
        help=words.head_help(bundle.heads),
    )
    layer = ui.linked(
        st.slider,
        "Layer",
        key="layer",
        min_value=1,
        max_value=bundle.model.depth,
        value=bundle.model.depth * 3 // 4,
        width=280,
        help=WORDS["layer"],
    )
if kind == SEVERAL:
    crowd_sources.several(bundle, layer, head, kept and kept[2])
    st.stop()
picture = crowd_sources.drawn() if kind == DRAWN else ui.pick_picture(bundle.task)
try:
    truth = None if picture.truth is None else float(picture.truth)
except ValueError:
    truth = None  # an example of another task

with st.spinner("Counting at every exit …", show_time=True):
    run = ui.measured("crowd", bundle, tuple(bundle.heads), work, picture)
rows = run["rows"]
own = rows[(rows["layer"] == layer) & (rows["head"] == head)].iloc[0]
final = rows.iloc[-1]

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
left, right = st.columns([3, 2], gap="medium")
with left:
    bright = (
        "each tile's count" if show == "tiles" else f"bright is what spoke for the count ({show})"
    )
    st.image(
        drawn_over(picture, own),
        width="stretch",
        caption=f"{picture.title}, as the network gets it: {bright}",
        alt=f"{picture.title} with six tiles, counted by {head} after layer {layer}: {own['count']:.0f} people in all",
    )
with right:
    st.subheader(
        f"{head} after layer {layer}: {own['count']:.0f} people",
        anchor=False,
        help=words.about(head),
    )
    with st.container(horizontal=True):
        off = None if truth is None else own["count"] - truth
        st.metric(
            "This exit",
            f"{own['count']:.0f}",
            None if off is None else f"{off:+.0f} against the truth",
            delta_color="off",
            delta_arrow="off",
            help="People in all six tiles, added up.",
        )
        st.metric("Final exit", f"{final['count']:.0f}", help=WORDS["final"])
        if truth is not None:
            st.metric("Really there", f"{truth:.0f}", help="Drawn, so known exactly.")
        st.metric(
            "This exit alone",
            f"{own['ms']:.0f} ms",
            f"final exit {final['ms']:.0f} ms",
            delta_color="off",
            delta_arrow="off",
            help=WORDS["alone"],
        )
    ui.live_badge(bundle, run)
    if usual := usual_error(layer, head):
        st.caption(
            f"On the test pictures this exit is off by {usual}, on average.",
            help="Mean absolute error (MAE), from the card.",
        )
    reasons = doubts(picture.pixels, rows, layer, head, kept and kept[2])
    if reasons:
        st.warning(
            "\n\n".join(reasons), title="Do not believe this count too much", icon=":material/help:"
        )
    height, width = picture.pixels.shape[:2]
    distorted = stretch(picture.pixels)
    how_much = (
        f"one side {distorted:.2f} times more than the other"
        if distorted >= 1.005
        else "both sides alike, so nobody is distorted"
    )
    with st.expander(f"The picture is stretched, {how_much}", icon=":material/aspect_ratio:"):
        st.image(
            picture.preview,
            width=220,
            caption=f"as it came: {width} × {height}",
            alt="The picture before stretching",
        )
        st.caption(
            "TransCrowd's recipe: every picture becomes 1152 × 768 pixels (768 × 1152 if upright), whatever its shape, "
            "so people may become wider or narrower than they are."
        )

first, second = st.columns(2, gap="medium")
near = abs(own["count"] - final["count"]) <= 0.1 * max(abs(final["count"]), 10)
finding = f"After layer {layer} {head} counts {own['count']:.0f}, {'near' if near else 'far from'} the final exit's {final['count']:.0f}"
with first:
    ui.chart(
        charts_crowd.count_by_layer(rows, head, layer, truth, finding),
        alt=f"Count by layer: {finding}.",
    )
at = rows[(rows["layer"] == layer) & (rows["head"] != FINAL)]
apart = f"After layer {layer} the heads count {at['count'].min():.0f} to {at['count'].max():.0f}"
with second:
    ui.chart(
        charts_crowd.count_map(rows, layer, apart), alt=f"Counts of all heads and layers. {apart}."
    )

crowd_rule.section(bundle, rows, head, kept)
ranges = {
    n.replace("_", " "): next(
        (e["ranges"] for e in s["exits"] if (e["layer"], e["head"]) == (layer, head)), []
    )
    for n, s in bundle.card.get("splits", {}).items()
    if s["exits"] and "ranges" in s["exits"][0]
}
if any(ranges.values()):
    st.subheader(
        "How far off is it usually?",
        anchor=False,
        help="Mean absolute error on the official test pictures, from the card.",
    )
    ui.recorded_badge(bundle, f"{bundle.card['n']} pictures")
    said = f"The larger the crowd, the further {head} after layer {layer} is off"
    ui.chart(
        charts_crowd.error_by_range(ranges, said), alt=f"Error by range of the true count: {said}."
    )
if odd := bundle.card.get("unusual"):
    st.subheader(
        "What it counts where nobody is",
        anchor=False,
        help="Counters are known to find people in empty pictures.",
    )
    table = pd.DataFrame(
        [
            {
                "picture": u["picture"],
                "this exit": u["counts"].get(f"{layer}:{head}"),
                "final exit": u["counts"].get(f"{bundle.model.depth}:{FINAL}"),
            }
            for u in odd
        ]
    )
    st.dataframe(
        table,
        hide_index=True,
        width="content",
        alt="Counts of blank, noisy and drawn pictures, recorded in the card",
    )
out = rows.assign(macs_text=rows.macs.map(charts.macs_text))
out[[f"tile {i + 1}" for i in range(6)]] = rows.tiles.tolist()
out = out.drop(columns=["tiles", "label", "macs_text"])
ui.table(out)
settings = {
    "head": head,
    "layer": layer,
    "picture": picture.title,
    "source": picture.source,
    "people_there": truth,
}
ui.export("crowd", out, bundle, settings, run)
