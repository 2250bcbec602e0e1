"""Where the Crowd page's clips come from, and how their frames are counted: once, one after
another, until the visitor stops it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import NamedTuple, TypeVar

import cv2
import numpy as np
import pandas as pd
import streamlit as st

from mvit.images import clips
from mvit.images.clips import Clip, Frame
from mvit.images.reader import ImageError
from mvit.scenes.drawing import moments
from pages import parts as ui

T = TypeVar("T")
DRAWN_FRAMES, DRAWN_SIZE, APART_S = 9, (768, 512), 1.0
SMALL = (384, 256)  # what is kept of a frame, to be shown
KEPT, STOPPED = "_clip", "_clip_stopped"


class Given(NamedTuple):
    """A clip with the number of people in each frame, if that is known, and a name for it."""

    clip: Clip
    truth: list[int] | None
    key: str


class Seen(NamedTuple):
    """A frame that has been counted, small; trace: of one head's exits, None if it was not
    readable; key: of the same pixels the same."""

    key: str
    name: str
    second: float | None
    small: np.ndarray | None
    trace: pd.DataFrame | None
    remark: str


def _in_turn(items: Iterator[T]) -> Iterator[T]:
    """The same items, each made while nobody else computes: a large frame takes much memory, and
    drawing takes time."""
    while True:
        with ui.turn():
            item = next(items, None)
        if item is None:
            return
        yield item


def _tide(people: int) -> list[int]:
    """How many people are in each frame of a crowd that grows to that many and shrinks again, as it
    grew."""
    return [int(n) for n in np.rint(people * np.sin(np.linspace(0, np.pi, DRAWN_FRAMES)) ** 2)]


def drawn() -> Given:
    """The renderer's controls, and the clip they ask for."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        people = ui.linked(
            st.slider,
            "People at the fullest moment",
            key="people",
            min_value=0,
            max_value=1000,
            value=100,
            width=320,
            help="The crowd grows from nobody to so many people and shrinks again.",
        )
        seed = ui.linked_seed("Another seed is another place with other people.")
    truth = _tide(people)

    def frames() -> Iterator[Frame]:
        numbers = list(dict.fromkeys(truth))
        scenes, pictures = moments(numbers, seed, DRAWN_SIZE), {}
        for index, number in enumerate(truth):
            if number not in pictures:
                pictures[number] = next(scenes).picture
            yield Frame(f"frame {index + 1}", index * APART_S, pictures[number])

    return Given(Clip(len(truth), frames, []), truth, f"drawn {people} {seed}")


def own() -> Given | None:
    """The visitor's own clip; None, and a kind word, if there is none or it cannot be read."""
    files = st.file_uploader(
        "A short video, or its frames as pictures",
        accept_multiple_files=True,
        key="crowd_clip",
        help=f"One video of at most {clips.MOST_SECONDS} seconds (MP4, WebM, MOV, AVI, animated "
        "GIF), or pictures, which are ordered by name; at most "
        f"{clips.MOST_FRAMES} frames are counted, evenly spread. Each file may have 20 MB.",
    )
    if not files:
        st.info(
            "Each frame is counted on its own, and leaves the network where its count has settled.",
            icon=":material/movie:",
        )
        return None
    given = [(file.name, file.getvalue()) for file in files]
    key = hashlib.sha1(b"".join(hashlib.sha1(data).digest() for _, data in given)).hexdigest()

    def read() -> Clip | ImageError:
        with st.spinner("Looking at the clip …", show_time=True), ui.turn():
            try:
                return clips.clip_of(given)
            except ImageError as error:
                return error

    clip = ui.once("clip_read", key, read)
    if isinstance(clip, ImageError):
        st.error(str(clip), icon=":material/broken_image:")
        return None
    return Given(clip, None, key)


def _key(frame: Frame) -> str:
    return "" if frame.pixels is None else hashlib.sha1(frame.pixels.tobytes()).hexdigest()


def _count(bundle: ui.Bundle, head: str, frame: Frame) -> Seen:
    small = trace = None
    if frame.pixels is not None:
        stretched = bundle.model.task.stretch(frame.pixels)
        high = stretched.shape[0] > stretched.shape[1]
        size = SMALL[::-1] if high else SMALL
        small = cv2.resize(stretched, size, interpolation=cv2.INTER_AREA)
        trace = ui.inference(bundle, lambda model: model.trace(frame.pixels, heads=[head]))
    return Seen(
        _key(frame), frame.name, frame.second, small=small, trace=trace, remark=frame.remark
    )


def counted(bundle: ui.Bundle, head: str, given: Given) -> list[Seen]:
    """All frames of the clip, equal ones counted once, with a progress bar; those so far if the
    visitor stops it. What is done is kept, so that going on does not count it again."""
    key = (*bundle.key, head, given.key)
    if st.session_state.get(KEPT, (None,))[0] != key:
        st.session_state[KEPT] = (key, [])
    done, total = st.session_state[KEPT][1], given.clip.count
    if len(done) == total:
        return done

    def stop(place: object) -> None:
        st.session_state[STOPPED] = place

    place = st.empty()
    if st.session_state.get(STOPPED) == key:
        with place.container(horizontal=True, vertical_alignment="center"):
            st.info(f"Stopped: {len(done)} of {total} frames are counted.", width="stretch")
            st.button("Go on", key="clip_go", on_click=stop, args=(None,))
        return done
    with place.container(horizontal=True, vertical_alignment="center"):
        bar = st.progress(len(done) / total, f"{len(done)} of {total} frames")
        st.button("Stop", key="clip_stop", icon=":material/stop:", on_click=stop, args=(key,))
    for number, frame in enumerate(_in_turn(given.clip.frames()), 1):
        if number > len(done):
            equal = next((seen for seen in done if seen.key == _key(frame) != ""), None)
            if equal is None:
                found = _count(bundle, head, frame)
            else:
                found = equal._replace(name=frame.name, second=frame.second, remark=frame.remark)
            if number > len(done):  # else an earlier script, which a click ended, has added it
                done.append(found)
            bar.progress(number / total, f"{number} of {total} frames")
    place.empty()
    return done
