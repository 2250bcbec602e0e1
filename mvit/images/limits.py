"""The limits on picture files, and the one error for a file that is refused."""

from __future__ import annotations

import math

MAX_BYTES = 20 * 1024 * 1024
MAX_PIXELS = 40_000_000
DAMAGED = "This picture is damaged or truncated; please save or download it again and retry."
UNUSUAL = "This kind of {} file is not supported; please save the picture as PNG and try again."


class ImageError(ValueError):
    """A file that is not a picture we read; the message is one sentence for the person who gave
    it."""


def check_bytes(size: int) -> None:
    """Raise ImageError unless a file has at most MAX_BYTES."""
    if size > MAX_BYTES:
        megabytes = math.ceil(size / 1024**2 * 10) / 10  # up, so that it is above the limit
        raise ImageError(
            f"This file is too large ({megabytes:.1f} MB; the limit is 20 MB); please save a "
            "smaller copy and try again."
        )


def check_size(width: int, height: int, most: int = MAX_PIXELS, what: str = "picture") -> None:
    """Raise ImageError unless a picture has at least one pixel and at most `most`."""
    if width < 1 or height < 1:
        raise ImageError(
            f"This {what} has no pixels (its width or height is zero); please choose another one."
        )
    if width * height > most:
        raise ImageError(
            f"This {what} has too many pixels ({width} x {height}; the limit is {most // 10**6} "
            "megapixels); please save a smaller copy and try again."
        )
