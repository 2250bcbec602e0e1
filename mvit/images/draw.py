"""What is laid over a picture, with OpenCV: a map of attention, or the tiles of a counter with
their counts."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence

import cv2
import numpy as np
from PIL import Image


def overlay(picture: np.ndarray, heat: np.ndarray, strength: float = 0.75) -> np.ndarray:
    """Colour what matters and leave the rest as a grey picture: RGB uint8 (H, W, 3), a new array.

    picture: RGB uint8 (H, W, 3). heat: (h, w) of 0..1, any size, scaled to the picture; values
    outside are clipped, not-a-number counts as 0. strength: 0 (no colour) .. 1. The colours
    (OpenCV's inferno) grow brighter with the value, so that they keep their order for any colour
    vision and in grey print. Raises ValueError for arrays of another shape or type.
    """
    if picture.ndim != 3 or picture.shape[2] != 3 or picture.dtype != np.uint8:
        raise ValueError(
            f"the picture must be RGB uint8 (H, W, 3), not {picture.dtype} {picture.shape}"
        )
    if heat.ndim != 2 or not heat.size:
        raise ValueError(f"the map must be (H, W), not {heat.shape}")
    level, colour = _coloured(heat, picture.shape[1::-1])
    grey = cv2.cvtColor(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    share = (strength * level)[..., None]  # (H, W, 1)
    return np.rint(grey * (1 - share) + colour * share).astype(np.uint8)


def heat_layer(heat: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """The colours of `overlay` alone, to be laid over a picture: RGBA uint8 (height, width, 4),
    transparent where nothing is. heat: (h, w) of 0..1; size: (width, height)."""
    level, colour = _coloured(heat, size)
    return np.dstack([colour, np.rint(level * 255).astype(np.uint8)])


def _coloured(heat: np.ndarray, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """A map of 0..1 in any size -> its levels (H, W) and their colours, RGB uint8 (H, W, 3)."""
    clean = np.nan_to_num(heat.astype(np.float32), nan=0.0, posinf=1.0, neginf=0.0).clip(0, 1)
    level = cv2.resize(clean, size, interpolation=cv2.INTER_LINEAR)
    colour = cv2.applyColorMap(np.rint(level * 255).astype(np.uint8), cv2.COLORMAP_INFERNO)
    return level, cv2.cvtColor(colour, cv2.COLOR_BGR2RGB)


def count_tiles(
    picture: np.ndarray, boxes: Sequence[tuple[int, int, int, int]], counts: Sequence[float]
) -> np.ndarray:
    """Draw each tile's frame and its count, large, with an outline that reads on any ground: RGB
    uint8 (H, W, 3), a new array.

    picture: RGB uint8 (H, W, 3); boxes: (left, top, right, bottom) in its pixels; counts: people in
    each.
    """
    drawn = picture.copy()
    size = max(picture.shape[:2]) / 1152
    thick = max(1, round(2 * size))
    for (left, top, right, bottom), people in zip(boxes, counts, strict=True):
        for colour, width in (((255, 255, 255), thick + 1), ((0, 60, 110), thick)):
            cv2.rectangle(
                drawn,
                (left + 2 * thick, top + 2 * thick),
                (right - 1 - 2 * thick, bottom - 1 - 2 * thick),
                colour,
                width,
            )
        text, at = f"{people:.0f}", (left + round(22 * size), top + round(78 * size))
        for colour, width in (((0, 0, 0), round(14 * size)), ((255, 255, 255), round(5 * size))):
            cv2.putText(
                drawn,
                text,
                at,
                cv2.FONT_HERSHEY_SIMPLEX,
                2.2 * size,
                colour,
                max(1, width),
                cv2.LINE_AA,
            )
    return drawn


def data_url(picture: np.ndarray, most: int = 320) -> str:
    """The picture, RGB uint8 (H, W, 3), as the address of a small JPEG that needs no file; its
    longer side has at most `most` pixels."""
    small, out = Image.fromarray(picture), io.BytesIO()
    small.thumbnail((most, most))
    small.save(out, "JPEG", quality=85)
    return f"data:image/jpeg;base64,{base64.b64encode(out.getvalue()).decode()}"
