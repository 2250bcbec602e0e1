"""Folders of crowd pictures: which points belong to which picture, and to which split. Fits
ShanghaiTech, UCF-QNRF, UCF_CC_50, JHU-CROWD++, DISCO, Beijing-BRT and anyone's own."""

from __future__ import annotations

import os
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import KW_ONLY, dataclass
from pathlib import Path

from mvit.data.folders import PICTURE_SUFFIXES, is_hidden, shown
from mvit.data.points import POINT_SUFFIXES

# Pictures of part A's test split that reappear in its train split under these numbers: never
# trained on.
LEAKED = frozenset(f"part_A/IMG_{n}" for n in (98, 82, 181, 173, 40, 142))
# ShanghaiTech's parts, as they are called in copies and in its authors' own archive
PART = re.compile(r"part[_-]?([ab])(_final)?", re.I)
SPLIT = re.compile(
    r"(train|val|test)(ing|id|idation)?([ _.-]?(data|set|split|images?|imgs?|frames?|[0-9]+))*",
    re.I,
)
# what is added to a picture's name in the name of its points: GT_IMG_1.mat, img_0001_ann.mat
AFFIX = re.compile(r"^gt_|_(ann|gt|points?)$", re.I)


@dataclass(frozen=True)
class Sample:
    """A picture of a crowd folder. name: `<set>/<picture>`; split: "train", "val", "test" or None;
    points: the files that may hold its points, usually one."""

    picture: Path
    name: str
    split: str | None
    _: KW_ONLY
    points: tuple[Path, ...]
    problem: str | None = None

    @property
    def set(self) -> str:
        """Which set of pictures it belongs to."""
        return self.name.split("/")[0]


def split_of(folder: Path, root: Path) -> str | None:
    """The split that a folder's path below its root, or the root's own name, says."""
    for part in (*reversed(folder.relative_to(root).parts), root.name):
        if found := SPLIT.fullmatch(part):
            return found[1].lower()
    return None


def name_of(picture: Path, root: Path) -> str:
    """`<set>/<picture>`: ShanghaiTech's part where a folder says it, else the root's name and the
    path below it."""
    for part in reversed(picture.parts[-5:-1]):
        if found := PART.fullmatch(part):
            return shown(f"part_{found[1].upper()}/{picture.stem}")
    return shown(Path(root.name) / picture.relative_to(root).with_suffix(""))


def samples(root: Path) -> list[Sample]:
    """Every picture below a folder in natural order, with the points that lie with it: in its
    folder, else in one within it or beside it that holds no pictures of its own.

    A file that fits two pictures belongs to neither.
    """
    tree = Tree(root)
    found = {p: tree.points_of(p) for p in sorted(tree.pictures, key=natural)}
    claims = Counter(file for files in found.values() for file in files)
    made = []
    for picture, files in found.items():
        problem = None if files else f"no points ({', '.join(POINT_SUFFIXES)}) lie with it"
        if shared := [file.name for file in files if claims[file] > 1]:
            problem = f"{shared[0]} could be its points or another picture's"
        made.append(
            Sample(
                picture,
                name_of(picture, root),
                split_of(picture.parent, root),
                points=tuple(files),
                problem=problem,
            )
        )
    return made


def natural(file: Path) -> list:
    """A key by which IMG_2 comes before IMG_10."""
    return [(int(t), "") if t.isdigit() else (-1, t) for t in re.split("([0-9]+)", str(file)) if t]


class Tree:
    """The pictures and the files of points below a folder."""

    def __init__(self, root: Path):
        self.root = root
        self.pictures: list[Path] = []
        self.points: dict[Path, dict[str, list[Path]]] = defaultdict(lambda: defaultdict(list))
        self.children: dict[Path, list[Path]] = {}
        self.near: dict[Path, list[Path]] = {}
        for place, folders, files in os.walk(root, followlinks=True):
            folder = Path(place)
            folders[:] = sorted(f for f in folders if not is_hidden(f))
            self.children[folder] = [folder / f for f in folders]
            for name in sorted(f for f in files if not is_hidden(f)):
                file = folder / name
                if file.suffix.lower() in PICTURE_SUFFIXES:
                    self.pictures.append(file)
                elif file.suffix.lower() in POINT_SUFFIXES:
                    for key in {file.stem, AFFIX.sub("", file.stem)}:
                        self.points[folder][key].append(file)
        self.crowded = {picture.parent for picture in self.pictures}

    def points_of(self, picture: Path) -> list[Path]:
        """The files that may hold a picture's points: those in its own folder, else those near."""
        folder = picture.parent
        if own := self.points[folder].get(picture.stem):
            return own
        if folder not in self.near:
            self.near[folder] = list(self.places(folder))
        return [f for place in self.near[folder] for f in self.points[place].get(picture.stem, ())]

    def places(self, folder: Path) -> Iterator[Path]:
        """Folders without pictures of their own where a folder's points may lie: in it, above it,
        beside it, and at the same path below a folder beside one above it."""
        split = split_of(folder, self.root)
        near = list(self.children[folder])
        for above in (folder, *folder.parents):
            if above == self.root:
                break
            beside = (b for b in self.children[above.parent] if b != above)
            near += [b / folder.relative_to(above) for b in beside]
        if folder != self.root:
            near.append(folder.parent)
        for place in near:
            other = split_of(place, self.root)
            if place in self.points and place not in self.crowded and other in (None, split):
                yield place
