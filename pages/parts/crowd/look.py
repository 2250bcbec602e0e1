"""The picture that is counted, as the network gets it, with what may be laid over it."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from mvit.charts import crowd as charts_crowd
from mvit.charts.crowd import people_words
from mvit.images.draw import count_tiles, overlay
from mvit.inference import explain
from mvit.policies.doubts import stretch
from mvit.tasks import tile_boxes
from pages import parts as ui
from pages.parts.crowd import where
from pages.parts.crowd.counted import Counted

SHOWS = {"where": "where they are", "tiles": "counts of the six tiles"} | {
    name: f"where it looks: {name}" for name in ("tokens", "saliency")
}
SHOW_HELP = (
    "**Where they are**: how many people stand in each patch, read from the patches after this "
    "layer. Or the six tiles that the network cuts the picture into, whose counts it adds. Or "
    "which places spoke for the count, computed through the layers up to this exit only.\n\n"
    + "\n".join(f"- **{n}**: {explain.METHODS[n].about}" for n in ("tokens", "saliency"))
)


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
                bundle,
                lambda model: explain.attribute(
                    model, picture.pixels, layer, head=head, method=show
                ),
            )
        return overlay(stretched, heat)

    return ui.once("crowd_look", (*bundle.key, picture.key, layer, head, show), make)


def show_picture(
    bundle: ui.Bundle, picture: ui.Picture, counted: Counted, maps: where.Found
) -> None:
    """The picture as the network gets it, and what to lay over it. maps: people in each patch after
    each layer, if the model has maps."""
    place = st.container()
    shows = {name: said for name, said in SHOWS.items() if maps or name != "where"}
    show = ui.linked(
        st.pills,
        "Show",
        key="show",
        options=list(shows),
        default=next(iter(shows)),
        required=True,
        wrap=True,
        format_func=shows.get,
        help=SHOW_HELP,
    )
    own = counted.own
    if show == "where":
        people = maps[int(own["layer"])]
        box = where.part(people, own["count"])
        with place:
            where.show(bundle, picture, people, count=own["count"], box=box)
            said, how = where.scaling(people, own["count"], int(own["layer"]))
            st.caption(said, help=how)
        return
    laid = "each tile's count" if show == "tiles" else f"the bright places spoke for it ({show})"
    if show == "tiles" and min(own.tiles) < -0.5:
        laid += "; a tile whose raw output is below zero shows 0"
    place.image(
        drawn_over(bundle, picture, own, show=show),
        width="stretch",
        caption=f"{picture.title}, as the network gets it: {laid}",
        alt=f"{picture.title} with six tiles, counted by {counted.exit}: "
        f"{people_words(own['count'])} in all",
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
