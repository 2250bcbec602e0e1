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
from pathlib import Path

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
    return {name: sha256(folder / name) for name in names}


def write(folder: Path, view: FirstView) -> Path:
    """Keep a run in its bundle's folder, in place of the one before; return the file."""
    write_json(folder / FILE, asdict(view))
    return folder / FILE


def read(folder: Path) -> FirstView | None:
    """Return the run that is kept in a bundle's folder; None if there is none, it cannot be read,
    or the weights are no longer those that made it."""
    names = {f.name for f in fields(Exit) if f.init}
    try:
        kept = json.loads((folder / FILE).read_text())
        exits = [Exit(**{k: e[k] for k in names}) for e in kept["exits"]]
        view = FirstView(**kept | {"exits": exits})
        same = _whole(view) and fingerprint(folder, view.weights) == view.weights
        return view if same else None
    except (*ODD, AttributeError, LookupError, OSError, TypeError):
        return None


def _whole(view: FirstView) -> bool:
    """Whether everything that is drawn is there, of its kind, and can be true."""
    exits, words = view.exits, [view.made, view.device, view.dtype, view.head]
    elapsed, layers = [e.elapsed_ms for e in exits], [e.layer for e in exits]
    return (
        _texts([*words, view.picture, view.seen, *(e.head for e in exits)])
        and all(url.startswith("data:image/") for url in (view.picture, view.seen))
        and isinstance(view.weights, dict)
        and any(name.startswith("backbone") for name in view.weights)
        and isinstance(view.macs, list)
        and len(view.macs) == len(exits) > 0
        and exits[-1].head == FINAL
        and [e.head for e in exits].count(FINAL) == 1
        and view.head in [e.head for e in exits]
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
