"""What cannot be true of a card: entries of another kind than the one that is read, figures that
are none, and a task for which no picture can be prepared. To use such a card would end in an error
of Python's, or give wrong numbers without a word."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from numbers import Real
from pathlib import Path

from mvit.tasks import Task

MOST_PX = 4096  # side of a picture
MOST_CHANNELS = 8192
RESAMPLED = ("box", "bicubic")


def task_fault(task: Task) -> str | None:
    """What makes it impossible to prepare pictures for a task, or to read its answers, in words;
    None if nothing does."""
    named = isinstance(task.labels, tuple) and all(map(_text, task.labels))
    if not named or not (task.labels or task.counts):
        return "'labels' are not names"
    if twice := [name for name, times in Counter(task.labels).items() if times > 1]:
        return f"'labels' names {twice[0]!r} twice"[:80]
    for name in ("native_px", "input_px"):
        if not _whole(side := getattr(task, name)) or side > MOST_PX:
            return f"'{name}' is {side!r}"[:80]
    for name in ("mean", "std"):
        channels = getattr(task, name)
        channels = channels if isinstance(channels, tuple) else (channels,)
        if len(channels) not in (1, 3) or not all(map(number, channels)):
            return f"'{name}' is not one number or three"
        if not all(0 <= channel <= 1 for channel in channels):  # as a picture's own are
            return f"'{name}' is not from 0 to 1"
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


def _count(value: object) -> bool:
    return _amount(value) and isinstance(value, int)


def _share(value: object) -> bool:
    return _amount(value) and value <= 1


def _size(value: object) -> bool:
    """Whether a network may have so many layers or channels; more would fill the memory."""
    return _whole(value) and value <= MOST_CHANNELS


def _is(*kinds: type) -> Callable[[object], bool]:
    return lambda value: isinstance(value, kinds)


def _beside(value: object) -> bool:
    """Whether this names a folder beside the bundle's."""
    return _text(value) and Path(value).name == value != ".."


def _by_exit(value: object) -> bool:
    """Whether these are numbers by the exits' places: {"layer:head": number}."""
    named = isinstance(value, dict) and all(name.count(":") == 1 for name in value)
    return named and all(map(number, value.values()))


ANY, NEEDED = object(), object()  # every other entry of a record; those that it must have

FIGURES = dict.fromkeys(("accuracy", "ece", "ece_scaled"), _share)
FIGURES |= dict.fromkeys(("mae", "rmse", "macs"), _amount)
PLACE = {NEEDED: ("layer", "head"), "layer": _size, "head": _text}
RANGE = {NEEDED: ("range", "n", "mae", "low", "high"), "range": _text, "n": _count}
RANGE |= dict.fromkeys(("mae", "low", "high"), _amount)
EXITS = [PLACE | FIGURES | {"practical": _is(bool), "ranges": [RANGE]}]
PART = {"n": _count, "exits": EXITS, "final": FIGURES, "layers": [_size]}
SPLITS = {ANY: PART | {NEEDED: ("exits", "final")}}
STAGES = {"stages": [[number]], "rounds": _count, "pictures_seen": _count}
STAGES |= {"round_images": lambda value: value is None or _count(value)}
TRAINING = {
    **dict.fromkeys(("strategy", "init", "notes", "precision", "grown_from", "run"), _is(str)),
    "recipe": STAGES,
    "exit_recipe": STAGES,
    "exit_weights": [_by_exit],
    "data": {"train": _count},
}
TRAINING["before"] = TRAINING
SAID = {NEEDED: ("upto", "needs"), "upto": _count, "needs": lambda v: v is None or number(v)}
MAPS = {NEEDED: ("dim", "hidden", "layers"), "dim": _size, "hidden": _size, "layers": [_size]}
MAP_ROW = {"layer": _size, "mae": _amount, "quarter": _amount}
MAP_ROW |= {NEEDED: (*MAP_ROW,)}
WARNED = {
    NEEDED: ("name", "n", "warned"),
    "name": _text,
    "n": _count,
    "warned": _share,
    "auroc": _share,
}
SOURCE = {"task": _beside, "backbone": _beside, "files": {ANY: _text}, "seed": _count}
TOWARD = {"backbone": _beside, "files": {ANY: _text}, "share": _share}
CARD = {
    **PART,
    **TRAINING,
    "architecture": _text,
    "seed": _count,
    "splits": SPLITS,
    "elsewhere": SPLITS,
    "files": {ANY: {NEEDED: ("sha256",), "sha256": _text, "bytes": _count, "of": _beside}},
    "distilled": _is(bool),
    "test_part": {
        **dict.fromkeys(("words", "from", "sha256"), _is(str)),
        **{"share": _share, "seed": _count},
    },
    "delta": {
        NEEDED: (*SOURCE, "rank"),
        **SOURCE,
        "rank": _whole,
        "toward": TOWARD | {NEEDED: (*TOWARD,)},
    },
    "maps": MAPS | {"splits": {ANY: {NEEDED: ("layers",), "layers": [MAP_ROW]}}},
    "unusual": [{NEEDED: ("picture", "counts"), "picture": _text, "counts": _by_exit}],
    "coarse": {"exits": [PLACE | {NEEDED: (*PLACE[NEEDED], "said"), "said": [SAID]}]},
    "intervals": {"exits": [PLACE | {NEEDED: (*PLACE[NEEDED], "held"), "held": _share}]},
    "unlike": {"known": [WARNED], "others": [WARNED], "wrongly": _share, "chosen_on": _count},
}
IN_WORDS = ("recipe", "exit_recipe", "unlike", "data")  # that may be told otherwise


def card_fault(card: dict) -> str | None:
    """What is wrong with the entries of a card that are read, in words; None if nothing is."""
    if fault := _misfit(card, CARD, "card"):
        return fault.removeprefix("in card, ")
    layers, exits = card.get("layers", []), card.get("exits", [])
    places = Counter((row["layer"], row["head"]) for row in exits)
    if len(set(layers)) < len(layers):
        return "layers names a layer twice"
    if "layers" in card and (beyond := [b for b, _ in places if b not in layers]):
        return f"exits tells of layer {beyond[0]}, and layers does not"
    for figure in ("accuracy", "mae"):
        if 0 < sum(figure in row for row in exits) < len(exits):
            return f"exits tells the {figure} of some and not of all"
    if twice := [place for place, times in places.items() if times > 1]:
        return f"exits tells twice of {twice[0][1]} after layer {twice[0][0]}"
    return None


def _misfit(value: object, kind: object, name: str) -> str | None:
    """Where a value is not of a kind, in words; None if it is. kind: whether a value is legal; or
    of a list in brackets the kind of each entry; or those of a record's entries, by name."""
    if callable(kind):
        return None if kind(value) else f"{name} is {value!r}"[:80]
    if not isinstance(value, type(kind)):
        told = name in IN_WORDS and isinstance(value, str)
        return None if told else f"{name} is {value!r}"[:80]
    if isinstance(kind, list):
        inner = [(entry, kind[0], name) for entry in value]
        return next(filter(None, (_misfit(*one) for one in inner)), None)
    if lacking := [needed for needed in kind.get(NEEDED, ()) if needed not in value]:
        return f"{name} lacks '{lacking[0]}'"
    inner = [(value[key], kind.get(key) or kind.get(ANY), key) for key in value]
    faults = (_misfit(*one) for one in inner if one[1])
    fault = next(filter(None, faults), None)
    return fault and f"in {name}, {fault}"
