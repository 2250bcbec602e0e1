"""A brush that paints in a person's own measures, with soft edges at any size."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

SHIFT = 4  # OpenCV's fixed point: a sixteenth of a pixel
ONE = 1 << SHIFT


def shade(colour: Sequence[float], factor: float) -> tuple[float, float, float]:
    """A colour made darker (below 1) or lighter."""
    return (
        min(colour[0] * factor, 255.0),
        min(colour[1] * factor, 255.0),
        min(colour[2] * factor, 255.0),
    )


def drawn_from(weighted: list[tuple[tuple, float]], chance: float) -> tuple:
    """The entry that a chance of 0..1 falls on."""
    left = chance * sum(weight for _, weight in weighted)
    for entry, weight in weighted:
        left -= weight
        if left < 0:
            return entry
    return weighted[-1][0]


class Brush:
    """Paints on `canvas` around (x, y) in units of `u` pixels; `body=True` shortens what is below
    the chin by `tilt`; `lean` bends the body to one side, in heads across for each head down."""

    def __init__(
        self,
        canvas: np.ndarray,
        x: float,
        y: float,
        u: float,
        tilt: float = 1.0,
        lean: float = 0.0,
        line: int = cv2.LINE_AA,
    ):
        self.canvas, self.x, self.y, self.u = canvas, float(x), float(y), float(u)
        self.tilt, self.lean, self.type = float(tilt), lean, line

    def _at(self, x: float, y: float, body: bool) -> tuple[int, int]:
        if body and y > 0.5:
            y = 0.5 + (y - 0.5) * self.tilt
        return int((self.x + (x + self.lean * y) * self.u) * ONE), int((self.y + y * self.u) * ONE)

    def oval(
        self,
        x: float,
        y: float,
        across: float,
        down: float,
        colour: tuple,
        body: bool = False,
        angle: float = 0.0,
    ) -> None:
        """A filled ellipse with half axes `across` and `down`."""
        axes = (max(round(across * self.u * ONE), 1), max(round(down * self.u * ONE), 1))
        cv2.ellipse(
            self.canvas, self._at(x, y, body), axes, angle, 0, 360, colour, -1, self.type, SHIFT
        )

    def arch(self, x: float, y: float, across: float, down: float, colour: tuple) -> None:
        """The upper half of an ellipse."""
        axes = (max(round(across * self.u * ONE), 1), max(round(down * self.u * ONE), 1))
        cv2.ellipse(
            self.canvas, self._at(x, y, False), axes, 0, 180, 360, colour, -1, self.type, SHIFT
        )

    def shape(
        self, points: Sequence[tuple[float, float]], colour: tuple, body: bool = False
    ) -> None:
        """A filled polygon."""
        cv2.fillPoly(
            self.canvas,
            [np.array([self._at(x, y, body) for x, y in points], np.int32)],
            colour,
            self.type,
            SHIFT,
        )

    def line(
        self, points: Sequence[tuple[float, float]], width: float, colour: tuple, body: bool = False
    ) -> None:
        """A line with round ends."""
        places = np.array([self._at(x, y, body) for x, y in points], np.int32)
        cv2.polylines(
            self.canvas, [places], False, colour, max(1, round(width * self.u)), self.type, SHIFT
        )
