"""A run on one picture that is kept in its bundle: what the app shows while it still starts.

Nothing here needs PyTorch, since importing that is what takes the app so long. Whoever reads the
record gets it only while the weights that made it are there, byte for byte.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from datetime import date
from pathlib import Path

from mvit.bundles.places import located
from mvit.bundles.whole import write_json
from mvit.models.exit import FINAL, Exit

FILE = "first_view.json"
ODD = (ValueError, OverflowError, RecursionError)  # of text that is hardly JSON, or huge numbers


@dataclass(frozen=True, kw_only=True)
class FirstView:
    """An uninterrupted run of one head's exits and the final one, beside the plain network.

    made: the day, ISO. device: the processor's own name. picture_sha256: of the picture's file;
    picture, seen: it and what the model saw of it, as `mvit.images.draw.data_url` writes them.
    macs: run until each exit has answered, earlier heads included. plain_ms: of the same backbone
    without exits. weights: {file of the bundle that had a part in it: sha256}.
    """

    made: str
    device: str
    dtype: str
    head: str
    picture_sha256: str
    picture: str
    seen: str
    exits: list[Exit]
    macs: list[int]
    plain_ms: float
    weights: dict[str, str]


def sha256(file: Path) -> str:
    """The sha256 of a file's bytes."""
    return hashlib.sha256(file.read_bytes()).hexdigest()


def fingerprint(folder: Path, names: Iterable[str]) -> dict[str, str]:
    """{name: sha256} of those files of a bundle, as they are now."""
    listed = json.loads((folder / "card.json").read_text())["files"]
    return {name: sha256(located(folder, name, listed.get(name, {}))) for name in names}


def write(folder: Path, view: FirstView) -> Path:
    """Keep a run in its bundle's folder, in place of the one before; return the file."""
    write_json(folder / FILE, asdict(view))
    return folder / FILE


def read(folder: Path) -> FirstView | None:
    """Return the run that is kept in a bundle's folder; None if there is none, it cannot be true,
    or the weights are no longer those that made it."""
    try:
        view = checked(folder)
        return view if view and fingerprint(folder, view.weights) == view.weights else None
    except (AttributeError, LookupError, OSError, ValueError):
        return None


def checked(folder: Path) -> FirstView | None:
    """The run that is kept in a bundle's folder, of whichever weights; None if there is none.
    Raises ValueError, with a way out, for one that cannot be read or cannot be true."""
    if not (folder / FILE).exists():
        return None
    names = {f.name for f in fields(Exit) if f.init}
    try:
        kept = json.loads((folder / FILE).read_text())
        exits = [Exit(**{k: e[k] for k in names}) for e in kept["exits"]]
        view = FirstView(**kept | {"exits": exits})
        fault = _fault(view, json.loads((folder / "card.json").read_text())["layers"])
    except (*ODD, AttributeError, LookupError, OSError, TypeError) as error:
        fault = f"it cannot be read ({type(error).__name__})"
    if fault:
        raise ValueError(
            f"{folder.name}/{FILE} is not shown: {fault}; make it anew with "
            "`python -m mvit trace PICTURE --record`, or delete it"
        )
    return view


def _fault(view: FirstView, layers: list[int]) -> str | None:
    """What cannot be true of a run, in words; layers: those behind which the bundle has exits."""
    if not _is_day(view.made):
        return "'made' is not a day such as 2026-01-31"
    *early, last = [e.layer for e in view.exits]
    if early != sorted(set(early)) or not {*early} <= {*layers} or last < max([*early, *layers]):
        return "its layers are not those of the bundle, each once and in order"
    return None if _whole(view) else "something in it is missing or cannot be true"


def _is_day(text: object) -> bool:
    """Whether this is a day as `date.isoformat` writes it."""
    try:
        return date.fromisoformat(text).isoformat() == text
    except (TypeError, ValueError):
        return False


def _whole(view: FirstView) -> bool:
    """Whether everything that is drawn is there, of its kind, and can be true."""
    exits, words = view.exits, [view.device, view.dtype, view.head]
    elapsed, layers = [e.elapsed_ms for e in exits], [e.layer for e in exits]
    return (
        _texts([*words, view.picture, view.seen, *(e.head for e in exits)])
        and all(url.startswith("data:image/") for url in (view.picture, view.seen))
        and isinstance(view.weights, dict)
        and any(name.startswith("backbone") for name in view.weights)
        and isinstance(view.macs, list)
        and len(view.macs) == len(exits) > 1
        and [e.head for e in exits] == [*[view.head] * (len(exits) - 1), FINAL]
        and all(isinstance(e.labels, list) and _texts(e.labels) for e in exits)
        and all(len(e.scores) == len(exits[0].labels) == len(e.labels) > 1 for e in exits)
        and all(isinstance(layer, int) for layer in layers)
        and all(map(_grows, ([view.plain_ms], view.macs, elapsed, layers)))
        and all(_shares(e.scores) for e in exits)
    )


def _texts(values: list) -> bool:
    return all(isinstance(text, str) and text for text in values)


def _numbers(values: list) -> bool:
    kinds = {type(n) for n in values}
    return isinstance(values, list) and kinds <= {int, float} and all(map(math.isfinite, values))


def _grows(values: list) -> bool:
    """Whether these are numbers above zero, none smaller than the one before."""
    return _numbers(values) and values == sorted(values) and values[0] > 0


def _shares(values: list) -> bool:
    """Whether these are probabilities that add up to one, but for a small float's rounding."""
    return _numbers(values) and min(values) >= 0 and abs(sum(values) - 1) < 0.05
