"""Folders of pictures as people have them: which files may be pictures, which folder is a class,
and which is a split of the data."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PICTURE_SUFFIXES = frozenset(
    ".png .jpg .jpeg .jpe .jfif .webp .bmp .gif .tif .tiff .heic .heif .hif .avif".split()
)
# what people keep beside pictures; it is passed over without a word, all else that is left out is
# named
BESIDE = frozenset(
    ".txt .csv .tsv .json .jsonl .xml .yaml .yml .md .rst .html .htm .ini .db .log .py .ipynb .sh "
    ".lnk .url .mat .npy .npz .pkl .xls .xlsx .doc .docx .xmp .aae .thm .sha256 .md5".split()
)
# what systems leave behind, beside names that begin with a dot
LEFT_BEHIND = frozenset(
    (
        "__macosx __pycache__ @eadir @recycle @recently-snapshot @sharebin @tmp #recycle #snapshot "
        "$recycle.bin recycler recycled lost+found found.000 icon\r"
    ).split(" ")
) | {"system volume information"}
SPLITS = {
    "train": ("train", "training"),
    "val": ("val", "valid", "validation"),
    "test": ("test", "testing"),
}
SPLIT_OF = {name: split for split, names in SPLITS.items() for name in names}


class DataError(ValueError):
    """A data folder that cannot be used; the message says what is wrong and how to mend it."""


@dataclass(frozen=True)
class Layout:
    """Where classes are. folder: holds them or the splits. splits: the folders of `train`, `val`
    and `test`, none if `folder` holds the classes. left_out: what lies beside them, with the
    reason."""

    folder: Path
    splits: dict[str, Path]
    left_out: tuple[str, ...]


def shown(path: Path | str) -> str:
    """A path as text that can be printed and stored, whatever its bytes: UTF-8, or else Windows'
    Latin letters; accents composed, as other systems write them."""
    raw = os.fsencode(path)
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        text = raw.decode("cp1252", "replace")
    return unicodedata.normalize("NFC", text)


def is_hidden(name: str) -> bool:
    """Whether a name is a hidden file's or one that a system or an archive leaves behind."""
    return name.startswith(".") or name.casefold() in LEFT_BEHIND


def may_be_picture(file: Path) -> bool:
    """Whether a file is to be read as a picture or else to be named: the content decides, not the
    name."""
    return not is_hidden(file.name) and file.suffix.lower() not in BESIDE


def sub_folders(folder: Path) -> list[Path]:
    """The folders in a folder, in order, without hidden ones. Raises DataError."""
    try:
        return sorted(p for p in folder.iterdir() if p.is_dir() and not is_hidden(p.name))
    except OSError as error:
        raise DataError(f"{shown(folder)} cannot be read: {error.strerror or error}") from error


def loose_files(folder: Path) -> list[Path]:
    """What may be pictures directly in a folder, in order."""
    return sorted(p for p in folder.iterdir() if not p.is_dir() and may_be_picture(p))


def walk(folder: Path, left_out: list[str]) -> Iterator[Path]:
    """Yield what may be pictures in a folder and below; names in `left_out` what cannot be
    entered."""

    def refuse(error: OSError) -> None:
        left_out.append(f"{shown(error.filename)}: {error.strerror}")

    for at, folders, files in os.walk(folder, onerror=refuse, followlinks=True):
        here = Path(at)
        folders[:] = sorted(name for name in folders if not is_hidden(name))
        for name in list(folders):
            below = here / name
            if below.is_symlink() and here.resolve().is_relative_to(below.resolve()):
                left_out.append(f"{shown(below)}: a link to a folder that it lies in")
                folders.remove(name)
            elif below.suffix.lower() in PICTURE_SUFFIXES and not any(os.scandir(below)):
                left_out.append(f"{shown(below)}: an empty folder, not a picture")
        yield from (here / name for name in files if may_be_picture(here / name))


def has_pictures(folder: Path) -> bool:
    """Whether there is anything in a folder or below that may be a picture."""
    return next(walk(folder, []), None) is not None


def split_of(folder: Path) -> str | None:
    """The split that a folder's name stands for, in either case: `train`, `val`, `test` or None."""
    return SPLIT_OF.get(folder.name.casefold())


def layout(root: Path) -> Layout:
    """Tell where the classes of an image folder are: in it, in its splits, or in the only folder in
    it.

    A folder called `train` is a class if it holds pictures itself beside other classes. Raises
    DataError where more than one reading is likely.
    """
    folder = _inner(root)
    full = [f for f in sub_folders(folder) if has_pictures(f)]
    named = [f for f in full if split_of(f)]
    others = [f for f in full if not split_of(f)]
    direct = [bool(loose_files(f)) for f in named]
    if not named or (others and all(direct)):
        return Layout(folder, {}, ())
    if others and len(named) == 1:
        if any(loose_files(f) for f in others):
            raise DataError(
                f"{shown(named[0])} holds folders, those beside it hold pictures: keep only "
                "train and test there, or put each class's pictures directly into its folder"
            )
        return Layout(folder, {}, ())
    splits: dict[str, Path] = {}
    for part in named:
        if (name := split_of(part)) in splits:
            raise DataError(f"{shown(folder)} has two folders for {name}; keep one of them")
        splits[name] = part
    beside = tuple(f"{shown(f)}: a folder beside {_and(named)}" for f in others)
    return Layout(folder, splits, beside + left_beside(folder))


def class_folders(folder: Path) -> dict[str, Path]:
    """The classes of a folder and their folders, in the order of the folders' names.

    Raises DataError if there are fewer than two, or if they cannot be told apart.
    """
    found: dict[str, Path] = {}
    for inner in sub_folders(folder):
        if has_pictures(inner) or not any(inner.iterdir()):
            if (label := shown(inner.name)) in found:
                raise DataError(f"{shown(folder)} has two folders called {label}; rename one")
            found[label] = inner
    if len(found) < 2:
        loose = len(loose_files(folder))
        also = f" and {loose} pictures without a class" if loose else ""
        raise DataError(
            f"{shown(folder)} holds {len(found)} class folders{also}; a classifier needs at least "
            "two: a folder for each class, with its pictures in it"
        )
    inside = [f for inner in found.values() for f in sub_folders(inner) if has_pictures(f)]
    if inside and all(split_of(f) for f in inside):
        raise DataError(
            f"{shown(inside[0])} is a split inside a class; put the classes into the splits "
            f"instead: {inside[0].name}/{shown(inside[0].parent.name)}/"
        )
    return found


def _inner(root: Path) -> Path:
    """The folder that was meant where an archive was unpacked one folder too deep."""
    full = [f for f in sub_folders(root) if has_pictures(f)]
    if len(full) != 1 or split_of(full[0]) or loose_files(root):
        return root
    inner = _inner(full[0])
    return inner if sum(map(has_pictures, sub_folders(inner))) > 1 else root


def left_beside(folder: Path) -> tuple[str, ...]:
    """The pictures beside the class folders, folders without any picture, and folders that are
    hidden although they hold pictures, as left out."""
    bare = [f for f in sub_folders(folder) if not has_pictures(f) and any(f.iterdir())]
    dotted = sorted(f for f in folder.glob(".*") if f.is_dir() and loose_files(f))
    return (
        *(f"{shown(f)}: in no class folder" for f in loose_files(folder)),
        *(f"{shown(f)}: a folder without pictures" for f in bare),
        *(f"{shown(f)}: a folder whose name begins with a dot" for f in dotted),
    )


def _and(folders: list[Path]) -> str:
    return " and ".join(shown(f.name) for f in folders)
