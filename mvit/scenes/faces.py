"""Heads of a drawn crowd: from the front, the back and the side, with hair, hats, scarves, glasses
and light from one side."""

from __future__ import annotations

import numpy as np

from mvit.scenes.brush import Brush, drawn_from, shade

HAIRS = [
    ((22, 19, 19), 11),
    ((38, 30, 27), 8),
    ((62, 45, 35), 6),
    ((96, 70, 46), 3),
    ((150, 122, 80), 2),
    ((122, 118, 116), 2),
    ((192, 188, 184), 1),
]
HATS = [
    ((36, 38, 46), 5),
    ((190, 186, 176), 3),
    ((150, 40, 40), 2),
    ((40, 62, 118), 2),
    ((196, 172, 120), 3),
    ((90, 96, 82), 2),
]


def draw_head(
    brush: Brush, look: np.ndarray, skin: tuple, turn: float, woman: bool, light: float, down: float
) -> None:
    """Neck, hair, face and what is worn. turn: radians, 0 faces the camera; light: -1 from the left
    .. 1 from the right.

    down: how far the camera looks down, 0 level .. 1 from above: more hair, less face.
    """
    hair = shade(drawn_from(HAIRS, look[21]), 0.85 + 0.4 * look[22])
    front, side = float(np.cos(turn)), float(np.sin(turn))
    bald = not woman and look[23] < 0.07
    long = woman and look[23] < 0.62
    brush.line([(0, 0.2), (0, 0.66)], 0.4, shade(skin, 0.72))
    if long and front > 0:
        brush.oval(-0.05 * side, 0.22, 0.46, down=0.62, colour=shade(hair, 0.8))
    _skull(brush, skin if bald else hair, side, light=light)
    if front > -0.35:
        brush.y += 0.32 * down * brush.u
        _face(brush, look, skin, hair=hair, front=front, side=side, woman=woman, light=light)
        brush.y -= 0.32 * down * brush.u
    else:
        brush.oval(0.1 * side, 0.4, 0.2, down=0.12, colour=shade(skin, 0.82))  # the nape
        if side * side > 0.2:
            brush.oval(
                0.3 * np.sign(side), 0.08, 0.08, down=0.13, colour=shade(skin, 0.85)
            )  # an ear
        if long:
            brush.shape(
                [(-0.38, -0.1), (0.38, -0.1), (0.44, 1.0), (0.2, 1.25), (-0.2, 1.25), (-0.44, 1.0)],
                shade(hair, 0.92),
            )
            brush.line([(0.1 * light, 0.0), (0.14 * light, 0.9)], 0.12, shade(hair, 1.25))
    _worn(brush, look, front, side=side, light=light)


def _skull(brush: Brush, colour: tuple, side: float, light: float) -> None:
    """A ball of hair or bare skin, lit from above and one side."""
    across = 0.385 + 0.04 * abs(side)
    brush.oval(0, 0, across + 0.05, down=0.52, colour=shade(colour, 0.5))
    brush.oval(0, -0.02, across, down=0.48, colour=shade(colour, 0.75))
    brush.oval(0.03 * light, -0.04, across * 0.93, down=0.44, colour=colour)
    brush.oval(0.1 * light, -0.18, across * 0.62, down=0.24, colour=shade(colour, 1.22))
    if brush.u > 14:
        brush.oval(0.13 * light, -0.24, across * 0.36, down=0.12, colour=shade(colour, 1.5))


def _face(
    brush: Brush,
    look: np.ndarray,
    skin: tuple,
    hair: tuple,
    front: float,
    side: float,
    woman: bool,
    light: float,
) -> None:
    """The skin between hair line and chin, moved to where the head looks; features as far as the
    size shows them."""
    x, wide = 0.2 * side, 0.31 * (0.62 + 0.38 * max(front, 0.0))
    brush.oval(x, 0.13, wide, down=0.375, colour=shade(skin, 0.78))
    brush.oval(x + 0.045 * light, 0.11, wide * 0.88, down=0.34, colour=skin)
    if brush.u < 9:
        return
    brush.oval(x + 0.09 * light, 0.16, wide * 0.5, down=0.17, colour=shade(skin, 1.1))
    brush.oval(x, 0.03, wide * 0.8, down=0.055, colour=shade(skin, 0.72))  # the shade of the brows
    if not woman and look[15] < 0.2:
        brush.oval(x, 0.38, wide * 0.8, down=0.15, colour=shade(hair, 1.15))
    if brush.u > 16:
        for eye in (-1, 1):
            at = x + 0.5 * wide * eye + 0.05 * side
            brush.line([(at - 0.05, -0.035), (at + 0.05, -0.035)], 0.045, shade(hair, 0.9))
            brush.line([(at - 0.035, 0.04), (at + 0.035, 0.04)], 0.05, (44, 34, 32))
        brush.line([(x + 0.09 * side, 0.06), (x + 0.12 * side, 0.2)], 0.06, shade(skin, 0.86))
        brush.line(
            [(x - 0.09 + 0.05 * side, 0.33), (x + 0.09 + 0.05 * side, 0.33)],
            0.05,
            (150, 84, 80) if woman else shade(skin, 0.62),
        )
    if look[14] < 0.1:
        dark = (24, 24, 28) if look[14] < 0.06 else (70, 64, 62)
        brush.line(
            [(x - 0.8 * wide, 0.05), (x + 0.8 * wide, 0.05)],
            0.13 if look[14] < 0.06 else 0.05,
            dark,
        )
    elif look[14] > 0.96:  # a mask
        brush.oval(x, 0.29, wide * 0.8, down=0.17, colour=(196, 206, 214))
    if woman or look[13] < 0.5:  # a fringe
        brush.oval(x - 0.1 * np.sign(light), -0.21, wide * 0.9, down=0.13, colour=hair)


def _worn(brush: Brush, look: np.ndarray, front: float, side: float, light: float) -> None:
    chance, colour = look[12], shade(drawn_from(HATS, look[10]), 0.75 + 0.5 * look[11])
    if chance < 0.055:  # a cap
        brush.arch(0, -0.06, 0.42, down=0.46, colour=shade(colour, 0.8))
        brush.arch(0.06 * light, -0.08, 0.34, down=0.4, colour=colour)
        if front > -0.3:
            brush.oval(0.26 * side, -0.08 + 0.03 * front, 0.36, down=0.1, colour=shade(colour, 0.7))
    elif chance < 0.085:  # a hat with a brim
        brush.oval(0, -0.16, 0.66, down=0.17, colour=shade(colour, 0.75))
        brush.oval(0.05 * light, -0.18, 0.6, down=0.13, colour=colour)
        brush.arch(0, -0.18, 0.38, down=0.4, colour=shade(colour, 0.92))
        brush.arch(0.07 * light, -0.2, 0.26, down=0.33, colour=shade(colour, 1.1))
    elif chance < 0.105:  # a woollen cap
        brush.arch(0, -0.02, 0.43, down=0.52, colour=shade(colour, 0.85))
        brush.arch(0.08 * light, -0.1, 0.32, down=0.38, colour=shade(colour, 1.1))
    elif chance < 0.125:  # a headscarf
        brush.arch(0, 0.12, 0.44, down=0.64, colour=shade(colour, 0.85))
        if front > -0.3:
            brush.oval(0.2 * side, 0.16, 0.25, down=0.31, colour=(190, 148, 120))
        else:
            brush.oval(0, 0.1, 0.43, down=0.5, colour=colour)
