"""Pick a picture: a bundled example, an upload, or the camera. A visitor's own photos stay beside
the examples for the whole visit, on every page; the last good one stays when a bad one comes."""

from __future__ import annotations

import hashlib
import threading
from dataclasses import KW_ONLY, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import streamlit as st
from PIL import Image, ImageOps
from streamlit.delta_generator import DeltaGenerator

from mvit.bundles import opening, weights
from mvit.bundles.opening import EXAMPLES as FOLDER
from mvit.bundles.opening import TASK_NAMES
from mvit.images.reader import ImageError, read_image
from mvit.tasks import TASKS
from pages.parts import link
from pages.parts.models import TASK_CHOSEN

KEPT_PIXELS = 4_000_000  # of a visitor's picture; the models look at less than one million
EXAMPLE, UPLOAD, CAMERA = "Example", "Upload", "Camera"
MOST_PHOTOS = 3  # of one visitor; the oldest goes
PHOTOS = "_photos"  # in the session: {"photo 1": Picture}
PICTURES_HELP = """Photographs that come with the lab (their makers are named in
examples/CREDITS.md), and below them the way to use a file of yours or to take a photo now.
Your pictures stay in this server's memory, and only while you are here."""
SWITCHED = "_switched_from"  # in the session: the task before a visitor's picture changed it
FEW_THINGS, MANY_THINGS = ("cifar10", "cifar100"), "imagenet1k"  # tasks, by what they know
NOT_IN_LINKS = "Photos are not in links: whoever opens this page's address sees an example instead."


@dataclass(frozen=True)
class Picture:
    """pixels: RGB uint8 (H, W, 3). truth: the right label if known. source: Example, Upload or
    Camera. key: a hash of the pixels. name: of the visitor's file; shown, but never exported."""

    pixels: np.ndarray
    title: str
    truth: str | None
    _: KW_ONLY
    source: str
    key: str
    name: str = ""

    @cached_property
    def preview(self) -> np.ndarray:
        """The picture small enough to send to a browser."""
        small = Image.fromarray(self.pixels)
        small.thumbnail((640, 640))
        return np.asarray(small)

    @cached_property
    def thumbnail(self) -> np.ndarray:
        """The picture's centre square, small."""
        small = Image.fromarray(self.preview)
        return np.asarray(ImageOps.fit(small, (152, 152)))


# the largest picture takes 400 MB while it is read, so a class reads one after another
_reading = threading.Lock()


def picture_of(data: bytes, title: str, truth: str | None, source: str) -> Picture:
    """Read a picture and keep at most KEPT_PIXELS of it, each the mean of 2 x 2, 4 x 4 ..., so that
    a class's photos fit into memory."""
    with _reading:
        pixels = read_image(data)
        while pixels.shape[0] * pixels.shape[1] > KEPT_PIXELS:
            pixels = np.asarray(Image.fromarray(pixels).reduce(2))
    return Picture(
        pixels, title, truth, source=source, key=hashlib.sha1(pixels.tobytes()).hexdigest()
    )


def examples(task: str | None = None) -> dict[str, dict]:
    """The bundled examples as {name: {"file", "title", "truth"}}: those of the task, or else those
    of no task.

    The truth of a picture is None unless it is known to be one of the task's classes, or a count.
    """
    known = TASKS.get(task)
    return {
        Path(e["file"]).stem: e
        if known and (known.counts or e.get("truth") in known.labels)
        else {**e, "truth": None}
        for e in opening.examples(FOLDER, task)
    }


# not a copy for each who asks: its small pictures are then made once
@st.cache_resource(max_entries=32, show_spinner=False)
def _example(file: str, title: str, truth: str | None, stamp: int) -> Picture:
    return picture_of((FOLDER / file).read_bytes(), title, truth, source=EXAMPLE)


def pick_picture(task: str | None = None, key: str = "example") -> Picture:
    """Draw the picker and return the chosen picture; stops the page, kindly, if there is none yet.

    key: the query parameter that holds the example's name; a second picker on a page needs another
    key. `?hide=<key>` leaves nothing here, `?hide=upload` leaves only the examples.
    """
    known = examples(task)
    added, row = None, st.container(horizontal=True, vertical_alignment="center", gap="medium")
    with row:
        thumbnail = st.empty()
        side = st.container(width="stretch", gap="xsmall")
    chips = side.container()
    if not (link.hidden("upload") or link.hidden(key)):
        added = _own(side, key, [EXAMPLE] if known else [], task=task)
    photos = st.session_state.setdefault(PHOTOS, {})
    names = [*known, *photos]
    if not names:
        st.info("Give the lab a picture to begin.", icon=":material/add_a_photo:")
        st.stop()
    with chips:
        name = _chips(names, key, added)
    picture = photos[name] if name in photos else shown(known, name)
    if not link.hidden(key):  # the page itself shows the picture
        thumbnail.image(picture.thumbnail, width=84, alt=picture.title)
    if name in photos:
        st.caption(f"{picture.title[0].upper()}{picture.title[1:]}: {picture.name}. {NOT_IN_LINKS}")
        _say_who_answers(task, key)
    return picture


def _say_who_answers(task: str | None, key: str) -> None:
    """Of a visitor's picture that went to the model that knows 1,000 things: say so, and offer the
    task of before."""
    before = st.session_state.get(SWITCHED)
    if task != MANY_THINGS or before is None:
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(
            f"**{TASK_NAMES[MANY_THINGS]}** answers here, because your picture may show anything. "
            f"Before it was {TASK_NAMES[before]}.",
            width="content",
        )
        st.button(
            f"Back to {TASK_NAMES[before]}",
            icon=":material/undo:",
            key=f"{key}_back",
            on_click=_back_to,
            args=(before,),
            help="The same as choosing this task in the sidebar. Your next pictures then stay with "
            "it.",
        )


def _back_to(task: str) -> None:
    """The button's callback: the visitor wants this task."""
    st.session_state["task"] = task
    st.session_state[TASK_CHOSEN] = True
    forget_model()


def _know_many_things(task: str | None) -> None:
    """A visitor's picture may show anything, so it goes to the model that knows 1,000 things unless
    the visitor, or the link, asked for another, or the page's own task is not to name things."""
    offered = {task for task, _ in weights.bundles()}
    fixed = st.session_state.get(TASK_CHOSEN) or link.hidden("sidebar", "task")
    if task in FEW_THINGS and MANY_THINGS in offered and not fixed:
        to_many_things()
        st.session_state[SWITCHED] = task
        st.toast(
            "Your picture may show anything, so the task is now *Any photo*, which knows 1,000 "
            "things.",
            icon=":material/image_search:",
        )


def to_many_things() -> None:
    """Choose the model that knows 1,000 things."""
    st.session_state["task"] = MANY_THINGS
    forget_model()


def forget_model() -> None:
    """Leave backbone and head to the new task, whose usual ones are others."""
    st.session_state.pop("backbone", None)
    link.forget("head")


def _own(place: DeltaGenerator, key: str, sources: list[str], *, task: str | None) -> str | None:
    """Draw the way in for the visitor's own pictures; the name of one that is new in this run."""
    with place:
        source = st.segmented_control(
            "Picture from",
            [*sources, UPLOAD, CAMERA],
            default=[*sources, UPLOAD][0],
            required=True,
            key=f"{key}_source",
            persist_state="session",
            label_visibility="collapsed",
        )
    data = None
    if source == UPLOAD:
        data = st.file_uploader(
            "Your picture",
            key=f"{key}_upload",
            help="JPEG, HEIC, PNG, WebP and more; at most 20 MB and 40 megapixels.",
            on_change=_know_many_things,
            args=(task,),
        )
    elif source == CAMERA:
        data = st.camera_input(
            "Take a photo",
            key=f"{key}_camera",
            help="The browser asks for permission first.",
            on_change=_know_many_things,
            args=(task,),
        )
    if data is None or st.session_state.get(f"_{key}_read") == data.file_id:
        return None
    try:
        name = _keep(data.getvalue(), data.name, source)
    except ImageError as error:
        said = f"{error} The picture before it stays."
        st.error(said, icon=":material/broken_image:")
        st.toast(said, icon=":material/broken_image:")  # the line above may be below the fold
        return None
    st.session_state[f"_{key}_read"] = data.file_id
    return name


def _keep(data: bytes, file: str, source: str) -> str:
    """Read a visitor's picture and keep it under the name that is returned, "photo 1" for the
    first. Raises ImageError."""
    photos = st.session_state.setdefault(PHOTOS, {})
    number = st.session_state.get("_photo_number", 0) + 1
    new = picture_of(data, f"photo {number}", None, source=source)
    for name, old in photos.items():
        if old.key == new.key:
            return name
    st.session_state["_photo_number"] = number
    photos[new.title] = replace(new, name=file)
    for oldest in list(photos)[:-MOST_PHOTOS]:
        del photos[oldest]
    return new.title


def _chips(names: list[str], key: str, added: str | None) -> str:
    """Draw the chips, the newest photo or else the choice of the page before already chosen."""
    asked, before = st.query_params.get(key, ""), st.session_state.get(f"_{key}")
    if asked.startswith("photo ") and asked not in names:
        st.query_params.pop(key)
        link.notice("The link was made with somebody's own photo. " + NOT_IN_LINKS)
        asked = ""
    start = added or (key not in st.session_state and (asked or before))
    options: dict[str, Any] = {"default": names[0]}
    if start in names:
        st.session_state[key], options = start, {}
    name = link.linked(
        st.pills,
        "Example",
        key=key,
        options=names,
        format_func=lambda name: name.replace("_", " "),
        required=True,
        wrap=True,
        help=PICTURES_HELP,
        **options,
    )
    st.session_state[f"_{key}"] = name
    return name


def shown(known: dict[str, dict], name: str | None) -> Picture:
    """The example of that name; another one if its file is damaged."""
    for entry in [known[name], *known.values()] if name in known else known.values():
        try:
            return _example(
                entry["file"],
                entry["title"],
                entry.get("truth"),
                stamp=(FOLDER / entry["file"]).stat().st_mtime_ns,
            )
        except (ImageError, OSError) as error:
            failed = f"The example {entry['title']} could not be read ({error})"
            link.notice(f"{failed}, so the next one is shown.")
    st.error(
        "None of the bundled examples could be read. Upload a picture instead.",
        icon=":material/broken_image:",
    )
    st.stop()
