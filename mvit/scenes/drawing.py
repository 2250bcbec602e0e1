"""Crowd scenes drawn by a program, so that the true count is known exactly: example pictures that
anybody may have, and truth to test by.

A scene is a camera, a ground with what stands behind it, people placed so that every head shows,
and the film: haze, colour, blur, noise. Everything follows from the seed; the same seed with more
people is the same place with more people in it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import KW_ONLY, dataclass

import cv2
import numpy as np

from mvit.scenes.camera import MAX_PEOPLE, Camera, People, camera_for, place, replace
from mvit.scenes.ground import GROUNDS, noise, paint_ground
from mvit.scenes.people import Light, draw_figure, draw_shadow, silhouette

__all__ = ["GROUNDS", "LIGHTS", "MAX_PEOPLE", "Scene", "moments", "render"]

LEAST_VISIBLE = 0.35  # share of a head's pixels that nobody in front may cover
# name: (range of the light's strength, sun for cast shadows 0..1, colour of the light as RGB
# factors)
LIGHTS = {
    "sun": ((0.95, 1.12), 0.55, (1.05, 1.0, 0.92)),
    "overcast": ((0.82, 1.0), 0.0, (0.97, 1.0, 1.03)),
    "evening": ((0.72, 0.92), 0.25, (1.12, 0.98, 0.82)),
    "night": ((0.55, 0.75), 0.0, (1.1, 0.97, 0.85)),
}


@dataclass(frozen=True)
class Scene:
    """A drawn crowd. picture: RGB uint8 (H, W, 3); points: (N, 2) float, x and y in pixels of each
    head's centre."""

    picture: np.ndarray
    points: np.ndarray
    ground: str
    _: KW_ONLY
    light: str

    @property
    def count(self) -> int:
        """The people in it: exact, since they were put there."""
        return len(self.points)


def render(
    people: int,
    seed: int,
    size: tuple[int, int] = (1152, 768),
    ground: str | None = None,
    light: str | None = None,
    crowding: float | None = None,
    raw: bool = False,
) -> Scene:
    """Draw a scene with exactly `people` people, every head at least partly visible.

    size: (width, height) in pixels, each 96 to 4096. ground: of GROUNDS; light: of LIGHTS;
    crowding: 0 (far apart) .. 1 (shoulder to shoulder); each by the seed's choice if None. raw:
    leave out haze, blur and noise. The same arguments give the same picture. Raises ValueError for
    arguments outside these, or more than MAX_PEOPLE.
    """
    wished = {"ground": ground, "light": light, "crowding": crowding, "raw": raw}
    return next(moments([people], seed, size, **wished))


def moments(
    people: Sequence[int],
    seed: int,
    size: tuple[int, int] = (1152, 768),
    *,
    ground: str | None = None,
    light: str | None = None,
    crowding: float | None = None,
    raw: bool = False,
) -> Iterator[Scene]:
    """Draw one place at several moments, with exactly `people[i]` people at the i-th: the same ones
    come and go and stay where they stand.

    The largest number decides where the camera is. The rest is as in `render`.
    """
    most = max(people)
    for number in (min(people), most):
        _check(number, seed, size, ground=ground, light=light, crowding=crowding)
    # apart, so that more people do not change the place
    own = [np.random.default_rng([seed, part]) for part in range(3)]
    ground = ground or str(own[0].choice(list(GROUNDS), p=list(GROUNDS.values())))
    light = light or str(own[0].choice(list(LIGHTS), p=[0.36, 0.44, 0.12, 0.08]))
    camera = camera_for(most, size, ground, rng=own[1], crowding=crowding)
    lamp = Light(float(own[1].uniform(-1, 1)), *LIGHTS[light][1:])
    crowd = uncover(place(most, camera, own[2]), camera, own[2])
    empty = paint_ground(camera, ground, light, rng=own[1])
    for number in people:
        picture = empty.copy()
        here = [index for index in crowd.order if index < number]
        for index in here:
            draw_shadow(picture, crowd, index, light=lamp)
        for index in here:
            draw_figure(picture, crowd, index, light=lamp)
        if not raw:
            picture = film(picture, camera, light, rng=np.random.default_rng([seed, 3]))
        yield Scene(picture, crowd.points[:number], ground, light=light)


def _check(
    people: int,
    seed: int,
    size: tuple[int, int],
    ground: str | None,
    light: str | None,
    crowding: float | None,
) -> None:
    if not 0 <= people <= MAX_PEOPLE:
        raise ValueError(f"a scene holds 0 to {MAX_PEOPLE} people, not {people}")
    if seed < 0:
        raise ValueError(f"the seed must be 0 or more, not {seed}")
    if not all(96 <= side <= 4096 for side in size):
        raise ValueError(f"a scene is 96 to 4096 pixels wide and high, not {size[0]} x {size[1]}")
    for value, known, name in ((ground, GROUNDS, "ground"), (light, LIGHTS, "light")):
        if value is not None and value not in known:
            raise ValueError(f"there is no {name} '{value}'; there are: {', '.join(known)}")
    if crowding is not None and not 0 <= crowding <= 1:
        raise ValueError(f"crowding is 0 to 1, not {crowding}")


def uncover(crowd: People, camera: Camera, rng: np.random.Generator) -> People:
    """The same crowd with everybody moved whose head was hidden."""
    for attempt in range(16):
        hidden = np.flatnonzero(visible(crowd, camera) < LEAST_VISIBLE)
        if not len(hidden):
            break
        crowd = replace(
            crowd if attempt < 8 else crowd.without_umbrellas(), hidden, camera, rng=rng
        )
    return crowd


def visible(crowd: People, camera: Camera) -> np.ndarray:
    """Share of each head that nobody in front covers: (N,) of 0..1, measured on silhouettes."""
    owner = np.zeros((camera.height, camera.width), np.int32)
    for index in crowd.order:
        silhouette(owner, crowd, index)
    # even numbers are heads, odd ones bodies
    seen = np.bincount(owner.ravel(), minlength=2 * len(crowd) + 2)[2::2][: len(crowd)]
    whole = np.pi * 0.36 * 0.48 * crowd.u**2
    return np.minimum(seen / np.maximum(whole, 1), 1.0)


def film(picture: np.ndarray, camera: Camera, light: str, rng: np.random.Generator) -> np.ndarray:
    """What air, lens and sensor do: haze in the distance, the light's colour, vignette, blur,
    noise, and JPEG's own traces."""
    height, width = picture.shape[:2]
    (low, high), _, tint = LIGHTS[light]
    x = picture.astype(np.float32)
    near = np.clip(
        (np.arange(height, dtype=np.float32) - camera.horizon) / (height - camera.horizon), 0, 1
    )[:, None, None]
    haze = rng.uniform(0.0, 0.28) * (1 - near) ** 2
    air = np.float32((178, 186, 196)) if light != "night" else np.float32((38, 36, 46))
    x += (air - x) * haze.astype(np.float32)
    grey = x @ np.float32((0.299, 0.587, 0.114))
    x = grey[..., None] + (x - grey[..., None]) * np.float32(
        0.0 if rng.random() < 0.04 else rng.uniform(0.68, 1.0)
    )
    x *= np.float32(tint) ** np.float32(rng.uniform(0.4, 1.3))
    x = _exposed(x, rng.uniform(low, high), rng.uniform(0.75, 1.0))
    # of clouds and houses
    shade = rng.uniform(0.03, 0.14) * noise((height, width), max(width, height) / 3, rng)
    for grain in (1.6, 3.5, 9):  # cloth, stone and leaves are never one colour
        shade += rng.uniform(0.03, 0.075) * noise((height, width), grain * width / 1152, rng)
    x *= 1 + shade[..., None]
    yy, xx = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j].astype(np.float32)
    x *= (1 - rng.uniform(0.0, 0.22) * (xx**2 + yy**2) / 2)[..., None].astype(np.float32)
    x = 255 * np.clip(x / 255, 0, 1) ** np.float32(rng.uniform(0.86, 1.18))
    x = cv2.GaussianBlur(
        x, (0, 0), float(rng.uniform(0.3, 0.75)) * max(width, height) / 1152 + 0.05
    )
    if rng.random() < 0.15:  # a hand that was not quite still
        x = cv2.blur(x, (int(rng.integers(2, 4)), 1))
    grain = rng.standard_normal((height, width, 1), np.float32) + 0.5 * rng.standard_normal(
        (height, width, 3), np.float32
    )
    x += np.float32(rng.uniform(1.5, 5.5) * (1.7 if light == "night" else 1)) * cv2.GaussianBlur(
        grain, (0, 0), 0.6
    )
    quality = int(rng.integers(72, 95))
    _, data = cv2.imencode(
        ".jpg", np.clip(x, 0, 255).astype(np.uint8)[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality]
    )
    return cv2.cvtColor(cv2.imdecode(data, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)


def _exposed(x: np.ndarray, level: float, contrast: float) -> np.ndarray:
    """What a camera's automatic exposure makes of float RGB (H, W, 3): nearly the whole range used,
    the middle at `level`."""
    low, middle, high = (float(v) for v in np.percentile(x[::7, ::7], (1, 50, 99)))
    x = (x - low) * np.float32(contrast * 240 / max(high - low, 40)) + np.float32(6)
    middle = (middle - low) * contrast * 240 / max(high - low, 40) + 6
    bend = np.log(np.clip(0.43 * level, 0.1, 0.8)) / np.log(np.clip(middle / 255, 0.05, 0.95))
    return 255 * np.clip(x / 255, 0, 1) ** np.float32(np.clip(bend, 0.55, 1.5))
