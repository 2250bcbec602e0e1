"""Data sets as uint8 arrays in memory, and augmentation of whole batches on the device that
trains."""

from __future__ import annotations

import hashlib
import math
import os
from dataclasses import KW_ONLY, dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F
from tqdm import tqdm

from mvit.data.folders import (
    PICTURE_SUFFIXES,
    DataError,
    class_folders,
    layout,
    left_beside,
    shown,
    walk,
)
from mvit.images.reader import ImageError, picture_bytes, read_image
from mvit.tasks import TASKS, Task

__all__ = ["PICTURE_SUFFIXES", "DataError"]

# the folders of torchvision's own downloads
TORCHVISION = {"cifar10": "cifar-10-batches-py", "cifar100": "cifar-100-python"}


@dataclass
class Pictures:
    """Pictures (N, 3, S, S) uint8 with integer labels (N,), the class names, and what was left out
    of the folder with the reason.

    ids: (N,) a hash of each file's content. origin: where a test part comes from, for the card.
    """

    x: torch.Tensor
    y: torch.Tensor
    labels: tuple[str, ...]
    _: KW_ONLY
    unreadable: tuple[str, ...] = ()
    ids: torch.Tensor | None = None
    origin: dict = field(default_factory=lambda: {"from": "test/"})

    def __len__(self) -> int:
        return len(self.y)

    def subset(self, index: torch.Tensor) -> Pictures:
        ids = None if self.ids is None else self.ids[index]
        return replace(self, x=self.x[index], y=self.y[index], ids=ids)

    @property
    def fingerprint(self) -> str:
        """A hash of all pictures, in their order, with their labels: the same for the same data
        wherever it lies."""
        content = self.x if self.ids is None else self.ids
        parts = (content.numpy().tobytes(), self.y.numpy().tobytes(), repr(self.labels).encode())
        return hashlib.sha256(b"".join(hashlib.sha256(p).digest() for p in parts)).hexdigest()

    def whole(
        self, index: torch.Tensor, task: Task, device: torch.device
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The pictures as the model sees them, for scoring: x (B, 3, S, S) normalised, y (B,)."""
        return task.normalise(task.enlarge(self.x[index].to(device))), self.y[index].to(device)

    def augmented(
        self,
        index: torch.Tensor,
        task: Task,
        size: int,
        generator: torch.Generator,
        device: torch.device,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The pictures changed at random, for training: x (B, 3, size, size) normalised, y (B,)."""
        return task.normalise(augment(self.x[index].to(device), size, generator)), self.y[index].to(
            device
        )


LAYOUT = (
    "the data do not come with the lab: DIR holds a folder for each set that you have, as "
    "cifar10/test/<class>/*.png or shanghaitech/part_A/test_data (docs/training.md says more)"
)


def data_root(given: str | None) -> Path:
    """Resolve `--data DIR` or the environment variable MVIT_DATA; raises DataError if neither names
    a folder."""
    root = given or os.environ.get("MVIT_DATA")
    if not root:
        raise DataError(f"no data folder: pass --data DIR or set MVIT_DATA; {LAYOUT}")
    if not Path(root).is_dir():
        raise DataError(f"no such data folder: {root}; {LAYOUT}")
    return Path(root)


def find_split(task: Task, root: Path, split: str) -> tuple[Path, tuple[str, ...]] | None:
    """The folder of a split in the set's own folder or in `root`, and what lies beside it."""
    for folder in (root / task.name, root):
        if folder.is_dir() and split in (found := layout(folder)).splits:
            return found.splits[split], found.left_out
    return None


def load_split(task: Task, root: Path, split: str) -> Pictures:
    """Read the `train`, `val` or `test` split of a task from `root` (the folder that holds the
    set's own folder, or that folder); `val` is the test split where there is no other.

    Accepts an image folder `<split>/<class>/*` or torchvision's own download of CIFAR. Raises
    DataError.
    """
    found = find_split(task, root, split)
    if found is None and split == "test":
        found = find_split(task, root, "val")
    if found is not None:
        return read_folder(task, *found)
    for folder in (root / task.name, root):
        if task.name in TORCHVISION and (folder / TORCHVISION[task.name]).is_dir():
            return _read_torchvision(task, folder, split)
    raise DataError(
        f"no {split} split of {task.name} under {shown(root)}: expected "
        f"{task.name}/{split}/<class>/*.png there"
    )


def read_folder(task: Task, folder: Path, left_out: tuple[str, ...] = ()) -> Pictures:
    """Read an image folder `<folder>/<class>/*`, deeper folders included; what is left out is
    listed, after the given lines. Raises DataError."""
    classes = class_folders(folder)
    labels = task.labels or tuple(classes)
    without = [label for label in labels if label not in classes]
    strange = [label for label in classes if label not in labels]
    if strange or (without and task.name in TASKS):
        names = [f"only there: {', '.join(strange[:3])}"] if strange else []
        names += [f"missing there: {', '.join(without[:3])}"] if without else []
        raise DataError(
            f"the class folders of {shown(folder)} are not those of {task.name} "
            f"({'; '.join(names)})"
        )
    lines = [*left_out, *left_beside(folder)]
    lines += [f"{shown(folder)}: no folder of the class '{label}'" for label in without]
    files = [
        (file, labels.index(label))
        for label, inner in classes.items()
        for file in sorted(walk(inner, lines))
    ]
    if not files:
        raise DataError(f"{shown(folder)} holds no pictures")
    pictures, ys, ids = [], [], []
    bar = tqdm(files, desc=f"reading {shown(folder.name)}", unit="picture", disable=None)
    for file, y in bar:
        try:
            data = picture_bytes(file)
            pictures.append(task.reduce(read_image(data)))
        except ImageError as error:
            lines.append(f"{shown(file)}: {error}")
            continue
        ys.append(y)
        ids.append(int.from_bytes(hashlib.sha256(data).digest()[:8], "big", signed=True))
    if not pictures:
        raise DataError(
            f"none of the {len(files)} pictures in {shown(folder)} can be read; {lines[-1]}"
        )
    x = torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).contiguous()
    origin = {"from": f"{shown(folder.name)}/"}
    return Pictures(
        x,
        torch.tensor(ys),
        labels,
        unreadable=tuple(sorted(lines)),
        ids=torch.tensor(ids),
        origin=origin,
    )


def _read_torchvision(task: Task, folder: Path, split: str) -> Pictures:
    from torchvision import datasets

    kind = {"cifar10": datasets.CIFAR10, "cifar100": datasets.CIFAR100}[task.name]
    try:
        data = kind(str(folder), train=split == "train", download=False)
    except RuntimeError as error:
        raise DataError(
            f"torchvision's download of {task.name} in {folder} is damaged: {error}"
        ) from error
    return Pictures(
        torch.from_numpy(data.data).permute(0, 3, 1, 2).contiguous(),
        torch.tensor(data.targets),
        task.labels,
    )


def hold_out(pictures: Pictures, fraction: float, seed: int) -> tuple[Pictures, Pictures]:
    """Cut a validation part, the same share of every class, from a training split: returns
    (train, validation).

    At least one picture of each class is validated if it has two or more, and at least one always
    stays in train.
    """
    generator = torch.Generator().manual_seed(seed)
    held = torch.zeros(len(pictures), dtype=torch.bool)
    for label in pictures.y.unique():
        members = (pictures.y == label).nonzero()[:, 0]
        take = min(max(1, round(fraction * len(members))), len(members) - 1)
        held[members[torch.randperm(len(members), generator=generator)[:take]]] = True
    return pictures.subset(~held), pictures.subset(held)


def augment(pictures: torch.Tensor, size: int, generator: torch.Generator) -> torch.Tensor:
    """Crop, shift, stretch, flip and light uint8 pictures (B, 3, S, S) at random and enlarge them
    to (B, 3, size, size) in 0..1.

    One bicubic resampling does crop, flip and enlargement together, so a picture is never blurred
    twice.
    """
    b = len(pictures)

    def uniform(low: float, high: float, *shape: int) -> torch.Tensor:
        return torch.rand(b, *shape, generator=generator) * (high - low) + low

    area, ratio = uniform(0.6, 1.1).sqrt(), uniform(math.log(4 / 5), math.log(5 / 4)).mul(0.5).exp()
    theta = torch.zeros(b, 2, 3)
    theta[:, 0, 0] = area * ratio * (torch.rand(b, generator=generator) < 0.5).float().mul(2).sub(1)
    theta[:, 1, 1] = area / ratio
    theta[:, :, 2] = uniform(-1, 1, 2) * (1 - area).abs().add(0.06)[:, None]
    theta = theta.to(pictures.device)
    grid = F.affine_grid(theta, [b, 3, size, size], align_corners=False)
    pixels = F.grid_sample(
        pictures.float() / 255, grid, mode="bicubic", padding_mode="reflection", align_corners=False
    )
    contrast, light = (
        uniform(0.8, 1.2, 1, 1, 1).to(pixels.device),
        uniform(-0.1, 0.1, 1, 1, 1).to(pixels.device),
    )
    pixels = (pixels - 0.5) * contrast + 0.5 + light
    return pixels.clamp_(0, 1)
