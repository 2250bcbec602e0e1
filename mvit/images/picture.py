"""What a picture file is cut down to, the limits on it, and the one error for a file that is
refused."""

from __future__ import annotations

from dataclasses import dataclass

MAX_PIXELS = 40_000_000
DAMAGED = "This picture is damaged or truncated; please save or download it again and retry."


class ImageError(ValueError):
    """A file that is not a picture we read; the message is one sentence for the person who gave
    it."""


@dataclass(frozen=True)
class Picture:
    """One bare picture: its format and bytes, its size (width, height) in pixels, and how to show
    it."""

    format: str
    data: bytes
    size: tuple[int, int]
    turn: int = 1  # EXIF orientation, 1..8
    # (width, height) of an animation whose first frame is smaller
    canvas: tuple[int, int] | None = None
    offset: tuple[int, int] = (0, 0)  # (x, y) of that frame
    clear: tuple[int, ...] | None = None  # the grey level or colour that stands for transparent


def check_size(width: int, height: int) -> None:
    """Raise ImageError unless a picture has at least one pixel and at most MAX_PIXELS."""
    if width < 1 or height < 1:
        raise ImageError(
            "This picture has no pixels (its width or height is zero); please choose another one."
        )
    if width * height > MAX_PIXELS:
        raise ImageError(
            f"This picture has too many pixels ({width} x {height}; the limit is 40 megapixels); please save a smaller copy and try again."
        )
