"""The one way in for pictures: bytes to RGB uint8, or one typed error."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from mvit.images.files import bare_picture
from mvit.images.picture import DAMAGED, MAX_PIXELS, ImageError, Picture, check_size

__all__ = ["MAX_BYTES", "MAX_PIXELS", "ImageError", "read_image"]

MAX_BYTES = 20 * 1024 * 1024
BAND_PIXELS = 1_000_000  # converted at a time, so that a large picture is never held three times


def picture_bytes(file: Path) -> bytes:
    """The content of a file that may be a picture, never more than MAX_BYTES of it. Raises
    ImageError."""
    try:
        if not file.is_file():  # a pipe would wait for ever
            file.stat()
            raise ImageError("This cannot be read: it is not a file; please choose a picture.")
        _check_bytes(file.stat().st_size)
        return file.read_bytes()
    except OSError as error:
        raise ImageError(f"This file cannot be read: {error.strerror or error}.") from error


def _check_bytes(size: int) -> None:
    if size > MAX_BYTES:
        raise ImageError(
            f"This file is too large ({size / 1024**2:.1f} MB; the limit is 20 MB); please save a "
            "smaller copy and try again."
        )


def read_image(data: bytes) -> np.ndarray:
    """Read the bytes of a picture file as a person would see it: upright, first frame, on white.

    Returns RGB uint8 (H, W, 3), H * W at most MAX_PIXELS. Reads JPEG, PNG, WebP, GIF, BMP and TIFF,
    recognised by content; metadata is dropped unread but for the orientation. Raises ImageError,
    whose message is one sentence for the user. Safe to call from several threads.
    """
    if not data:
        raise ImageError("This file is empty; please choose a JPEG or PNG picture.")
    _check_bytes(len(data))
    picture = bare_picture(data)
    width, height = picture.canvas or picture.size
    check_size(*picture.size)
    check_size(width, height)
    try:
        pixels = _decode(picture, width, height)
    except ImageError:
        raise
    # decoders raise about anything on damaged data; the cause may quote the file, so it is not kept
    except Exception:
        raise ImageError(DAMAGED) from None
    return _upright(pixels, picture.turn)


def _decode(picture: Picture, width: int, height: int) -> np.ndarray:
    x, y = picture.offset
    canvas = None
    for rows, band in _webp_bands(picture) if picture.format == "WEBP" else _pillow_bands(picture):
        if canvas is None:  # made only now, when the decoder has given its own buffers back
            canvas = np.full((height, width, 3), 255, np.uint8)
        canvas[y + rows.start : y + rows.stop, x : x + picture.size[0]] = band
    return canvas


def _bands(size: tuple[int, int]) -> Iterator[slice]:
    step = max(1, BAND_PIXELS // size[0])
    for top in range(0, size[1], step):
        yield slice(top, min(top + step, size[1]))


def _webp_bands(picture: Picture) -> Iterator[tuple[slice, np.ndarray]]:
    # OpenCV, because Pillow keeps four copies of a WebP picture while it decodes: 640 MB at 40
    # megapixels.
    # (H, W, 3 or 4), BGR or BGRA
    pixels = cv2.imdecode(np.frombuffer(picture.data, np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels is None or pixels.shape[1::-1] != picture.size:
        raise ImageError(DAMAGED)
    code = cv2.COLOR_BGR2RGB if pixels.shape[2] == 3 else cv2.COLOR_BGRA2RGBA
    for rows in _bands(picture.size):
        yield rows, _rgb(Image.fromarray(cv2.cvtColor(pixels[rows], code)), picture)


def _pillow_bands(picture: Picture) -> Iterator[tuple[slice, np.ndarray]]:
    with Image.open(io.BytesIO(picture.data), formats=[picture.format]) as image:
        if image.size != picture.size:
            raise ImageError(DAMAGED)
        image.load()
        levels = _levels(image) if image.mode in ("I", "F") else (0.0, 255.0)
        for rows in _bands(picture.size):
            yield rows, _rgb(image.crop((0, rows.start, image.width, rows.stop)), picture, levels)


def _levels(image: Image.Image) -> tuple[float, float]:
    """Return the levels of a float or 32-bit picture to show as black and white: 0..1 or 0..255 if
    it keeps to that, else its own range."""
    low, high = np.inf, -np.inf
    for rows in _bands(image.size):
        band = np.asarray(image.crop((0, rows.start, image.width, rows.stop)))
        band = band[np.isfinite(band)]
        if band.size:
            low, high = min(low, float(band.min())), max(high, float(band.max()))
    usual = [
        top for top in ((1.0, 255.0) if image.mode == "F" else (255.0,)) if low >= 0 and high <= top
    ]
    return (0.0, usual[0]) if usual else (low, high)


def _rgb(
    band: Image.Image, picture: Picture, levels: tuple[float, float] = (0.0, 255.0)
) -> np.ndarray:
    """Return a band of any Pillow mode as RGB uint8 (h, w, 3)."""
    hidden = None
    if band.mode.startswith("I;16"):
        grey = np.asarray(band)
        hidden = None if picture.clear is None else grey == picture.clear[0]
        rgb = cv2.cvtColor((grey >> 8).astype(np.uint8), cv2.COLOR_GRAY2RGB)
    elif band.mode in ("I", "F"):
        low, high = levels
        # infinities and not-a-numbers are dealt with in the next line
        with np.errstate(all="ignore"):
            shown = (np.asarray(band).astype(np.float64) - low) / max(high - low, 1e-30)
        shown = np.nan_to_num(shown, nan=0.0, posinf=1.0, neginf=0.0).clip(0, 1)
        rgb = cv2.cvtColor(np.rint(shown * 255).astype(np.uint8), cv2.COLOR_GRAY2RGB)
    elif band.has_transparency_data:
        layer = band.convert("RGBA")
        rgb = np.array(
            Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer).convert("RGB")
        )
    else:
        rgb = np.array(band.convert("RGB"))
        hidden = None if picture.clear is None else (rgb == np.array(picture.clear)).all(axis=-1)
    if hidden is not None:
        rgb[hidden] = 255
    return rgb


def _upright(pixels: np.ndarray, turn: int) -> np.ndarray:
    """Apply an EXIF orientation, 1..8, to RGB uint8 (H, W, 3)."""
    if turn >= 5:
        # mirrored about the main diagonal: orientation 5; the others add a flip
        pixels = cv2.transpose(pixels)
    flip = {2: 1, 3: -1, 4: 0, 6: 1, 7: -1, 8: 0}.get(turn)
    return pixels if flip is None else cv2.flip(pixels, flip)
