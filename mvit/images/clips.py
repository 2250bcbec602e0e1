"""Clips: a short video, or pictures in a row, as frames to be looked at one after another.

FFmpeg, as OpenCV brings it, decodes. It gets files only that begin as a video's container does: a
playlist could name other files of this machine. No frame is kept, so that a clip takes no more
memory than a picture.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import cv2
import numpy as np

from mvit.images.limits import ImageError, check_bytes, check_size
from mvit.images.reader import is_video, read_image

MOST_SECONDS, MOST_FRAMES = 20, 30
MOST_PIXELS = 9_500_000  # of a video's frame: 4096 x 2304
MOST_READ, MOST_WORK_S = 2400, 20.0  # frames that are decoded, and seconds that this may take
VIDEO_NAMES = (".mp4", ".m4v", ".mov", ".webm", ".mkv", ".avi", ".mpg", ".mpeg")
NO_FRAMES = (
    "This video has no frames that can be decoded here: it is empty or damaged, or its codec is "
    "not there; please save it as MP4 (H.264) and try again."
)
NO_VIDEO = "This file has the name of a video but is none."

# What a file says about itself is its owner's, and FFmpeg writes some of it to standard error.
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")


GIF, GIF_FRAME = b"GIF8", b"\x00\x21\xf9\x04"  # how the file begins, and a frame's timing in it


class Frame(NamedTuple):
    """One frame. name: of the picture's file, or the moment in the video; second: that moment, None
    for pictures; pixels: RGB uint8 (H, W, 3), or None if the frame cannot be read; remark: why not,
    or what to know about it."""

    name: str
    second: float | None
    pixels: np.ndarray | None
    remark: str = ""


class Clip(NamedTuple):
    """A clip. count: its frames; frames(): reads them anew, in order; remarks: a sentence for each
    thing that was left out."""

    count: int
    frames: Callable[[], Iterator[Frame]]
    remarks: list[str]


def clip_of(files: Sequence[tuple[str, bytes]]) -> Clip:
    """The clip in files of (name, content): the first video or animated GIF, or else the pictures
    by name, numbers in it by value; at most MOST_FRAMES frames, sampled evenly.

    Raises ImageError, one sentence, if there is nothing to look at. A picture that cannot be read
    is a frame without pixels.
    """
    if not files:
        raise ImageError("There are no files; please choose a video or some pictures.")
    videos = [(name, data) for name, data in files if is_video(data) or _moves(data)]
    if not videos:
        return _pictures(sorted(files, key=lambda file: _by_number(file[0])))
    name, data = videos[0]
    clip = _video(data)
    if len(files) > 1:
        clip.remarks.append(f"Only the video {name} is looked at; the other files are left out.")
    return clip


def _moves(data: bytes) -> bool:
    """Whether these bytes are a GIF of several frames, which FFmpeg reads as a video."""
    return data.startswith(GIF) and data.count(GIF_FRAME) > 1


def _by_number(name: str) -> list[tuple[int, int | str]]:
    """A key that sorts frame2 before frame10."""
    parts = re.split(r"(\d+)", name.lower())
    return [(0, int(p)) if p.isdecimal() else (1, p) for p in parts if p]


def _pictures(files: list[tuple[str, bytes]]) -> Clip:
    chosen = [files[i] for i in _spread(range(len(files)))]
    remarks = []
    if len(chosen) < len(files):
        remarks.append(
            f"These are {len(files)} pictures; {MOST_FRAMES} of them, evenly spread, are looked at."
        )

    def frames() -> Iterator[Frame]:
        first = None
        for name, data in chosen:
            try:
                pixels, remark = read_image(data), ""
            except ImageError as error:
                named = name.lower().endswith(VIDEO_NAMES)
                yield Frame(name, None, None, remark=NO_VIDEO if named else str(error))
                continue
            size = pixels.shape[1::-1]
            first = first or size
            if size != first:
                remark = "Its size, {} × {}, is not the first one's, {} × {}.".format(*size, *first)
            yield Frame(name, None, pixels, remark=remark)

    return Clip(len(chosen), frames, remarks)


def _spread(moments: Sequence[float]) -> list[int]:
    """Indices of at most MOST_FRAMES rising moments, those nearest to an even spread over them."""
    if len(moments) <= MOST_FRAMES:
        return list(range(len(moments)))
    at = np.asarray(moments, float)
    wished = np.linspace(at[0], at[-1], MOST_FRAMES)
    return sorted({int(np.abs(at - wish).argmin()) for wish in wished})


@contextmanager
def _opened(data: bytes) -> Iterator[cv2.VideoCapture]:
    """A decoder of a video, which lies in a temporary file as long as it is read: from memory
    OpenCV 5.0 crashes when it is closed."""
    with TemporaryDirectory(prefix="mvit_clip_") as folder:
        file = Path(folder, "clip")
        file.write_bytes(data)
        # one thread: each more keeps frames of its own
        one = [cv2.CAP_PROP_N_THREADS, 1]
        capture = cv2.VideoCapture(str(file), cv2.CAP_FFMPEG, one)
        try:
            if not capture.isOpened():
                raise ImageError(NO_FRAMES)
            sides = cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT
            width, height = (int(capture.get(side)) for side in sides)
            check_size(width, height, most=MOST_PIXELS, what="video")
            yield capture
        finally:
            capture.release()


def _video(data: bytes) -> Clip:
    check_bytes(len(data))
    with _opened(data) as capture:
        moments, remarks = _moments(capture)
    if not moments:
        raise ImageError(NO_FRAMES)
    chosen = dict.fromkeys(_spread(moments))
    if len(chosen) < len(moments):
        remarks.append(
            f"Of {len(moments)} frames {len(chosen)}, evenly spread, are looked at; the others are "
            "skipped."
        )

    def frames() -> Iterator[Frame]:
        with _opened(data) as capture:
            for index, moment in enumerate(moments[: max(chosen) + 1]):
                good, pixels = capture.grab(), None
                if index not in chosen:
                    continue
                if good:
                    good, pixels = capture.retrieve()
                name = f"{moment:.2f} s"
                if good:
                    yield Frame(name, moment, cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB))
                else:
                    yield Frame(name, moment, None, remark="This frame cannot be decoded.")

    return Clip(len(chosen), frames, remarks)


def _moments(capture: cv2.VideoCapture) -> tuple[list[float], list[str]]:
    """When each frame of the allowed length is shown, in seconds, as the frames themselves say, and
    what is left out. What the container says of their number is often wrong or absent."""
    moments, began = [], time.thread_time()
    said = capture.get(cv2.CAP_PROP_FRAME_COUNT) / max(capture.get(cv2.CAP_PROP_FPS), 1e-3)
    while capture.grab():
        moment = capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
        if moment > MOST_SECONDS:
            return moments, [
                f"This video is longer than {MOST_SECONDS} seconds; the first {MOST_SECONDS} are "
                "looked at."
            ]
        if len(moments) == MOST_READ or time.thread_time() - began > MOST_WORK_S:
            return moments, [
                f"Decoding this video takes too much work; its first {moments[-1]:.1f} seconds are "
                "looked at."
            ]
        moments.append(moment)
    if moments and said > moments[-1] + 1:
        return moments, [
            f"This video breaks off after {moments[-1]:.1f} of {said:.1f} seconds; what comes "
            "before is looked at."
        ]
    return moments, []
