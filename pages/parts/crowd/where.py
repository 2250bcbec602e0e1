"""Where they are: the map of people over the picture, and how many stand in a part of it."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import streamlit as st

from mvit.bundles import weights
from mvit.bundles.card import WeightsError
from mvit.bundles.maps import load_maps
from mvit.charts.crowd import people_text, people_words
from mvit.images.draw import heat_layer, overlay
from mvit.inference import where
from pages import parts as ui

HERE = Path(__file__).resolve().parent
HTML = """
<div class="where">
<div class="picture"><img class="photo" alt=""><img class="map" alt="">
<div class="region" hidden></div><div class="box" hidden></div></div>
<div class="told"><p class="said" role="status"></p>
<button type="button" class="clear" hidden>Remove the rectangle</button>
<label>Strength
<input class="strength" type="range" min="0" max="100" value="80"
aria-label="Strength of the map"></label>
</div></div>
"""
_component = st.components.v2.component(
    "mvit_where",
    html=HTML,
    css=(HERE / "where.css").read_text(),
    js=(HERE / "where.js").read_text(),
)
HINT = "Point at a place, or drag a rectangle: how many are there?"
BESIDE = (2, 6, 12)  # layers whose maps stand side by side
QUALITY = 85  # of the photo as JPEG
Found = dict[int, np.ndarray]  # (rows, columns) people in each patch, by layer
Box = tuple[float, float, float, float]  # left, top, right, bottom


def encoded(picture: np.ndarray, kind: str) -> bytes:
    """An RGB or RGBA uint8 picture (H, W, 3 or 4) as a JPEG or PNG file."""
    order = cv2.COLOR_RGBA2BGRA if picture.shape[2] == 4 else cv2.COLOR_RGB2BGR
    how = [cv2.IMWRITE_JPEG_QUALITY, QUALITY] if kind == "jpeg" else []
    return cv2.imencode(f".{kind}", cv2.cvtColor(picture, order), how)[1].tobytes()


def data_url(picture: np.ndarray, kind: str) -> str:
    """The same as a data address."""
    return f"data:image/{kind};base64,{b64encode(encoded(picture, kind)).decode()}"


@st.cache_resource(max_entries=2, show_spinner=False)
def maps_of(folder: str, stamp: str) -> Any:
    """The maps of a bundle, None if it has none, or in a sentence why they are refused."""
    try:
        return load_maps(Path(folder))
    except WeightsError as error:
        return str(error)


def found(bundle: ui.Bundle, maps: Any, picture: ui.Picture) -> Found:
    """People in each patch after every layer, from one run of the backbone on this picture; nothing
    without maps, which is said. maps: see `maps_of`."""
    if isinstance(maps, str):
        st.warning(maps, title="No map of the people", icon=":material/gpp_bad:")
        return {}
    if maps is None:
        st.caption(without(bundle))
        return {}

    def work(model) -> dict:
        return {"people": where.people_by_layer(model, maps, picture.pixels)}

    with st.spinner("Looking where they are …", show_time=True):
        return ui.measured("crowd_where", bundle, (), work=work, picture=picture)["people"]


def without(bundle: ui.Bundle) -> str:
    """That a counter has no maps, and which one of its task has."""
    of_task = [b for task, b in weights.bundles() if task == bundle.task]
    told = [b for b in of_task if "maps" in weights.card_of(bundle.task, b)]
    others = f"; **{told[0]}** has, choose it in the sidebar" if told else ""
    return f"This model has not learned where people are, so it has no map{others}."


def full_scale(people: np.ndarray) -> float:
    """How many people in a patch have the brightest colour."""
    return max(float(np.percentile(people, 99.5)), 0.02)


@st.cache_data(max_entries=8, show_spinner=False)
def photo(key: str, _bundle: ui.Bundle, _picture: ui.Picture) -> str:
    """The stretched picture as a data address; `key` tells it from others."""
    return data_url(_bundle.model.task.stretch(_picture.pixels), "jpeg")


@st.cache_data(max_entries=8, show_spinner=False)
def heats(
    key: tuple, _bundle: ui.Bundle, _picture: ui.Picture, *, _maps: Sequence[np.ndarray]
) -> list[bytes]:
    """JPEG files of the stretched picture with each map laid over it, in the colours of the last;
    `key` tells them from others."""
    stretched, top = _bundle.model.task.stretch(_picture.pixels), full_scale(_maps[-1])
    return [encoded(overlay(stretched, people / top), "jpeg") for people in _maps]


def show(
    bundle: ui.Bundle, picture: ui.Picture, people: np.ndarray, *, count: float, box: Box | None
) -> None:
    """The stretched picture with its map, scaled to `count`, and a rectangle to begin with. people:
    (rows, columns) as the layer's map counts them."""
    shown, total = where.scaled(people, count), people_text(count)
    rows, columns = shown.shape
    layer = heat_layer(people / full_scale(people), (columns * 8, rows * 8))
    _component(
        key="crowd_where_map",
        data={
            "photo": photo(picture.key, bundle, picture),
            "map": data_url(layer, "png"),
            "people": shown.astype(float).round(4).ravel().tolist(),
            "rows": rows,
            "columns": columns,
            "total": total,
            "alt": f"{picture.title}; bright places are where people were found, {total} in all",
            "hint": HINT,
            "picture": picture.title,
            "box": box,
            "bare": ui.hidden(),
        },
    )


def part(people: np.ndarray, count: float) -> Box | None:
    """Count a part of the picture by numbers instead of a mouse: four handles and what they
    enclose. Returns the rectangle as shares of the picture, or None for the whole, as always where
    the link hides all controls."""
    if ui.hidden():
        return None
    with st.expander("Count a part of the picture by numbers", icon=":material/crop:"):
        with st.container(horizontal=True):
            left, right = st.slider(
                "From left to right, %", 0, 100, (0, 100), key="crowd_across", width=300
            )
            top, bottom = st.slider(
                "From top to bottom, %", 0, 100, (0, 100), key="crowd_down", width=300
            )
        box = (left / 100, top / 100, right / 100, bottom / 100)
        there = where.inside(where.scaled(people, count), *box)
        st.markdown(f"**{people_text(there)}** of {people_text(count)} people are in this part.")
    return None if box == (0.0, 0.0, 1.0, 1.0) else box


def scaling(people: np.ndarray, count: float, layer: int) -> tuple[str, str]:
    """That the map adds up to the count, and how it was brought there, in a sentence each."""
    return (
        f"The map is scaled to add up to the answer, {people_text(count)}.",
        f"A map of its own is read from the patches after layer {layer}. It adds up to "
        f"{people_text(float(people.sum()))} before it is scaled to what this exit counts.",
    )


def map_sums(maps: Found, layers: Sequence[int]) -> str:
    """What some layers' maps add up to: "61 people after layer 2, ..."."""
    return ", ".join(f"{people_words(float(maps[n].sum()))} after layer {n}" for n in layers)


def beside(bundle: ui.Bundle, picture: ui.Picture, maps: Found) -> None:
    """The maps of an early, a middle and the last layer side by side, in one scale of colours."""
    layers = [layer for layer in BESIDE if layer in maps]
    if len(layers) < 2:
        return
    st.subheader(
        "How the network finds people",
        anchor=False,
        help="Each map is read from the patches after that layer alone and is shown unscaled, with "
        "the same colours for the same number of people. The maps add up to "
        f"{map_sums(maps, layers)}.",
    )
    shown = heats((*bundle.key, picture.key), bundle, picture, _maps=[maps[n] for n in layers])
    for place, layer, heat in zip(st.columns(len(layers)), layers, shown, strict=True):
        counted = people_text(float(maps[layer].sum()))
        place.image(
            heat,
            width="stretch",
            caption=f"after layer {layer}",
            alt=f"Where people are found after layer {layer}: the map alone adds up to {counted}",
        )
