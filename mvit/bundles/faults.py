"""What cannot be true of a card: figures that are none, and a task for which no picture can be
prepared. To use such a card would give wrong numbers without a word."""

from __future__ import annotations

import math
from numbers import Real
from pathlib import Path

from mvit.tasks import Task

MOST_PX = 4096  # side of a picture
RESAMPLED = ("box", "bicubic")


def figures_fault(card: dict) -> str | None:
    """What is wrong with the exits and their figures in a card, in words; None if nothing is."""
    layers = card.get("layers", [])
    if not isinstance(layers, list) or not all(map(_whole, layers)):
        return "'layers' are not whole numbers above 0"
    if len(set(layers)) < len(layers):
        return "'layers' names a layer twice"
    try:
        for part in (card, *card.get("splits", {}).values()):
            rows = [({"layer", "head"}, row) for row in part.get("exits", [])]
            for needed, row in [*rows, (set(), part.get("final", {}))]:
                if lacking := needed - row.keys():
                    return f"an exit lacks its {min(lacking)}"
                for name, legal in LEGAL.items():
                    if name in row and not legal(row[name]):
                        return f"an exit's {name} is {row[name]!r}"[:80]
    except (TypeError, AttributeError):
        return "'exits', 'final' or 'splits' do not hold figures"
    return None


def files_fault(card: dict) -> str | None:
    """What is wrong with a card's list of files, in words; None if nothing is."""
    files = card["files"]
    if not isinstance(files, dict) or not all(isinstance(about, dict) for about in files.values()):
        return "'files' does not tell about files by their names"
    for name, about in files.items():
        of = about.get("of", "another")
        if not _text(of) or Path(of).name != of or of == "..":
            return f"{name} is said to be one of {of!r}, which names no bundle"[:120]
    return None


def task_fault(task: Task) -> str | None:
    """What makes it impossible to prepare pictures for a task, or to read its answers, in words;
    None if nothing does."""
    named = isinstance(task.labels, tuple) and all(map(_text, task.labels))
    if not named or not (task.labels or task.counts):
        return "'labels' are not names"
    for name in ("native_px", "input_px"):
        if not _whole(side := getattr(task, name)) or side > MOST_PX:
            return f"'{name}' is {side!r}"[:80]
    for name in ("mean", "std"):
        channels = getattr(task, name)
        channels = channels if isinstance(channels, tuple) else (channels,)
        if len(channels) not in (1, 3) or not all(map(number, channels)):
            return f"'{name}' is not one number or three"
    if not all(channel > 0 for channel in channels):
        return "'std' is not above 0"
    if not number(task.crop) or not 0 < task.crop <= 1:
        return f"'crop' is {task.crop!r}, not a share"[:80]
    if task.resample not in RESAMPLED:
        return f"'resample' is {task.resample!r}, which this version does not know"[:80]
    people = getattr(task, "people_per_unit", 1)
    return None if number(people) and people > 0 else f"'people_per_unit' is {people!r}"[:80]


def number(value: object) -> bool:
    """Whether this is a finite number."""
    if isinstance(value, bool) or not isinstance(value, Real):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:
        return False


def _whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0 and number(value)


def _text(value: object) -> bool:
    return isinstance(value, str) and bool(value)


def _amount(value: object) -> bool:
    return number(value) and value >= 0


LEGAL = {
    "layer": _whole,
    "head": _text,
    "practical": lambda value: isinstance(value, bool),
    "accuracy": lambda value: _amount(value) and value <= 1,
} | dict.fromkeys(("mae", "rmse", "macs"), _amount)
