"""Pick a picture: a bundled example, an upload, or the camera. The last good picture stays when a
bad one comes."""

from __future__ import annotations

import hashlib
import json
import os
import threading
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import streamlit as st
from PIL import Image

from mvit.images.reader import ImageError, read_image
from mvit.tasks import TASKS
from pages.parts import link

FOLDER = Path(os.environ.get("MVIT_EXAMPLES", Path(__file__).resolve().parents[2] / "examples"))
KEPT_PIXELS = 4_000_000  # of a visitor's picture; the models look at less than one million
EXAMPLE, UPLOAD, CAMERA = "Example", "Upload", "Camera"
SOURCE_HELP = """An example that comes with the lab, a picture file of yours, or a photo taken now.
Pictures stay in this server's memory, and only while you are here."""


@dataclass(frozen=True)
class Picture:
    """pixels: RGB uint8 (H, W, 3). truth: the right label if known. source: Example, Upload or
    Camera. key: a hash of the pixels."""

    pixels: np.ndarray
    title: str
    truth: str | None
    source: str
    key: str

    @cached_property
    def preview(self) -> np.ndarray:
        """The picture small enough to send to a browser."""
        small = Image.fromarray(self.pixels)
        small.thumbnail((640, 640))
        return np.asarray(small)


# the largest picture takes 400 MB while it is read, so a class reads one after another
_reading = threading.Lock()


def _picture(data: bytes, title: str, truth: str | None, source: str) -> Picture:
    """Read a picture and keep at most KEPT_PIXELS of it, each the mean of 2 x 2, 4 x 4 ..., so that
    a class's photos fit into memory."""
    with _reading:
        pixels = read_image(data)
        while pixels.shape[0] * pixels.shape[1] > KEPT_PIXELS:
            pixels = np.asarray(Image.fromarray(pixels).reduce(2))
    return Picture(pixels, title, truth, source, hashlib.sha1(pixels.tobytes()).hexdigest())


def examples(task: str | None = None) -> dict[str, dict]:
    """The bundled examples as {name: {"file", "title", "truth"}}: those of the task, or else those
    of no task.

    The truth of a picture that shows none of the task's classes is None.
    """
    try:
        entries = json.loads((FOLDER / "examples.json").read_text())
    except (OSError, ValueError):
        return {}
    here = [e for e in entries if (FOLDER / e["file"]).is_file()]
    own = [e for e in here if e.get("task") == task] or [e for e in here if "task" not in e]
    labels = TASKS[task].labels if task in TASKS else ()
    return {
        Path(e["file"]).stem: e if e.get("truth") in labels or not labels else {**e, "truth": None}
        for e in own
    }


@st.cache_data(max_entries=32, show_spinner=False)
def _example(file: str, title: str, truth: str | None, stamp: int) -> Picture:
    return _picture((FOLDER / file).read_bytes(), title, truth, EXAMPLE)


def pick_picture(task: str | None = None, key: str = "example") -> Picture:
    """Draw the picker and give back the chosen picture; stops the page, kindly, if there is none
    yet.

    key: the query parameter that holds the example's name; a second picker on a page needs another
    key. `?hide=<key>` leaves only the result, `?hide=upload` leaves only the examples.
    """
    known = examples(task)
    closed = link.hidden("upload") or link.hidden(key)
    sources = ([EXAMPLE] if known else []) + ([] if closed else [UPLOAD, CAMERA])
    source, name = (sources or [None])[0], None
    with st.container(horizontal=True, vertical_alignment="bottom"):
        if len(sources) > 1:
            source = st.segmented_control(
                "Picture from",
                sources,
                default=source,
                required=True,
                key=f"{key}_source",
                persist_state="session",
                help=SOURCE_HELP,
            )
        if source == EXAMPLE:
            name = link.linked(
                st.pills,
                "Example",
                key=key,
                options=list(known),
                default=next(iter(known)),
                required=True,
                wrap=True,
                help="Photographs that come with the lab; their makers are named in examples/CREDITS.md.",
            )
    if source == EXAMPLE:
        return shown(known, name)
    good = f"_{key}_{source}"
    data = None
    if source == UPLOAD:
        data = st.file_uploader(
            "Your picture",
            key=f"{key}_upload",
            help="JPEG, PNG, WebP and more; at most 20 MB and 40 megapixels.",
        )
    elif source == CAMERA:
        data = st.camera_input(
            "Take a photo", key=f"{key}_camera", help="The browser asks for permission first."
        )
    if data is not None:
        digest = hashlib.sha1(data.getvalue()).hexdigest()
        try:
            if digest != st.session_state.get(good, (None, None))[0]:
                title = "your picture" if source == UPLOAD else "your photo"
                st.session_state[good] = (digest, _picture(data.getvalue(), title, None, source))
        except ImageError as error:
            st.error(f"{error} The picture before it stays.", icon=":material/broken_image:")
    if good in st.session_state:
        return st.session_state[good][1]
    if not known:
        st.info("Give the lab a picture to begin.", icon=":material/add_a_photo:")
        st.stop()
    return shown(known, st.session_state.get(key))


def shown(known: dict[str, dict], name: str | None) -> Picture:
    """The example of that name; another one if its file is damaged."""
    for entry in [known[name], *known.values()] if name in known else known.values():
        try:
            return _example(
                entry["file"],
                entry["title"],
                entry.get("truth"),
                (FOLDER / entry["file"]).stat().st_mtime_ns,
            )
        except (ImageError, OSError) as error:
            link.notice(
                f"The example {entry['title']} could not be read ({error}), so the next one is shown."
            )
    st.error(
        "None of the bundled examples could be read. Upload a picture instead.",
        icon=":material/broken_image:",
    )
    st.stop()
