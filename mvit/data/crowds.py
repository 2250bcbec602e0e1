"""Read crowd pictures with the points of their heads: ShanghaiTech, DISCO and other published sets,
or anyone's own."""

from __future__ import annotations

import os
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
from tqdm import tqdm

from mvit.data.folders import DataError, shown
from mvit.data.layouts import LEAKED, Sample, samples
from mvit.data.points import read_points, understand
from mvit.data.tiles import ZOOM, Crowds, Tiles, empty_pictures, hold_out_crowds, random_square
from mvit.images.reader import ImageError, orientation, picture_bytes, read_image
from mvit.tasks import CrowdTask

__all__ = [
    "LEAKED",
    "ZOOM",
    "Crowds",
    "Tiles",
    "empty_pictures",
    "hold_out_crowds",
    "load_crowds",
    "random_square",
    "read_points",
    "splits_in",
]

UNSPLIT = "; without one, only the counter that was trained on this folder can be measured on it"
MARGIN = 2  # pixels that a point may lie outside its picture


def set_folder(root: Path) -> Path:
    """The folder of a known set within a folder of data sets, or the folder itself."""
    root = Path(os.path.abspath(root))
    known = {f.name.lower(): f for f in sorted(root.glob("*")) if f.is_dir()}
    return known.get("shanghaitech") or known.get("disco") or root


def splits_in(root: Path) -> set[str]:
    """Which of train, val and test a folder of crowd pictures is parted into."""
    return {s.split for s in samples(set_folder(root)) if s.split}


def load_crowds(task: CrowdTask, root: Path, split: str) -> dict[str, Crowds]:
    """{set name: Crowds} of a split: ShanghaiTech's parts where they are, else the folder as one.

    root: a folder of pictures with points (see `mvit.data.layouts`), or one that holds
    `shanghaitech/` or `disco/`. A folder without splits is all for training. Raises DataError.
    """
    root = set_folder(root)
    found = samples(root)
    splits = Counter(s.split for s in found if s.split)
    if split not in splits and (splits or split == "test"):
        own = "" if splits or split != "test" else UNSPLIT
        raise DataError(
            f"no {split} split under {root}: put its pictures and points below a folder "
            f"named {split}{own}"
        )
    if splits:
        lost = "it lies in no folder named train, val or test"
        found = [
            s if s.split else replace(s, problem=lost) for s in found if s.split in (split, None)
        ]
    if split == "train":
        leak = "part A's test split has the same picture"
        found = [replace(s, problem=leak) if s.name in LEAKED else s for s in found]
    sets: dict[str, list[Sample]] = {s.set: [] for s in found if s.split or not splits}
    if not sets:
        raise DataError(f"no picture with points under {root}")
    for sample in found:
        sets.get(sample.set, next(iter(sets.values()))).append(sample)
    unused = splits["val"] if split == "train" else 0
    return {
        name: read_crowds(task, own, root, show=f"{name} {split}", unused=unused)
        for name, own in sets.items()
    }


def read_crowds(
    task: CrowdTask, files: list[Sample], root: Path, show: str, unused: int = 0
) -> Crowds:
    """Read pictures with their points, stretched as the task does it; what cannot be used is left
    out and named, and one line on standard error says what was understood.

    unused: pictures of a validation split, which that line mentions. Raises DataError.
    """
    crowds, ways = Crowds([], [], []), Counter()
    left_out = []
    for sample in tqdm(files, desc=f"reading {show}", unit="picture", disable=None):
        try:
            if sample.problem:
                raise DataError(sample.problem)
            picture, points, how = read_sample(sample)
        except (ImageError, DataError) as error:
            left_out.append(f"{shown(sample.picture.relative_to(root))}: {error}")
            continue
        stretched = task.stretch(picture)
        size = np.array(stretched.shape[1::-1])
        scale = size / np.array(picture.shape[1::-1])
        crowds.pictures.append(stretched)
        crowds.points.append(np.clip(points * scale, 0, size - 1e-3))
        crowds.names.append(sample.name)
        ways[how] += 1
    if not crowds.pictures:
        reasons = "; ".join(left_out[:2])
        raise DataError(f"no picture with points among {len(files)} in {show}: {reasons}")
    crowds.left_out = tuple(left_out)
    nobody = int((crowds.counts == 0).sum())
    told = [f"{show}: {len(crowds)} pictures, {crowds.counts.sum()} people"]
    told += [f"{number} from {how}" for how, number in ways.most_common()]
    told += [f"{nobody} without anyone"] if nobody else []
    told += [f"{len(left_out)} left out"] if left_out else []
    told += [f"{unused} of the validation split not used"] if unused else []
    crowds.understood = ("; ".join(told),)
    tqdm.write(crowds.understood[0], file=sys.stderr)
    return crowds


def read_sample(sample: Sample) -> tuple[np.ndarray, np.ndarray, str]:
    """One picture, RGB uint8 (H, W, 3), its points (N, 2) in its pixels, and where they are from.

    Of several files the readable ones must agree. Raises ImageError, DataError.
    """
    data = picture_bytes(sample.picture)
    picture = read_image(data)
    height, width = picture.shape[:2]
    found, problems = [], []
    for file in sample.points:
        try:
            found.append((file, *understand(file, (width, height))))
        except DataError as error:
            problems.append(error)
    if not found:
        raise problems[0]
    file, points, how = found[0]
    for other, also, _ in found[1:]:
        if also.shape != points.shape or not np.allclose(also, points, atol=1):
            raise DataError(f"{file.name} and {other.name} hold different points")
    place = os.path.relpath(file.parent, sample.picture.parent)
    pattern = file.name.replace(sample.picture.stem, "*")
    where = pattern if place == "." else f"{place}/{pattern}"
    points, turn = fitted(points, data, width, height=height)
    return picture, points, f"{where} ({how}{turn})"


def fitted(points: np.ndarray, data: bytes, width: int, height: int) -> tuple[np.ndarray, str]:
    """Points (N, 2) in the pixels of the upright picture, and what was done about it: they are
    turned as the file's EXIF says if that alone makes all fit.

    Points up to MARGIN pixels outside are let pass. Raises DataError for points of another size.
    """
    if len(points) > 1 and 0 <= points.min() and points.max() <= 1 and (points % 1).any():
        raise DataError("its points are shares of the picture (0 to 1), not pixels")
    if not outside(points, width, height).any():
        return points, ""
    turn = orientation(data)
    turned = points[:, ::-1] if turn >= 5 else points
    flips = {2: (1, 0), 3: (1, 1), 4: (0, 1), 6: (1, 0), 7: (1, 1), 8: (0, 1)}.get(turn, (0, 0))
    turned = np.where(flips, (width, height) - turned, turned)
    if not outside(turned, width, height).any():
        return turned, ", turned as its EXIF says"
    far = outside(points, width, height)
    x, y = points[far][0]
    raise DataError(
        f"{far.sum()} of {len(points)} points lie outside its {width} x {height} pixels, "
        f"one at ({x:g}, {y:g})"
    )


def outside(points: np.ndarray, width: int, height: int) -> np.ndarray:
    """(N,) which points lie more than MARGIN pixels outside a picture."""
    return ((points < -MARGIN) | (points > np.array((width, height)) + MARGIN)).any(axis=1)
