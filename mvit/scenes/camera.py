"""Where the people of a drawn scene are: a pinhole camera over a plane, and heads that keep apart
as shoulders make them."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass, fields

import cv2
import numpy as np

MAX_PEOPLE = 4000
TRAITS = 24
APART = np.array([0.98, 0.66])  # least distance of two heads, in head heights across and down
BODY = 6.3  # head heights from a standing grown-up's head centre to the feet
HEAD_M = 0.24  # metres of a head from chin to crown, hair included


@dataclass(frozen=True)
class Camera:
    """A level pinhole camera. A head at row y is `slope * (y - horizon)` pixels high; heads are put
    between rows `top` and `bottom`."""

    width: int
    height: int
    horizon: float
    _: KW_ONLY
    slope: float
    top: float
    bottom: float
    tilt: float  # how much a camera that looks down shortens bodies: 1 not at all
    seated: bool

    def head(self, y: np.ndarray | float) -> np.ndarray | float:
        """Height in pixels of a head whose centre is at row y."""
        return np.maximum(self.slope * (y - self.horizon), 3.0)

    @property
    def metres(self) -> float:
        """The camera's height above the ground."""
        return HEAD_M * (1 / self.slope + BODY * self.tilt)

    @property
    def rows(self) -> np.ndarray:
        """Where the heads of a tribune's rows of seats are, from the top: each two heads below the
        last."""
        rows = [self.top]
        while rows[-1] < self.height:
            rows.append(rows[-1] + 2.1 * float(self.head(rows[-1])))
        return np.array(rows)

    @property
    def wall(self) -> float:
        """The row where the ground ends and what stands behind it begins: a little behind the
        farthest feet."""
        return self.top + (0.6 if self.seated else 0.9 * BODY * self.tilt) * float(
            self.head(self.top)
        )


def camera_for(
    people: int,
    size: tuple[int, int],
    ground: str,
    rng: np.random.Generator,
    crowding: float | None = None,
) -> Camera:
    """A camera in which so many people have room: few stand near, thousands are seen from far off
    and above."""
    width, height = size
    full = rng.random() < 0.3 and ground != "tribune"
    top = height * (0.02 if full else rng.uniform(0.12, 0.4))
    near = rng.uniform(0.045, 0.078) * max(height, width * 0.6)
    far = near * rng.uniform(0.2, 0.42)
    tilt, wish = rng.uniform(0.72, 0.98), rng.uniform(0.16, 0.62)
    if ground == "tribune":
        near, far = 0.6 * near, 0.6 * near * rng.uniform(0.45, 0.7)
    wish = 0.1 + 0.62 * crowding if crowding is not None else wish
    rows = np.linspace(0, 1, 64)
    # heads, side by side
    room = width * (height - top) * np.mean(1.0 / (far + (near - far) * rows) ** 2)
    shrink = min(1.0, np.sqrt(wish * room / max(people, 1))) if people else 1.0
    least = 7.5 * max(width, height) / 1152
    far, near = max(far * shrink, least), max(near * shrink, 1.5 * least)
    # few people, close together: the rest of the ground stays empty
    if crowding is not None and crowding > 0.5 and shrink == 1:
        top = max(top, height - (height - top) * np.sqrt(people / max(wish * room, 1)))
    slope = (near - far) / (height - top)
    return Camera(
        width,
        height,
        top - far / slope,
        slope=slope,
        top=top,
        bottom=height - 0.35 * near,
        tilt=tilt,
        seated=ground == "tribune",
    )


@dataclass
class People:
    """Everybody in the scene, one entry a person. u: head height in pixels; tall: body length in
    parts of a grown-up's; look: chance."""

    points: np.ndarray  # (N, 2) x, y of the head's centre
    u: np.ndarray  # (N,)
    tall: np.ndarray  # (N,)
    _: KW_ONLY
    turn: np.ndarray  # (N,) degrees: 0 faces the camera, 180 shows the back
    look: np.ndarray  # (N, TRAITS) of 0..1: what each person looks like, see mvit.scenes.people
    umbrella: np.ndarray  # (N,) bool
    tilt: float
    seated: bool

    def __len__(self) -> int:
        return len(self.points)

    @property
    def feet(self) -> np.ndarray:
        """Row of each person's feet."""
        return self.points[:, 1] + BODY * self.tilt * self.tall * self.u

    @property
    def order(self) -> np.ndarray:
        """Indices from the back to the front."""
        return np.argsort(self.points[:, 1], kind="stable")

    def without_umbrellas(self) -> People:
        """The same people without umbrellas."""
        return People(
            **{f.name: getattr(self, f.name) for f in fields(self)}
            | {"umbrella": np.zeros(len(self), bool)}
        )


def place(people: int, camera: Camera, rng: np.random.Generator) -> People:
    """Put people on the ground: denser where chance gathers them, many of them facing one way."""
    points = _spots(people, np.empty((0, 2)), camera, rng=rng, share=rng.uniform(0.1, 0.7))
    rain, facing = (
        rng.random() < 0.06,
        rng.choice([0.0, 180.0, 90.0, 270.0], p=[0.34, 0.4, 0.13, 0.13]),
    )
    turn = np.where(rng.random(people) < 0.55, facing, rng.uniform(0, 360, people)) + rng.normal(
        0, 30, people
    )
    child = rng.random(people) < 0.06
    u = camera.head(points[:, 1]) * np.where(child, 0.9, rng.uniform(0.92, 1.08, people))
    tall = np.where(child, 0.72, rng.uniform(0.94, 1.05, people))
    umbrella = rng.random(people) < (0.25 if rain else 0.012)
    return People(
        points,
        u,
        tall,
        turn=turn % 360,
        look=rng.random((people, TRAITS)),
        umbrella=umbrella,
        tilt=camera.tilt,
        seated=camera.seated,
    )


def replace(crowd: People, hidden: np.ndarray, camera: Camera, rng: np.random.Generator) -> People:
    """Move the people whose heads are hidden to other free spots and fold the umbrellas around
    them."""
    points, umbrella, size = (
        crowd.points.copy(),
        crowd.umbrella.copy(),
        crowd.u / camera.head(crowd.points[:, 1]),
    )
    for index in hidden:
        umbrella[np.abs(points - points[index]).max(1) < 4 * crowd.u.max()] = False
    points[hidden] = _spots(
        len(hidden), np.delete(points, hidden, axis=0), camera, rng=rng, share=0.0
    )
    return People(
        points,
        camera.head(points[:, 1]) * size,
        crowd.tall,
        turn=crowd.turn,
        look=crowd.look,
        umbrella=umbrella,
        tilt=crowd.tilt,
        seated=crowd.seated,
    )


def _spots(
    people: int, taken: np.ndarray, camera: Camera, rng: np.random.Generator, share: float
) -> np.ndarray:
    """Free spots for heads, (people, 2), found by throwing darts at a map of taken room; where all
    is full, heads may come closer."""
    gather = rng.uniform(0, 1, (3, 3)) * [camera.width, 1, 1]
    found, apart = [], APART
    while len(found) < people:
        full = np.zeros((camera.height, camera.width), np.uint8)
        for x, y in [*taken, *found]:
            _fill(full, x, y, reach=apart * camera.head(y))
        for x, y in _drawn(40 + 12 * people, camera, rng, gather=gather, share=share):
            if len(found) < people and not full[int(y), int(x)]:
                _fill(full, x, y, reach=apart * camera.head(y))
                found.append((x, y))
        apart, share = 0.85 * apart, 0.5 * share
    return np.array(found, float).reshape(-1, 2)


def _fill(full: np.ndarray, x: float, y: float, reach: np.ndarray) -> None:
    cv2.ellipse(full, (int(x), int(y)), (round(reach[0]), round(reach[1])), 0, 0, 360, 1, -1)


def _drawn(
    n: int, camera: Camera, rng: np.random.Generator, gather: np.ndarray, share: float
) -> np.ndarray:
    """n heads anywhere, (n, 2): as dense in rows as heads are small there, a share of them near the
    gathering places."""
    a, b = 1 / camera.head(camera.top), 1 / camera.head(camera.bottom)
    down = rng.uniform(0, 1, n)
    across = rng.uniform(0.4, 1, n)
    drawn_x = rng.uniform(0, camera.width, n)
    near = rng.random(n) < share
    which = gather[rng.integers(0, len(gather), n)]
    spread = 0.1 + 0.12 * across
    down = np.where(near, np.clip(which[:, 1] + rng.normal(0, 1, n) * spread, 0, 1), down)
    x = np.where(near, which[:, 0] + rng.normal(0, 1, n) * spread * camera.width, drawn_x)
    y = camera.horizon + 1 / (camera.slope * (a + (b - a) * down))
    if camera.seated:  # rows of seats
        row = camera.rows[np.abs(camera.rows - y[:, None]).argmin(1)]
        y = np.clip(row + rng.normal(0, 0.08, n) * camera.head(row), camera.top, camera.bottom)
    edge = 0.3 * camera.head(y)
    inside = (x > edge) & (x < camera.width - edge)
    return np.stack([np.where(inside, x, rng.uniform(edge, camera.width - edge)), y], 1)
