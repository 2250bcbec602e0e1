"""Crowd pictures in memory with a point on every head, and random squares of them for training."""

from __future__ import annotations

import hashlib
import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import KW_ONLY, dataclass, field, replace

import cv2
import numpy as np
import torch

from mvit.data.folders import DataError
from mvit.tasks import CrowdTask, tile_boxes

ZOOM = 4 / 3  # either way, so that a person keeps about the size that it has in a tile


@dataclass
class Crowds:
    """Stretched pictures, uint8 (768, 1152, 3) or (1152, 768, 3), with points (N, 2) in their
    pixels, and where each comes from.

    left_out: "file: reason" of every picture that could not be used; understood: in words, what
    was read and how; origin: of a part that training kept for testing, how to find it again. For
    training, zoom: by how much at most a random square is enlarged or reduced; repeat: how many
    times as often as others the pictures of a set are drawn, by the name before the slash.
    """

    pictures: list[np.ndarray]
    points: list[np.ndarray]
    names: list[str]
    _: KW_ONLY
    left_out: tuple[str, ...] = ()
    understood: tuple[str, ...] = ()
    origin: dict = field(default_factory=dict)
    zoom: float = ZOOM
    repeat: dict[str, int] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.pictures)

    def subset(self, index) -> Crowds:
        picked = [int(i) for i in index]
        pictures, points, names = (
            [of[i] for i in picked] for of in (self.pictures, self.points, self.names)
        )
        return replace(self, pictures=pictures, points=points, names=names)

    def __add__(self, other: Crowds) -> Crowds:
        return Crowds(
            self.pictures + other.pictures,
            self.points + other.points,
            self.names + other.names,
            left_out=self.left_out + other.left_out,
            understood=self.understood + other.understood,
            origin=self.origin or other.origin,
        )

    @property
    def counts(self) -> np.ndarray:
        """(N,) people in each picture."""
        return np.array([len(p) for p in self.points])

    @property
    def fingerprint(self) -> str:
        """A hash of the pictures and their points, in this order."""
        digest = hashlib.sha256()
        for picture, points in zip(self.pictures, self.points, strict=True):
            for part in (picture.tobytes(), points.tobytes()):
                digest.update(hashlib.sha256(part).digest())
        return digest.hexdigest()

    def tile_counts(self, number: int) -> np.ndarray:
        """(6,) people in each tile of one picture."""
        picture, points = self.pictures[number], self.points[number]
        boxes = tile_boxes(picture.shape[0] > picture.shape[1])
        return np.array(
            [len(inside(points, left, top, side=right - left)) for left, top, right, _ in boxes]
        )

    def tiles(self) -> Tiles:
        """All tiles of all pictures, six a picture; those of pictures that are drawn more often
        come as many times."""
        times = [self.repeat.get(name.split("/")[0], 1) for name in self.names]
        pictures = torch.arange(len(self)).repeat_interleave(torch.tensor(times, dtype=torch.long))
        return Tiles(self, (6 * pictures[:, None] + torch.arange(6)).flatten())


def inside(points: np.ndarray, left: float, top: float, side: float) -> np.ndarray:
    """The points of a square, (n, 2), measured from its corner."""
    moved = points - (left, top)
    return moved[((moved >= 0) & (moved < side)).all(1)]


class Tiles:
    """Tiles as a training set. A tile is scored as it is; for training, any square of its picture
    stands in for it.

    index: (n,) which tiles, of six a picture.
    """

    def __init__(self, crowds: Crowds, index: torch.Tensor):
        self.crowds, self.index = crowds, index
        counts = np.array([crowds.tile_counts(i) for i in range(len(crowds))]).reshape(-1)
        self.y = torch.tensor(counts, dtype=torch.float32)[self.index]

    @property
    def empty(self) -> torch.Tensor:
        """(n,) bool: whether nobody is in a tile's whole picture."""
        nobody = torch.tensor([not len(points) for points in self.crowds.points], dtype=torch.bool)
        return nobody[self.index // 6]

    def __len__(self) -> int:
        return len(self.index)

    def subset(self, index: torch.Tensor) -> Tiles:
        return Tiles(self.crowds, self.index[index])

    def points(self, number: int) -> np.ndarray:
        """The points of one tile, (n, 2), in its pixels."""
        picture, place = divmod(int(self.index[number]), 6)
        high, wide = self.crowds.pictures[picture].shape[:2]
        left, top, right, _ = tile_boxes(high > wide)[place]
        return inside(self.crowds.points[picture], left, top, side=right - left)

    def whole(
        self, index: torch.Tensor, task: CrowdTask, device: torch.device
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Tiles as the model sees them: x (B, 3, 384, 384) normalised, y (B,) people."""
        tiles = []
        for i in self.index[index].tolist():
            picture = self.crowds.pictures[i // 6]
            left, top, right, bottom = tile_boxes(picture.shape[0] > picture.shape[1])[i % 6]
            tiles.append(picture[top:bottom, left:right])
        x = torch.from_numpy(np.stack(tiles)).permute(0, 3, 1, 2).to(device)
        return task.normalise(x.float() / 255), self.y[index].to(device)

    def augmented(
        self,
        index: torch.Tensor,
        task: CrowdTask,
        size: int,
        generator: torch.Generator,
        device: torch.device,
    ):
        """Random squares of the same pictures: x (B, 3, size, size) normalised, y (B,) people,
        exact."""
        x, points = self.squares(index, size, generator)
        return task.normalise(x.to(device).float() / 255), torch.tensor(
            [float(len(p)) for p in points], device=device
        )

    def squares(
        self, index: torch.Tensor, size: int, generator: torch.Generator
    ) -> tuple[torch.Tensor, list[np.ndarray]]:
        """Cut, zoom, flip and light random squares: x (B, 3, size, size) uint8 and their points,
        (n, 2) each, in pixels of the square."""
        draws = torch.rand(len(index), 8, generator=generator).tolist()
        own = [i // 6 for i in self.index[index].tolist()]

        def square(picture: int, draw: list[float]) -> tuple[np.ndarray, np.ndarray]:
            of = self.crowds
            own = of.pictures[picture], of.points[picture]
            return random_square(*own, size, draw=draw, zoom=of.zoom)

        with ThreadPoolExecutor() as threads:  # what OpenCV does runs beside the rest
            made = list(threads.map(square, own, draws))
        return torch.from_numpy(np.stack([m[0] for m in made])).permute(0, 3, 1, 2), [
            m[1] for m in made
        ]


def random_square(
    picture: np.ndarray, points: np.ndarray, size: int, *, draw: list[float], zoom: float = ZOOM
) -> tuple[np.ndarray, np.ndarray]:
    """One square of a picture, (size, size, 3) uint8, and its points. draw: eight numbers in 0..1,
    all the chance there is; zoom: at most so much either way."""
    far, x, y, flip, contrast, light, grey, blur = draw
    side = min(size * math.exp((2 * far - 1) * math.log(zoom)), *picture.shape[:2])
    left, top = x * (picture.shape[1] - side), y * (picture.shape[0] - side)
    scale = size / side
    matrix = np.array([[scale, 0, -left * scale], [0, scale, -top * scale]])
    square = cv2.warpAffine(
        picture, matrix, (size, size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    own = inside(points, left, top, side=side) * scale
    if flip < 0.5:
        square, own = square[:, ::-1], np.column_stack([size - 1e-3 - own[:, 0], own[:, 1]])
    if grey < 0.1:
        square = np.repeat(
            cv2.cvtColor(np.ascontiguousarray(square), cv2.COLOR_RGB2GRAY)[..., None], 3, axis=2
        )
    if blur < 0.1:
        square = cv2.GaussianBlur(square, (0, 0), 0.4 + 6 * blur)
    lit = (square.astype(np.float32) - 127) * (0.75 + 0.5 * contrast) + 127 + 50 * (light - 0.5)
    return lit.clip(0, 255).astype(np.uint8), own


def hold_out_crowds(crowds: Crowds, fraction: float, seed: int) -> tuple[Crowds, Crowds]:
    """(train, validation): a seeded random share of the pictures, of small and large crowds alike;
    one at least. Raises DataError."""
    if len(crowds) < 2:
        raise DataError(
            f"{len(crowds)} crowd pictures are too few: one must be held out, "
            "and one be left to learn from"
        )
    order = np.argsort(crowds.counts, kind="stable")
    block = min(max(2, round(1 / fraction)), len(crowds))
    rng = np.random.default_rng(seed)
    held = {
        int(rng.choice(order[start : start + block]))
        for start in range(0, len(order) - block + 1, block)
    }
    return crowds.subset(i for i in range(len(crowds)) if i not in held), crowds.subset(
        sorted(held)
    )


def empty_pictures(number: int, seed: int) -> Crowds:
    """Pictures without anyone: flat colours, slopes of colour, noise and stripes. A counter that
    never saw one counts people in them."""
    rng, height, width = np.random.default_rng(seed), 768, 1152
    y, x = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j][..., None]
    pictures = []
    for i in range(number):
        a, b, c = rng.uniform(0, 255, (3, 3))
        flat = np.broadcast_to(a, (height, width, 3))
        slope = a + (b - a) * x + (c - a) * y
        noise = a + rng.normal(0, rng.uniform(5, 90), (height, width, rng.choice((1, 3))))
        stripes = np.where(
            np.sin(rng.uniform(20, 400) * (x * rng.uniform(-1, 1) + y * rng.uniform(-1, 1))) > 0,
            a,
            b,
        )
        pictures.append((flat, slope, noise, stripes)[i % 4].clip(0, 255).astype(np.uint8))
    return Crowds(pictures, [np.empty((0, 2))] * number, [f"empty/{i}" for i in range(number)])
