"""The card of a bundle: what it was made from and measures, and the sha256 of each file."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

from mvit.bundles.faults import card_fault, task_fault
from mvit.bundles.whole import write_json
from mvit.models.growth import outline
from mvit.models.multi_exit import FINAL, MultiExitViT
from mvit.tasks import TASKS, CrowdTask, Task


class WeightsError(ValueError):
    """Weights that are missing, altered or do not fit; the message names the file and the reason,
    and how to check."""


def refused(file: Path, reason: str) -> WeightsError:
    """The error of a file that is not used."""
    return WeightsError(
        f"{file.parent.name}/{file.name} refused: {reason} "
        "(run `python -m mvit verify` to check all weights)"
    )


def incomplete(file: Path, error: Exception) -> WeightsError:
    """The error of a card in which something is missing or of the wrong kind."""
    return refused(file, f"the card is incomplete or wrong ({type(error).__name__}: {error})")


def _each_once(entries: list[tuple[str, object]]) -> dict:
    """The record of JSON's entries. Raises ValueError if two have one name."""
    if twice := [name for name, times in Counter(name for name, _ in entries).items() if times > 1]:
        raise ValueError(f"it says {twice[0]!r} twice")
    return dict(entries)


def read_card(folder: Path) -> dict:
    """The card of a bundle; raises WeightsError."""
    return json.loads(_checked(*_stamped(folder)))


def task_in(folder: Path) -> Task:
    """The Task that the card of a bundle describes; raises WeightsError."""
    return _task(*_stamped(folder))


def _stamped(folder: Path) -> tuple[Path, tuple[int, ...]]:
    """A bundle's card, and what tells it from one that was there before."""
    file = folder / "card.json"
    try:
        now = file.stat()
    except OSError as error:
        raise refused(file, "the card is missing") from error
    return file, (now.st_ino, now.st_mtime_ns, now.st_size)


@lru_cache(maxsize=64)
def _task(file: Path, stamp: tuple[int, ...]) -> Task:
    return task_of(json.loads(_checked(file, stamp)))


@lru_cache(maxsize=64)
def _checked(file: Path, _stamp: tuple[int, ...]) -> str:
    """The card as JSON. A page asks for it ten times, and it is checked once."""
    try:
        card = json.loads(file.read_bytes(), object_pairs_hook=_each_once)
    except OSError as error:
        raise refused(file, "the card is missing") from error
    except (ValueError, RecursionError) as error:
        raise refused(file, f"the card is not JSON ({error})") from error
    if not isinstance(card, dict) or not {"task", "architecture", "files"} <= card.keys():
        raise refused(file, "the card lacks 'task', 'architecture' or 'files'")
    if fault := card_fault(card):
        raise refused(file, f"the card is wrong: {fault}")
    labels = card["task"].get("labels") if isinstance(card["task"], dict) else None
    for row in card.get("exits", []) if labels and isinstance(labels, list) else []:
        # older cards call practical what is no better than guessing
        if row.get("practical") and row.get("accuracy", 1) * len(labels) <= 1:
            row["practical"] = False
    return json.dumps(card)


def write_card(folder: Path, card: dict) -> None:
    """Write card.json whole or not at all."""
    write_json(folder / "card.json", card)


def task_of(card: dict) -> Task:
    """The Task that a card describes, of the registered task's class where its name is known.
    Raises WeightsError."""
    try:
        values = {k: tuple(v) if isinstance(v, list) else v for k, v in card["task"].items()}
        kinds = {kind.metric: kind for kind in (*map(type, TASKS.values()), Task, CrowdTask)}
        own = TASKS.get(values["name"])
        kind = type(own) if own and own.metric == values["metric"] else kinds[values["metric"]]
        task = kind(**values)
        fault = task_fault(task)
    except (KeyError, TypeError, AttributeError, ValueError, OverflowError) as error:
        raise WeightsError(f"a card describes no task ({type(error).__name__}: {error})") from error
    if fault:
        raise WeightsError(f"a card describes a task wrongly: {fault}")
    return task


def measured_on(card: dict, name: str) -> str:
    """What the figures of a card were measured on, in words; `name`: the task as people call it.

    Only the published test split of a built-in task is official.
    """
    words = card.get("test_part", {}).get("words")
    if words:
        return f"{name}: {words}"
    whose = "the official" if card["task"]["name"] in TASKS else "its own"
    return f"{whose} {name} test split"


def parts(files: Iterable[str]) -> dict[str, list[str]]:
    """The files of each part: {"backbone": [...], "heads/mlp": [...]}, one or, if the part is
    large, several."""
    found: dict[str, list[str]] = {}
    for name in files:
        found.setdefault(re.sub(r"(-\d{5}-of-\d{5})?\.safetensors$", "", name), []).append(name)
    return found


def head_names(files: Iterable[str]) -> list[str]:
    """The heads that a card's files hold, in the card's order."""
    return [part.removeprefix("heads/") for part in parts(files) if part.startswith("heads/")]


def lacking_head(card: dict) -> str | None:
    """A head that a card measured, or that its change was trained with, and of which it lists no
    file; None if every such head has its files."""
    own = head_names(card["files"])
    told = [exit_["head"] for exit_ in card.get("exits", [])]
    told += head_names(card["delta"]["files"]) if "delta" in card else []
    return next((head for head in told if head not in own), None)


def lost(where: Path, card: dict) -> str | None:
    """Which file of another bundle a card names as its own that is not there or is another one by
    now, in words; None if there is none. Reads cards only."""
    for name, about in card["files"].items():
        if other := about.get("of"):
            uses = f"it uses the {name} of {where.parent.name}/{other}"
            if not (where.parent / other / "card.json").exists():
                return f"{uses}, which is not installed"
            now = read_card(where.parent / other)["files"].get(name, {})
            if now.get("sha256") != about["sha256"]:
                return f"{uses}, where it has been replaced since"
    return None


def grown_card(where: Path, card: dict, backbone: str) -> dict:
    """A bundle's card for the wider network `backbone` grown from it: its MACs, and `grown_from`.

    Raises WeightsError, with the card's place, if it does not say enough.
    """
    try:
        sizes = outline(
            backbone,
            task_of(card),
            card["layers"],
            heads=head_names(card["files"]),
            distilled=card.get("distilled", False),
        )
        figures = at_size(card, sizes)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise incomplete(where / "card.json", error) from error
    return card | {"architecture": backbone, "grown_from": card["architecture"]} | figures


def at_size(measured: dict, sizes: MultiExitViT) -> dict:
    """What a card, or one of its splits, measured at the exits that a network of another size has,
    with that one's MACs: {"exits", "final"}, and {"splits"} if it has any."""
    exits = [
        e | {"macs": sizes.exit_macs(e["layer"], e["head"])}
        for e in measured.get("exits", [])
        if e["head"] in sizes.heads
    ]
    final = measured.get("final", {}) | {"macs": sizes.exit_macs(sizes.depth, FINAL)}
    splits = {name: s | at_size(s, sizes) for name, s in measured.get("splits", {}).items()}
    return {"exits": exits, "final": final} | ({"splits": splits} if splits else {})
