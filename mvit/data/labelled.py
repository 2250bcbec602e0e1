"""Data sets as uint8 arrays in memory, and augmentation of whole batches on the device that
trains."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F
from tqdm import tqdm

from mvit.images.reader import ImageError, read_image
from mvit.tasks import Task

# the folders of torchvision's own downloads
TORCHVISION = {"cifar10": "cifar-10-batches-py", "cifar100": "cifar-100-python"}
PICTURE_SUFFIXES = {".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff"}


class DataError(ValueError):
    """A data folder that cannot be used; the message says what is wrong and how to mend it."""


@dataclass
class Pictures:
    """Pictures (N, 3, S, S) uint8 with integer labels (N,), the class names, and the names of files
    that could not be read."""

    x: torch.Tensor
    y: torch.Tensor
    labels: tuple[str, ...]
    unreadable: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.y)

    def subset(self, index: torch.Tensor) -> Pictures:
        return Pictures(self.x[index], self.y[index], self.labels, self.unreadable)

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


def data_root(given: str | None) -> Path:
    """Resolve `--data DIR` or the environment variable MVIT_DATA; raises DataError if neither names
    a folder."""
    root = given or os.environ.get("MVIT_DATA")
    if not root:
        raise DataError("no data folder: pass --data DIR or set MVIT_DATA")
    if not Path(root).is_dir():
        raise DataError(f"no such data folder: {root}")
    return Path(root)


def load_split(task: Task, root: Path, split: str) -> Pictures:
    """Read the `train` or `test` split of a task from `root` (the folder that holds the set's own
    folder, or that folder).

    Accepts an image folder `<split>/<class>/*` or torchvision's own download of CIFAR. Raises
    DataError.
    """
    for folder in (root / task.name, root):
        if (folder / split).is_dir():
            return read_folder(task, folder / split)
        if task.name in TORCHVISION and (folder / TORCHVISION[task.name]).is_dir():
            return _read_torchvision(task, folder, split)
    raise DataError(
        f"no {split} split of {task.name} under {root}: expected {task.name}/{split}/<class>/*.png there"
    )


def class_folders(folder: Path) -> tuple[str, ...]:
    """The class names of an image folder: its sub-folders in order, without the hidden ones and
    those that archives leave behind.

    Raises DataError if there are fewer than two.
    """
    names = tuple(
        sorted(
            p.name for p in folder.iterdir() if p.is_dir() and not p.name.startswith((".", "__"))
        )
    )
    if len(names) < 2:
        raise DataError(
            f"{folder} holds {len(names)} class folders; a classifier needs at least two"
        )
    return names


def is_picture(file: Path) -> bool:
    """Whether a file's name is a picture's; hidden files (macOS keeps one beside each picture in an
    archive) are none."""
    return file.suffix.lower() in PICTURE_SUFFIXES and not file.name.startswith(".")


def read_folder(task: Task, folder: Path) -> Pictures:
    """Read an image folder `<folder>/<class>/*`; unreadable pictures are skipped and listed. Raises
    DataError."""
    labels = class_folders(folder)
    if task.labels and labels != task.labels:
        raise DataError(f"the class folders of {folder} are not those of {task.name}")
    files = [
        (f, i)
        for i, c in enumerate(labels)
        for f in sorted((folder / c).iterdir())
        if is_picture(f)
    ]
    if not files:
        raise DataError(f"{folder} holds no pictures")
    pictures, ys, unreadable = [], [], []
    for file, y in tqdm(files, desc=f"reading {folder.name}", unit="picture", disable=None):
        try:
            pictures.append(task.reduce(read_image(file.read_bytes())))
            ys.append(y)
        except (ImageError, OSError) as error:
            unreadable.append(f"{file}: {error}")
    if not pictures:
        raise DataError(f"none of the {len(files)} pictures in {folder} can be read")
    x = torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).contiguous()
    return Pictures(x, torch.tensor(ys), labels, tuple(unreadable))


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
    """Cut a validation part, the same share of every class, from a training split: gives back
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
