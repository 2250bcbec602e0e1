"""One person of a drawn crowd: legs, clothes, arms, and a head as crowd photos show heads, from a
few pixels high to sixty and more.

Measures are in heads: the origin is the head's centre, 1 is its height. A person's look is a row of
chances (`People.look`), one each for the traits named in `T`, so that a look stays when the person
is moved.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from mvit.scenes.brush import Brush, drawn_from, shade
from mvit.scenes.camera import BODY, People
from mvit.scenes.faces import draw_head

CLOTHES = [
    ((34, 34, 38), 20),
    ((205, 205, 204), 17),
    ((58, 62, 74), 12),
    ((112, 114, 118), 8),
    ((38, 56, 104), 8),
    ((92, 116, 158), 6),
    ((150, 44, 46), 6),
    ((176, 160, 134), 5),
    ((90, 72, 58), 4),
    ((66, 92, 70), 4),
    ((206, 186, 90), 3),
    ((192, 112, 134), 3),
    ((212, 116, 60), 2),
    ((110, 78, 130), 2),
    ((80, 160, 176), 2),
]
TROUSERS = [
    ((44, 52, 78), 10),
    ((30, 30, 34), 10),
    ((92, 104, 128), 5),
    ((150, 138, 116), 4),
    ((84, 82, 80), 4),
    ((190, 188, 184), 1),
]
SKINS = [
    ((226, 184, 158), 6),
    ((208, 162, 132), 7),
    ((188, 140, 108), 5),
    ((142, 98, 72), 3),
    ((92, 62, 48), 2),
]


@dataclass(frozen=True)
class Light:
    """side: -1 light from the left .. 1 from the right; sun: how dark cast shadows are, 0..1; tint:
    RGB factors of the light."""

    side: float
    sun: float
    tint: tuple[float, float, float]


def draw_shadow(picture: np.ndarray, crowd: People, index: int, light: Light) -> None:
    """Darken the ground at the feet, and where the sun throws the body's shadow."""
    if crowd.seated:
        return
    (x, _), u, feet = crowd.points[index], crowd.u[index], crowd.feet[index]
    reach = 1.1 + 1.8 * light.sun
    across, down = reach * u, 0.34 * u
    centre = x - light.side * (reach - 1.1) * u
    left, right = int(max(centre - across, 0)), int(min(centre + across + 1, picture.shape[1]))
    top, bottom = int(max(feet - down, 0)), int(min(feet + down + 1, picture.shape[0]))
    if left >= right or top >= bottom:
        return
    yy, xx = np.ogrid[top:bottom, left:right]
    away = ((xx - centre) / across) ** 2 + ((yy - feet) / down) ** 2
    dark = 1 - (0.35 + 0.5 * light.sun) * np.clip(1 - away, 0, 1) ** 0.7
    patch = picture[top:bottom, left:right]
    patch[:] = (patch * dark[..., None]).astype(np.uint8)


def silhouette(owner: np.ndarray, crowd: People, index: int) -> None:
    """Write a person's outline into `owner`, an int32 map (H, W): 2i + 1 where the body is, 2i + 2
    where the head is."""
    (x, y), u = crowd.points[index], crowd.u[index]
    brush = Brush(
        owner,
        x,
        y,
        u=u,
        tilt=crowd.tilt * crowd.tall[index],
        lean=_lean(crowd.look[index]),
        line=cv2.LINE_8,
    )
    body, head = (2 * int(index) + 1,), (2 * int(index) + 2,)
    if crowd.umbrella[index]:
        brush.oval(*_umbrella_at(crowd.look[index]), 1.9, 0.95, body)
    brush.shape(
        [(-1.0, 1.0), (-0.8, 0.7), (0.8, 0.7), (1.0, 1.0), (0.95, 3.2), (-0.95, 3.2)],
        body,
        body=True,
    )
    brush.shape([(-0.6, 3.0), (0.6, 3.0), (0.5, BODY), (-0.5, BODY)], body, body=True)
    brush.oval(0, 0, 0.36, down=0.48, colour=head)


def _lean(look: np.ndarray) -> float:
    return 0.16 * (float(look[8]) - 0.5)


def _umbrella_at(look: np.ndarray) -> tuple[float, float]:
    return (0.8 if look[0] < 0.5 else -0.8), -1.25


def draw_figure(picture: np.ndarray, crowd: People, index: int, light: Light) -> None:
    """Paint one person over what is there."""
    (x, y), u, look, turn = (
        crowd.points[index],
        crowd.u[index],
        crowd.look[index],
        float(np.radians(crowd.turn[index])),
    )
    brush = Brush(picture, x, y, u=u, tilt=crowd.tilt * crowd.tall[index], lean=_lean(look))
    # Traits, each of its own chance, so that they are independent of each other.
    top, legs = (
        shade(drawn_from(CLOTHES, look[1]), 0.8 + 0.4 * look[2]),
        shade(drawn_from(TROUSERS, look[3]), 0.8 + 0.4 * look[4]),
    )
    skin = shade(drawn_from(SKINS, look[5]), 0.88 + 0.2 * look[6])
    woman, broad = look[7] < 0.46, abs(np.cos(turn))  # seen from the side a body is narrower
    wide = (0.72 if woman else 0.84) * (0.72 + 0.28 * broad) * (0.92 + 0.2 * look[8])
    if crowd.umbrella[index]:
        _umbrella(brush, look, light)
    if not crowd.seated:
        _legs(brush, look, legs, skin=skin, woman=woman, turn=turn)
    _arm(brush, look, top, skin=skin, wide=wide, turn=turn, light=light, side=-1)
    _torso(brush, look, top, wide=wide, light=light, seated=crowd.seated, woman=woman)
    _arm(brush, look, top, skin=skin, wide=wide, turn=turn, light=light, side=1)
    _carried(brush, look, wide, turn=turn)
    draw_head(brush, look, skin, turn=turn, woman=woman, light=light.side, down=1 - crowd.tilt)


def _legs(
    brush: Brush, look: np.ndarray, cloth: tuple, skin: tuple, woman: bool, turn: float
) -> None:
    stride = 0.55 * (look[9] - 0.3) * (0.35 + abs(np.sin(turn)))
    bare = look[10] < (0.45 if woman else 0.22)
    foot = BODY - 0.15
    for side, dark in ((-1, 0.78), (1, 1.0)):
        hip, end = 0.24 * side, 0.24 * side + stride * side
        lower = shade(skin if bare else cloth, dark)
        brush.line([(hip, 3.0), (0.6 * hip + 0.4 * end, 4.6)], 0.5, shade(cloth, dark), body=True)
        brush.line(
            [(0.6 * hip + 0.4 * end, 4.6), (end, foot)], 0.27 if bare else 0.36, lower, body=True
        )
        shoe = (40, 38, 38) if look[11] < 0.7 else (200, 198, 196)
        brush.line([(end, foot), (end + 0.2 * np.sin(turn), foot + 0.1)], 0.26, shoe, body=True)
    if woman and bare:  # a skirt
        brush.shape([(-0.5, 2.6), (0.5, 2.6), (0.74, 4.3), (-0.74, 4.3)], cloth, body=True)


def _torso(
    brush: Brush,
    look: np.ndarray,
    cloth: tuple,
    wide: float,
    light: Light,
    seated: bool,
    woman: bool,
) -> None:
    end = 2.7 if seated else 3.25 + 0.5 * (look[12] - 0.5)
    waist = wide * (0.74 if woman else 0.86)

    def paint(left: float, right: float, lit: float) -> None:
        outline = _outline(left, right, waist, wide=wide, end=end)
        brush.shape(outline, shade(cloth, lit), body=True)

    paint(-wide - 0.07, wide + 0.07, 0.42)  # the dark gap to whoever is behind
    paint(-wide, wide, 0.72)
    # how far the lit part reaches to the left and right
    near, far = (0.45, 1.0) if light.side > 0 else (1.0, 0.45)
    fine = ((0.82, 0.93), (0.92, 0.84), (1.0, 0.74), (1.08, 0.6), (1.15, 0.42))
    for lit, reach in fine if brush.u > 12 else ((0.88, 0.92), (1.05, 0.7)):
        paint(-wide * reach * near, wide * reach * far, lit)
    if brush.u >= 9:
        _worn(brush, look, cloth, wide=wide, end=end)
    if brush.u > 16:
        _folds(brush, look, cloth, wide=wide)


def _outline(
    left: float, right: float, waist: float, wide: float, end: float
) -> list[tuple[float, float]]:
    """The upper body from its left to its right edge: shoulders, waist, hem."""
    down = [(0.3, 0.55), (0.72, 0.68), (1.0, 0.98), (0.98, 1.4), (waist / wide, 2.2), (0.86, end)]
    return [(left * x, y) for x, y in down] + [(right * x, y) for x, y in reversed(down)]


def _worn(brush: Brush, look: np.ndarray, cloth: tuple, wide: float, end: float) -> None:
    """Stripes, a print or an open jacket."""
    if look[13] < 0.14:
        colour = shade(cloth, 0.55 if sum(cloth) > 300 else 2.2)
        for y in np.arange(1.0, end - 0.1, 0.34):
            brush.line([(-wide * 0.84, y), (wide * 0.84, y)], 0.1, colour, body=True)
    elif look[13] < 0.24:
        shape = [(-0.35, 1.35), (0.35, 1.3), (0.3, 1.9), (-0.32, 1.95)]
        brush.shape(shape, tuple(255 - 0.8 * c for c in cloth), body=True)
    elif look[13] < 0.36:
        shape = [(-0.16, 0.7), (0.16, 0.7), (0.22, end - 0.1), (-0.2, end - 0.1)]
        brush.shape(shape, (214, 212, 208), body=True)


def _folds(brush: Brush, look: np.ndarray, cloth: tuple, wide: float) -> None:
    dark, bright = shade(cloth, 0.66), shade(cloth, 1.2)
    for at in (0.1 + 0.6 * look[14], -0.1 - 0.6 * look[15], 0.5 - look[16]):
        fold = [(at * wide, 1.2 + look[15]), (0.5 * at * wide, 1.7 + look[15])]
        brush.line(fold, 0.07, dark, body=True)
        fold = [(at * wide, 2.1 + look[14]), (0.2 * at * wide, 2.3 + look[14])]
        brush.line(fold, 0.07, bright, body=True)


def _arm(
    brush: Brush,
    look: np.ndarray,
    cloth: tuple,
    skin: tuple,
    wide: float,
    turn: float,
    light: Light,
    side: int,
) -> None:
    raised = look[16] < 0.05 or (look[16] < 0.09 and side > 0)
    elbow = (side * (wide + 0.28), 0.5) if raised else (side * (wide + 0.1), 2.0)
    hand = (
        (side * (wide + 0.2), -0.75)
        if raised
        else (side * (wide + 0.1 - 0.9 * (look[17] < 0.35)), 2.6 + 0.5 * look[17])
    )
    tone = shade(cloth, 0.78 if side * light.side < 0 else 0.98)
    sleeve = look[18] < 0.5
    brush.line([(side * wide * 0.86, 0.95), elbow], 0.34, tone, body=not raised)
    brush.line([elbow, hand], 0.25, shade(skin, 0.92) if sleeve else tone, body=not raised)
    brush.oval(*hand, 0.15, 0.15, skin, body=not raised)


def _carried(brush: Brush, look: np.ndarray, wide: float, turn: float) -> None:
    if look[19] > 0.22 or brush.u < 8:
        return
    colour = shade(drawn_from(CLOTHES, look[20]), 0.9)
    if np.cos(turn) < 0:  # a rucksack
        brush.shape(
            [(-0.5, 0.9), (0.5, 0.9), (0.58, 2.4), (-0.58, 2.4)], shade(colour, 0.75), body=True
        )
        brush.shape([(-0.42, 1.0), (0.42, 1.0), (0.44, 1.9), (-0.44, 1.9)], colour, body=True)
    else:  # a bag on a strap
        side = 1 if look[20] < 0.5 else -1
        brush.line(
            [(-side * 0.35 * wide, 0.7), (side * wide, 2.7)], 0.1, shade(colour, 0.6), body=True
        )
        left, right = side * (wide - 0.3), side * (wide + 0.4)
        brush.shape([(left, 2.6), (right, 2.6), (right, 3.4), (left, 3.4)], colour, body=True)


def _umbrella(brush: Brush, look: np.ndarray, light: Light) -> None:
    x, y = _umbrella_at(look)
    colour = drawn_from(CLOTHES, look[21])
    brush.line([(x * 0.8, 1.8), (x, y)], 0.08, (60, 58, 56))
    brush.arch(x, y + 0.35, 1.85, down=1.1, colour=shade(colour, 0.8))
    brush.arch(x + 0.25 * light.side, y + 0.28, 1.4, down=0.98, colour=shade(colour, 1.05))
    for at in (-0.6, 0.0, 0.6):
        brush.line([(x, y - 0.75), (x + at * 1.7, y + 0.33)], 0.05, shade(colour, 0.6))
