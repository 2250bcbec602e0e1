"""Crowd: how many people does every exit count, where in the picture, and when not to believe
it."""

from pathlib import Path

import pandas as pd
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from mvit.bundles import weights
from mvit.evaluation.counts import load_counts
from mvit.evaluation.predictions import PredictionsError
from mvit.policies.doubts import Usual, doubts
from pages import parts as ui
from pages.parts import words
from pages.parts.crowd import card as crowd_card
from pages.parts.crowd import clip as crowd_clip
from pages.parts.crowd import look as crowd_look
from pages.parts.crowd import numbers as crowd_numbers
from pages.parts.crowd import rule as crowd_rule
from pages.parts.crowd import sources as crowd_sources
from pages.parts.crowd import where as crowd_where
from pages.parts.crowd.counted import Counted, known

WORDS = words.WORDS
PHOTO, DRAWN, SEVERAL, CLIP = "One photo", "Drawn crowd", "Several photos", "Clip"


@st.cache_resource(max_entries=2, show_spinner=False)
def recorded_counts(folder: str, stamp: str) -> tuple | None:
    """(validation counts, test counts, how far apart their exits are) of a bundle, or None if none
    are recorded."""
    try:
        found = load_counts(Path(folder))
        return found["val"], found["test"], Usual.of(found["test"])
    except (PredictionsError, KeyError):
        return None


def stamped(bundle: ui.Bundle) -> tuple[str, str]:
    """A bundle's folder, and what tells whether its files are still the same."""
    folder = weights.folder(bundle.task, bundle.backbone)
    return str(folder), str(bundle.card.get("files", ""))


def pick_kind() -> str:
    """Draw the choice of what to count."""
    return ui.linked(
        st.segmented_control,
        "What to count",
        key="count",
        options=[PHOTO, DRAWN, SEVERAL, CLIP],
        default=PHOTO,
        required=True,
        label_visibility="collapsed",
        help="A drawn crowd has an exactly known number of people, so the count can be tested.",
    )


def pick_exit(bundle: ui.Bundle, kind: str) -> tuple[str, int]:
    """Draw the choice of the head and, but for a clip, the layer."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        head = ui.linked(
            st.selectbox,
            "Head",
            key="head",
            options=bundle.heads,
            index=bundle.heads.index(bundle.best_head),
            width=130,
            help=words.head_help(bundle.heads),
        )
        if kind == CLIP:
            return head, bundle.model.depth
        layer = ui.linked(
            st.slider,
            "Layer",
            key="layer",
            min_value=1,
            max_value=bundle.model.depth,
            value=bundle.model.depth * 3 // 4,
            width=170,
            help=WORDS["layer"],
        )
    return head, layer


@ui.page("Crowd")
def page() -> None:
    st.markdown(
        "How many people are there, and where? Each exit answers before the network has finished.",
        help="The counter (TransCrowd) cuts the picture into six tiles and gives each a number. "
        f"{WORDS['backbone']} {WORDS['exit']} Liang et al., 2021, arXiv:2104.09116.",
    )
    bundle = ui.current(counting=True)
    kept = recorded_counts(*stamped(bundle))
    usual = kept and kept[2]
    kind = pick_kind()
    # each has a place of its own, so that what the other has drawn goes before the work begins
    photos = st.empty() if kind == CLIP else st.container()
    clip = st.container() if kind == CLIP else st.empty()
    if kind == CLIP:
        with clip:
            head, _ = pick_exit(bundle, kind)
            crowd_clip.section(bundle, head, kept)
        return
    with photos:
        if kind == SEVERAL:
            head, layer = pick_exit(bundle, kind)
            crowd_sources.several(bundle, layer, head, usual=usual)
        else:
            one(bundle, kind, kept)


def traced(bundle: ui.Bundle, picture: ui.Picture) -> dict:
    """What every exit counts in a picture, as "rows"."""
    with st.spinner("Counting at every exit …", show_time=True):
        return ui.measured(
            "crowd",
            bundle,
            tuple(bundle.heads),
            work=lambda model: {"rows": model.trace(picture.pixels)},
            picture=picture,
        )


def one(bundle: ui.Bundle, kind: str, kept: tuple | None) -> None:
    """Draw the counts of one picture at all exits. kept: see `recorded_counts`."""
    usual = kept and kept[2]
    headline, control = st.columns([3, 2], gap="medium", vertical_alignment="center")
    with control:
        head, layer = pick_exit(bundle, kind)
    left, right = st.columns([3, 2], gap="medium")
    shown, answer = left.container(), right.container()
    with left:
        picture = crowd_sources.drawn() if kind == DRAWN else ui.pick_picture(bundle.task)
    with shown:
        run = traced(bundle, picture)
    rows = run["rows"]
    own = rows[(rows["layer"] == layer) & (rows["head"] == head)].iloc[0]
    counted = Counted(own, rows.iloc[-1], rows, truth=known(picture))
    with headline:
        crowd_numbers.show_headline(bundle, counted, kept)
    with shown:
        maps = crowd_where.found(bundle, crowd_where.maps_of(*stamped(bundle)), picture)
        crowd_look.show_picture(bundle, picture, counted, maps=maps)
    with answer:
        timed, plain_place = ui.is_timed(bundle), crowd_numbers.show_numbers(bundle, counted, run)
        if timed:
            show_plain(bundle, counted, plain_place)
        if reasons := doubts(picture.pixels, rows, layer, head=head, usual=usual):
            st.warning("\n\n".join(reasons), title="Doubt this count", icon=":material/help:")
    with right:
        crowd_look.show_fit(picture)
    if maps:
        crowd_where.beside(bundle, picture, maps)
    crowd_numbers.show_layers(counted)
    crowd_rule.section(bundle, rows, head, kept=kept)
    crowd_card.show_ranges(bundle, layer, head)
    crowd_card.show_unusual(bundle, layer, head)
    out = show_table(rows)
    settings = {
        "head": head,
        "layer": layer,
        "picture": picture.title,
        "source": picture.source,
        "people_there": counted.truth,
    }
    ui.export("crowd", out, bundle, settings=settings, run=run)
    if not timed:  # last, as a counter takes some seconds to time, once
        show_plain(bundle, counted, plain_place)


def show_plain(bundle: ui.Bundle, counted: Counted, place: DeltaGenerator) -> None:
    """Say in its place what the plain network needs."""
    with place:
        ui.plain_badge(ui.plain(bundle, float(counted.final["ms"])))


def show_table(rows: pd.DataFrame) -> pd.DataFrame:
    """Every exit as a table with a column for each tile; return it with the names of the file."""
    out = rows.drop(columns=["tiles", "label"])
    out[[f"tile {i + 1}" for i in range(6)]] = rows.tiles.tolist()
    ui.table(out.rename(columns={"count": "raw output"}), "Every exit as a table")
    return out
