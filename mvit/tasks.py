"""Tasks: what a model is asked to say about a picture, and exactly which picture it gets to see.

A photo is not a CIFAR picture: it has thousands of sharp pixels where the training set has 32 x 32.
A model fine-tuned on enlarged 32-pixel pictures answers best when a photo is first reduced to the
same 32 pixels and then enlarged in the same way (`Task.native_px`), so that is what `Task.prepare`
does, and what the app shows as "what the model sees".
"""

from __future__ import annotations

import csv
import itertools
from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import torch
from PIL import Image
from torch.nn import functional as F

CIFAR10_LABELS = tuple("airplane automobile bird cat deer dog frog horse ship truck".split())
CIFAR100_LABELS = tuple(
    """
    apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus
    butterfly camel can castle caterpillar cattle chair chimpanzee clock cloud cockroach couch
    crab crocodile cup dinosaur dolphin elephant flatfish forest fox girl hamster house kangaroo
    keyboard lamp lawn_mower leopard lion lizard lobster man maple_tree motorcycle mountain mouse
    mushroom oak_tree orange orchid otter palm_tree pear pickup_truck pine_tree plain plate poppy
    porcupine possum rabbit raccoon ray road rocket rose sea seal shark shrew skunk skyscraper
    snail snake spider squirrel streetcar sunflower sweet_pepper table tank telephone television
    tiger tractor train trout tulip turtle wardrobe whale willow_tree wolf woman worm
    """.split()
)


class Drift(NamedTuple):
    """How far an answer moved: is it the same, by how much (see `Task.drift`), and in words."""

    same: bool
    gap: float
    said: str


@dataclass(frozen=True)
class Task:
    """A data set's question: its labels, its metric, and how a picture becomes the model's input.

    native_px: side in pixels that the training pictures have; photos are reduced to it first.
    input_px: side in pixels of the square that the backbone gets.
    crop: share of the shorter side that the centre square keeps. resample: how larger pictures are
    reduced, "box" or "bicubic"; smaller ones are always enlarged bicubically.
    """

    name: str
    labels: tuple[str, ...]
    _: KW_ONLY
    native_px: int
    input_px: int = 224
    mean: float | tuple[float, ...] = 0.5
    std: float | tuple[float, ...] = 0.5
    metric: str = "accuracy"
    crop: float = 1.0
    resample: str = "box"

    tiles = 1  # squares that a picture is cut into
    counts = False  # whether answers are numbers of people instead of classes

    @property
    def outputs(self) -> int:
        return len(self.labels)

    def normalise(self, pixels: torch.Tensor) -> torch.Tensor:
        """Map pixels (B, 3, H, W) in 0..1 to the backbone's input range."""
        mean, std = (pixels.new_tensor(v).view(-1, 1, 1) for v in (self.mean, self.std))
        return (pixels - mean) / std

    def answers(self, logits: torch.Tensor) -> torch.Tensor:
        """What the logits (B, out) mean: class probabilities (B, out)."""
        return logits.float().softmax(1)

    def scores(self, logits: torch.Tensor) -> torch.Tensor:
        """The scores of one picture's exit: (out,) class probabilities. logits: (1, out)."""
        return self.answers(logits)[0]

    def answer(self, scores: torch.Tensor) -> int:
        """What one picture's scores say: the index of the most probable class. scores: (out,)."""
        return int(scores.argmax())

    def drift(self, a: torch.Tensor, b: torch.Tensor) -> Drift:
        """How far one picture's answer moved between two computations. a, b: scores (out,)."""
        gap = abs(a.max() - b.max()).item()
        if self.answer(a) != self.answer(b):
            return Drift(False, gap, "another class")
        return Drift(True, gap, f"a confidence moved by {gap:.3f}")

    def loss_of_storing(self, half: float, light: float) -> float:
        """What an exit loses by lighter weights, as a share of what it may: 0.1 points' accuracy.
        half, light: its accuracy with either."""
        return (half - light) / 0.001

    def loss(self, logits: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """Mean loss of logits (B, out) against class indices y (B,)."""
        return F.cross_entropy(logits.float(), y)

    def reduce(self, picture: np.ndarray) -> np.ndarray:
        """Cut the centre square of an RGB uint8 picture (H, W, 3) and reduce it to (native_px,
        native_px, 3) uint8."""
        height, width = picture.shape[:2]
        side = round(min(height, width) * self.crop)
        top, left = (height - side) // 2, (width - side) // 2
        square = Image.fromarray(picture[top : top + side, left : left + side])
        larger = side > self.native_px and self.resample == "box"
        how = Image.Resampling.BOX if larger else Image.Resampling.BICUBIC
        return np.asarray(square.resize((self.native_px, self.native_px), how))

    def enlarge(self, pictures: torch.Tensor) -> torch.Tensor:
        """Enlarge uint8 pictures (B, 3, S, S) to pixels (B, 3, input_px, input_px) in 0..1,
        bicubically."""
        pixels = pictures.float() / 255
        size = (self.input_px, self.input_px)
        return F.interpolate(
            pixels, size, mode="bicubic", align_corners=False, antialias=True
        ).clamp_(0, 1)

    def prepare(self, picture: np.ndarray) -> torch.Tensor:
        """Turn an RGB uint8 picture (H, W, 3) into the model's input (1, 3, input_px, input_px),
        normalised."""
        small = torch.from_numpy(self.reduce(picture).copy()).permute(2, 0, 1)[None]
        return self.normalise(self.enlarge(small))

    def recipe(self) -> dict:
        """What `prepare` does and what the answers mean, ready for JSON, for those who must do
        without this program (docs/exporting.md)."""
        return {
            "task": self.name,
            "labels": self.labels,
            "native_px": self.native_px,
            "input_px": self.input_px,
            **({} if self.counts else {"crop": self.crop, "resample": self.resample}),
            "mean": self.mean,
            "std": self.std,
            "input": "image: (batch, 3, input_px, input_px), RGB, float32",
            "output": self.output,
            "steps": self.steps(),
        }

    output = "scores: (batch, labels), class probabilities"

    def steps(self) -> list[dict]:
        """The steps of `prepare` in their order. Filters are Pillow's, of which `bicubic` on
        floating-point planes is also PyTorch's with antialias."""
        native, side = [self.native_px] * 2, [self.input_px] * 2
        return [
            {"step": "read", "as": "RGB uint8, turned as EXIF says"},
            {"step": "crop", "to": "centre square", "share_of_shorter_side": self.crop},
            {"step": "resize", "size": native, "if_smaller": self.resample, "else": "bicubic"},
            {"step": "divide", "by": 255},
            {"step": "resize", "size": side, "filter": "bicubic", "as": "float32"},
            {"step": "clip", "to": [0, 1]},
            {"step": "normalise", "as": "(x - mean) / std"},
        ]

    def seen(self, picture: np.ndarray) -> np.ndarray:
        """The exact picture that `prepare` hands to the model, as RGB uint8 (input_px, input_px,
        3)."""
        mean, std = (torch.tensor(v).view(-1, 1, 1) for v in (self.mean, self.std))
        pixels = self.prepare(picture)[0] * std + mean
        return (pixels.permute(1, 2, 0) * 255).round().clamp(0, 255).to(torch.uint8).numpy()


LONG_PX, SHORT_PX, TILE_PX = 1152, 768, 384  # TransCrowd's picture and tile


def tile_boxes(upright: bool) -> list[tuple[int, int, int, int]]:
    """(left, top, right, bottom) of the six tiles in pixels of the stretched picture: column by
    column, each from the top."""
    width, height = (SHORT_PX, LONG_PX) if upright else (LONG_PX, SHORT_PX)
    return [
        (x, y, x + TILE_PX, y + TILE_PX)
        for x in range(0, width, TILE_PX)
        for y in range(0, height, TILE_PX)
    ]


@dataclass(frozen=True, kw_only=True)
class CrowdTask(Task):
    """How many people? The picture is stretched to 1152 x 768 (768 x 1152 if upright) and cut into
    six tiles (Liang et al., 2021).

    people_per_unit: people that an output of 1.0 stands for; 1 for a published checkpoint.
    """

    labels: tuple[str, ...] = ()
    native_px: int = TILE_PX
    input_px: int = TILE_PX
    mean: float | tuple[float, ...] = (0.485, 0.456, 0.406)
    std: float | tuple[float, ...] = (0.229, 0.224, 0.225)
    metric: str = "mae"
    people_per_unit: float = 100.0
    regressor: str = "token"

    tiles, counts = 6, True

    outputs = 1

    def stretch(self, picture: np.ndarray) -> np.ndarray:
        """RGB uint8 (H, W, 3) -> (768, 1152, 3), or (1152, 768, 3) if it is upright, bilinearly as
        published.

        A picture more than twice as large is first reduced by averaging, since bilinear sampling
        would skip most of its pixels.
        """
        upright = picture.shape[0] > picture.shape[1]
        width, height = (SHORT_PX, LONG_PX) if upright else (LONG_PX, SHORT_PX)
        most = (min(picture.shape[1], 2 * width), min(picture.shape[0], 2 * height))
        if most != (picture.shape[1], picture.shape[0]):
            picture = cv2.resize(picture, most, interpolation=cv2.INTER_AREA)
        return cv2.resize(picture, (width, height), interpolation=cv2.INTER_LINEAR)

    def cut(self, stretched: np.ndarray) -> torch.Tensor:
        """A stretched picture -> its tiles (6, 3, 384, 384) uint8."""
        boxes = tile_boxes(stretched.shape[0] > stretched.shape[1])
        return torch.from_numpy(
            np.stack([stretched[top:bottom, left:right] for left, top, right, bottom in boxes])
        ).permute(0, 3, 1, 2)

    def prepare(self, picture: np.ndarray) -> torch.Tensor:
        """RGB uint8 (H, W, 3) -> the model's input, one batch of tiles (6, 3, 384, 384),
        normalised."""
        return self.normalise(self.cut(self.stretch(picture)).float() / 255)

    output = "scores: (batch, 1), people in each tile; a picture has the sum of its tiles"

    def steps(self) -> list[dict]:
        """The steps of `prepare` in their order. Filters are OpenCV's."""
        lying, upright = [LONG_PX, SHORT_PX], [SHORT_PX, LONG_PX]
        size = {"size": lying, "size_if_higher_than_wide": upright}
        return [
            {"step": "read", "as": "RGB uint8, turned as EXIF says"},
            {"step": "reduce", "sides_at_most": "twice those below", "filter": "INTER_AREA"},
            {"step": "resize", **size, "filter": "INTER_LINEAR"},
            {"step": "cut", "size": [TILE_PX] * 2, "order": "column by column, each from the top"},
            {"step": "divide", "by": 255},
            {"step": "normalise", "as": "(x - mean) / std"},
        ]

    def seen(self, picture: np.ndarray) -> np.ndarray:
        """The exact picture that `prepare` cuts into tiles."""
        return self.stretch(picture)

    def answers(self, logits: torch.Tensor) -> torch.Tensor:
        """People in each tile: logits (B, 1) -> (B, 1)."""
        return logits.float() * self.people_per_unit

    def scores(self, logits: torch.Tensor) -> torch.Tensor:
        """The scores of one picture's exit: (6,) people in each tile. logits: (6, 1)."""
        return self.answers(logits)[:, 0]

    def answer(self, scores: torch.Tensor) -> int:
        """People in the whole picture. scores: (6,) people in each tile."""
        return round(scores.sum().item())

    def drift(self, a: torch.Tensor, b: torch.Tensor) -> Drift:
        """How far a picture's count moved, as a share of it (of ten people at least)."""
        gap = (abs(a.sum() - b.sum()) / max(10.0, abs(a.sum().item()))).item()
        return Drift(True, gap, f"a count moved by {gap:.1%}")

    def loss_of_storing(self, half: float, light: float) -> float:
        """The same, of mean absolute errors in people: an exit may lose 0.5 % of its error."""
        return (light - half) / (0.005 * half) if half else float(light > 0) * 2

    def loss(self, logits: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """Mean absolute error of logits (B, 1), rounded off below 5 people, against counts y (B,);
        in the logits' unit."""
        return F.smooth_l1_loss(
            logits.float()[:, 0], y / self.people_per_unit, beta=5 / self.people_per_unit
        )


IMAGENET1K_TABLE = Path(__file__).parent / "data" / "imagenet1k.csv"  # see mvit/data/wordnet.py


def imagenet1k_labels() -> tuple[str, ...]:
    """The names of the 1,000 ImageNet classes, in the order of the published weights' outputs."""
    with IMAGENET1K_TABLE.open(encoding="utf-8") as file:
        return tuple(row["name"] for row in itertools.islice(csv.DictReader(file), 1000))


TASKS = {
    "cifar10": Task("cifar10", CIFAR10_LABELS, native_px=32),
    "cifar100": Task("cifar100", CIFAR100_LABELS, native_px=32),
    "imagenet1k": Task(
        "imagenet1k", imagenet1k_labels(), native_px=224, crop=0.9, resample="bicubic"
    ),
    "crowd": CrowdTask("crowd"),
}
