"""Where a drawn crowd is: sky, what stands behind, and a ground whose pattern runs to the
horizon."""

from __future__ import annotations

import cv2
import numpy as np

from mvit.scenes.camera import Camera

# name: how often the seed picks it
GROUNDS = {"street": 0.26, "square": 0.32, "park": 0.16, "tribune": 0.14, "concert": 0.12}
WALLS = [[150, 138, 122], [122, 104, 94], [168, 166, 160], [98, 102, 108], [176, 158, 128]]
METRES, TEXELS = 8, 512  # a texture's side


def noise(shape: tuple[int, int], grain: float, rng: np.random.Generator) -> np.ndarray:
    """Smooth random hills, (H, W) float32 with mean near 0 and spread near 1; grain: their size in
    pixels."""
    height, width = shape
    small = rng.standard_normal(
        (max(2, round(height / grain)) + 2, max(2, round(width / grain)) + 2), np.float32
    )
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)


def rough(
    shape: tuple[int, int], grains: tuple[float, ...], rng: np.random.Generator
) -> np.ndarray:
    """Several sizes of noise added up, (H, W) float32."""
    return sum(noise(shape, g, rng) for g in grains) / np.float32(len(grains) ** 0.5)


def paint_ground(camera: Camera, ground: str, light: str, rng: np.random.Generator) -> np.ndarray:
    """The empty place: RGB uint8 (H, W, 3)."""
    wall = int(np.clip(camera.wall, 0, camera.height))
    picture = _plane(camera, ground, rng) if ground != "tribune" else _seats(camera, rng)
    if wall > 4:
        picture[:wall] = _behind(camera, wall, ground, light=light, rng=rng)
    return picture


def _texture(ground: str, rng: np.random.Generator) -> np.ndarray:
    """Eight by eight metres of ground seen from above, RGB uint8, repeating at its edges."""
    base = {
        "street": (104, 104, 108),
        "square": (158, 148, 138),
        "park": (104, 122, 66),
        "concert": (62, 58, 58),
    }[ground]
    base = np.array(base, np.float32) * rng.uniform(0.75, 1.15) + rng.normal(0, 2.5, 3)
    fine = 0.9 if ground == "park" else 0.45
    stains = (
        rough((TEXELS, TEXELS), (140, 40, 9, 3), rng)
        + rng.standard_normal((TEXELS, TEXELS), np.float32) * fine
    )
    texture = base * (1 + rng.uniform(0.035, 0.07) * stains[..., None])
    if ground in ("square", "street") and (ground == "square" or rng.random() < 0.4):
        side = int(rng.choice([32, 64, 64, 128]))
        tiles = (
            rng.normal(1, 0.04, (TEXELS // side, TEXELS // side, 1)).repeat(side, 0).repeat(side, 1)
        )
        texture = texture * tiles.astype(np.float32)
        for at in range(0, TEXELS, side):
            texture[at : at + 2] *= 0.72
            texture[:, at : at + 2] *= 0.72
    elif ground == "street":
        texture[:, 250:262] = 0.35 * texture[:, 250:262] + 0.65 * 205  # a lane's line
    return np.clip(texture, 0, 255).astype(np.uint8)


def _plane(camera: Camera, ground: str, rng: np.random.Generator) -> np.ndarray:
    """The ground's texture laid on the plane that the camera sees."""
    width, height = camera.width, camera.height
    sharp = _texture(ground, rng)
    soft = cv2.GaussianBlur(sharp, (0, 0), 12, borderType=cv2.BORDER_REFLECT)
    focal, turn = 1.1 * width, rng.uniform(0, np.pi / 2)
    # (X, Z, 1) in metres -> pixels
    see = np.array([[focal, width / 2, 0], [0, camera.horizon, camera.metres * focal], [0, 1, 0]])
    texel = METRES / TEXELS
    lay = np.array(
        [
            [np.cos(turn), -np.sin(turn), rng.uniform(0, 8)],
            [np.sin(turn), np.cos(turn), rng.uniform(0, 8)],
            [0, 0, 1 / texel],
        ]
    )
    view = see @ lay * texel
    drawn = [
        cv2.warpPerspective(
            t, view, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP
        )
        for t in (sharp, soft)
    ]
    head = np.asarray(camera.head(np.arange(height)), np.float32)
    share = np.clip((head - 5) / 16, 0.08, 0.9)[:, None, None]  # far off the pattern runs together
    wide = 1 + 0.05 * rough((height, width), (width / 3, width / 10), rng)[..., None]
    return np.clip((drawn[0] * share + drawn[1] * (1 - share)) * wide, 0, 255).astype(np.uint8)


def _seats(camera: Camera, rng: np.random.Generator) -> np.ndarray:
    """A tribune's empty rows: backs of seats above concrete steps."""
    concrete, seat = (
        rng.uniform(105, 150),
        np.array(rng.choice([[44, 78, 140], [150, 52, 46], [196, 186, 172], [52, 110, 84]])),
    )
    picture = np.full((camera.height, camera.width, 3), concrete, np.float32)
    picture *= 1 + 0.05 * rough(picture.shape[:2], (200, 30, 4), rng)[..., None]
    picture = np.clip(picture, 0, 255).astype(np.uint8)
    for row in camera.rows:
        size = float(camera.head(row))
        y = row + 1.7 * size  # where this row's people sit
        cv2.rectangle(
            picture,
            (0, int(y + 0.5 * size)),
            (camera.width, int(y + 0.9 * size)),
            (concrete * 0.62,) * 3,
            -1,
        )
        step = 2.05 * size
        for x in np.arange(rng.uniform(-step, 0), camera.width, step):
            if (x // (step * 13)) % 4 != 3:
                colour = tuple(float(c) for c in seat * rng.uniform(0.85, 1.1))
                cv2.rectangle(
                    picture,
                    (int(x), int(y - 0.75 * size)),
                    (int(x + 0.8 * step), int(y + 0.35 * size)),
                    colour,
                    -1,
                    cv2.LINE_AA,
                )
    return picture


def _behind(
    camera: Camera, wall: int, ground: str, light: str, rng: np.random.Generator
) -> np.ndarray:
    """Everything above the row `wall`: sky, then houses, trees or a stage, RGB uint8 (wall, W,
    3)."""
    width = camera.width
    size = float(camera.head(camera.top)) / 0.24  # pixels of a metre there
    picture = _sky(wall, width, light, rng=rng)
    if ground == "concert":
        _stage(picture, size, rng)
    elif ground in ("street", "square", "tribune"):
        _houses(picture, size, light, rng=rng)
    if ground in ("park", "square") or rng.random() < 0.35:
        _trees(picture, size, 1.0 if ground == "park" else rng.uniform(0.2, 0.6), rng=rng)
    return cv2.GaussianBlur(picture, (0, 0), 1.1)


def _sky(height: int, width: int, light: str, rng: np.random.Generator) -> np.ndarray:
    high, low = {
        "sun": ((118, 160, 206), (206, 220, 232)),
        "overcast": ((190, 196, 204), (218, 220, 222)),
        "evening": ((112, 118, 150), (232, 190, 150)),
        "night": ((14, 16, 30), (48, 42, 48)),
    }[light]
    down = np.linspace(0, 1, height, dtype=np.float32)[:, None, None]
    sky = (
        np.float32(high) * (1 - down) + np.float32(low) * down + np.zeros((1, width, 1), np.float32)
    )
    clouds = np.clip(rough((height, width), (width / 4, width / 12, width / 30), rng), 0, 2)[
        ..., None
    ]
    return np.clip(sky + (18 if light != "night" else 4) * clouds, 0, 255).astype(np.uint8)


def _houses(picture: np.ndarray, size: float, light: str, rng: np.random.Generator) -> None:
    """A row of fronts with windows; shops with signs below."""
    height, width = picture.shape[:2]
    x = -rng.uniform(0, 8) * size
    while x < width:
        wide, tall = rng.uniform(9, 26) * size, rng.uniform(7, 30) * size
        paint = np.array(rng.choice(WALLS)) * rng.uniform(0.6, 1.1)
        top = int(height - tall)
        _box(picture, x, top, right=x + wide, bottom=height, colour=paint)
        storey, pane = 3.2 * size, rng.uniform(1.6, 3.0) * size
        glass = np.array([74, 84, 96]) * rng.uniform(0.5, 1.4)
        y = height - 1.35 * storey
        while y > max(top, -storey) + 0.3 * storey:
            for at in np.arange(x + 0.4 * pane, x + wide - pane, 1.45 * pane):
                lit = rng.random() < (0.35 if light in ("night", "evening") else 0.05)
                tone = np.array([222, 186, 120]) if lit else glass * rng.uniform(0.75, 1.25)
                _box(picture, at, y - 0.62 * storey, right=at + 0.8 * pane, bottom=y, colour=tone)
            y -= storey
        if rng.random() < 0.7:
            _shop(picture, x, x + wide, size=size, rng=rng)
        x += wide
    picture[:] = np.clip(
        picture * (1 + 0.04 * rough((height, width), (60, 6, 2), rng)[..., None]), 0, 255
    ).astype(np.uint8)


def _shop(
    picture: np.ndarray, left: float, right: float, size: float, rng: np.random.Generator
) -> None:
    """A sign with letters, and a window below it."""
    foot, sign = picture.shape[0], rng.uniform(40, 210, 3)
    up, down = foot - 4.1 * size, foot - 3.2 * size
    _box(picture, left + 0.2 * size, up, right=right - 0.2 * size, bottom=down, colour=sign)
    dark, up = rng.uniform(30, 120) * np.ones(3), foot - 3.1 * size
    _box(picture, left + 0.5 * size, up, right=right - 0.5 * size, bottom=foot, colour=dark)
    up, down = foot - 3.95 * size, foot - 3.4 * size
    for at in np.arange(left + 1.5 * size, right - 2 * size, 0.8 * size):
        if rng.random() < 0.75:
            _box(picture, at, up, right=at + 0.5 * size, bottom=down, colour=255 - sign)


def _box(
    picture: np.ndarray, left: float, top: float, right: float, bottom: float, colour: np.ndarray
) -> None:
    cv2.rectangle(
        picture,
        (int(left), int(top)),
        (int(right), int(bottom)),
        tuple(float(c) for c in np.clip(colour, 0, 255)),
        -1,
    )


def _trees(picture: np.ndarray, size: float, share: float, rng: np.random.Generator) -> None:
    """Crowns of leaves, dark below and lit above, on trunks; share: of the width that they take."""
    height, width = picture.shape[:2]
    leaves = rough((height, width), (max(2.0, 0.9 * size), max(2.0, 0.35 * size), 2), rng)
    green = np.array([62, 84, 44]) * rng.uniform(0.7, 1.3) + rng.normal(0, 8, 3)
    for _ in range(max(1, round(share * width / (5 * size)))):
        x, tall, wide = (
            rng.uniform(0, width),
            rng.uniform(5, 11) * size,
            rng.uniform(2.4, 4.2) * size,
        )
        _box(
            picture,
            x - 0.18 * size,
            height - 0.5 * tall,
            right=x + 0.18 * size,
            bottom=height,
            colour=np.array([70, 58, 48]),
        )
        yy, xx = np.mgrid[:height, :width].astype(np.float32)
        shape = ((xx - x) / wide) ** 2 + ((yy - (height - 0.62 * tall)) / (0.42 * tall)) ** 2
        crown = shape + 0.16 * leaves < 1
        lit = 1 + 0.3 * leaves[crown] - 0.35 * (yy[crown] - (height - 0.62 * tall)) / (0.42 * tall)
        picture[crown] = np.clip(green * lit[:, None], 0, 255)


def _stage(picture: np.ndarray, size: float, rng: np.random.Generator) -> None:
    """A stage at the far end: dark scaffolding, a bright back wall, beams of light."""
    height, width = picture.shape[:2]
    left, right, top = 0.12 * width, 0.88 * width, height - rng.uniform(5, 9) * size
    _box(picture, left, top, right=right, bottom=height, colour=np.array([26, 24, 30]))
    _box(
        picture,
        left + 3 * size,
        top + 1.2 * size,
        right=right - 3 * size,
        bottom=height - 0.4 * size,
        colour=rng.uniform(40, 200, 3),
    )
    glow = np.zeros_like(picture)
    for x in np.linspace(left + size, right - size, 9):
        foot = x + rng.uniform(-6, 6) * size
        beam = np.array(
            [[x, top + 0.4 * size], [foot - size, height], [foot + size, height]], np.int32
        )
        cv2.fillPoly(glow, [beam], tuple(float(c) for c in rng.uniform(60, 150, 3)), cv2.LINE_AA)
    picture[:] = cv2.add(picture, cv2.GaussianBlur(glow, (0, 0), max(1.5, 0.5 * size)) // 2)
