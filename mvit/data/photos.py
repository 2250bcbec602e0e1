"""Photos without labels to learn from, and pictures whose classes stand in a list file."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch

from mvit.data.folders import DataError, walk
from mvit.data.labelled import Pictures
from mvit.images.reader import ImageError, picture_bytes, read_image
from mvit.tasks import Task


def find_photos(
    folders: Sequence[Path], tested: frozenset[str] = frozenset(), lines: list[str] | None = None
) -> tuple[list[Path], list[Path]]:
    """Every file in the folders and below that may be a picture, in order: (those to learn from,
    those left out because a picture of that name is measured on). `lines` names what cannot be
    entered. Raises DataError for a folder that does not exist or holds no pictures."""
    found: list[Path] = []
    for folder in folders:
        if not folder.is_dir():
            wrong = "is no folder" if folder.exists() else "does not exist"
            raise DataError(f"{folder} {wrong}")
        here = sorted(walk(folder, [] if lines is None else lines))
        if not here:
            raise DataError(f"{folder} holds no pictures")
        found += here
    learned = [file for file in found if file.name not in tested]
    if not learned:
        raise DataError("every picture in these folders is one that is measured on")
    return learned, [file for file in found if file.name in tested]


def measured_names(task: Task, root: Path) -> frozenset[str]:
    """The file names of a task's test pictures under `root`; none if there is no such folder."""
    names = ("test", "val")
    folders = [place / name for place in (root / task.name, root) for name in names]
    return frozenset(file.name for folder in folders for file in folder.rglob("*"))


def read_batch(files: Sequence[Path], task: Task) -> tuple[torch.Tensor, list[str]]:
    """The files as the task reduces them, uint8 (B, 3, S, S), and one line for each that could not
    be read."""
    return _stacked(_read_each(files, task), task)


def _read_each(files: Sequence[Path], task: Task) -> list[np.ndarray | str]:
    """What `read_batch` makes of each file."""

    def read(file: Path) -> np.ndarray | str:
        try:
            return task.reduce(read_image(picture_bytes(file)))
        except ImageError as error:
            return f"{file}: {error}"

    with ThreadPoolExecutor() as threads:  # decoders work beside each other
        return list(threads.map(read, files))


def _stacked(found: list[np.ndarray | str], task: Task) -> tuple[torch.Tensor, list[str]]:
    pictures = [one for one in found if not isinstance(one, str)]
    unreadable = [one for one in found if isinstance(one, str)]
    side = task.native_px
    x = np.stack(pictures) if pictures else np.empty((0, side, side, 3), np.uint8)
    return torch.from_numpy(x).permute(0, 3, 1, 2), unreadable


def find_list(task: Task, root: Path) -> tuple[Path, Path] | None:
    """(folder of test pictures, list of their classes): `val/` with `val.txt` beside it, or `test/`
    with `test.txt`; None if there are none."""
    for place in (root / task.name, root):
        for name in ("test", "val"):
            if (place / name).is_dir() and (place / f"{name}.txt").is_file():
                return place / name, place / f"{name}.txt"
    return None


def read_listed(task: Task, folder: Path, listed: Path) -> Pictures:
    """The pictures of a flat folder whose classes stand in a list file, a line `name number` each,
    as ImageNet's validation set has it. Pictures that the list does not name are left out and told.

    Raises DataError if the list is not of that form or names none of the pictures.
    """
    try:
        lines = [line.split() for line in listed.read_text(encoding="utf-8").splitlines() if line]
        truth = {name: int(number) for name, number in lines}
    except ValueError as error:
        raise DataError(f"{listed} is not a list of lines `name number` ({error})") from error
    if wrong := [n for n, y in truth.items() if not 0 <= y < len(task.labels)]:
        raise DataError(f"{listed} gives {wrong[0]} a class that {task.name} does not have")
    closed: list[str] = []
    files, _ = find_photos([folder], lines=closed)
    known = [file for file in files if file.name in truth]
    if not known:
        raise DataError(f"{listed} names none of the pictures in {folder}")
    found = _read_each(known, task)
    x, unreadable = _stacked(found, task)
    read = [file for file, one in zip(known, found, strict=True) if not isinstance(one, str)]
    y = torch.tensor([truth[file.name] for file in read])
    unlisted = [f"{file}: not in {listed.name}" for file in files if file.name not in truth]
    return Pictures(x.contiguous(), y, task.labels, unreadable=(*unreadable, *unlisted, *closed))
