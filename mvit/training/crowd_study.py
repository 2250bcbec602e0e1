"""What a study of a counter learns from and is measured on; and a counter measured again."""

from __future__ import annotations

import sys
from dataclasses import replace
from functools import reduce
from operator import add
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from accelerate import Accelerator
from tqdm import tqdm

from mvit.data.crowd_splits import held_out, measured_sets, sample
from mvit.data.crowds import Crowds, empty_pictures, hold_out_crowds, load_crowds, splits_in
from mvit.data.folders import DataError
from mvit.evaluation.counts import count, summary
from mvit.models.multi_exit import MultiExitViT
from mvit.scenes.drawing import render

if TYPE_CHECKING:
    from mvit.training.study import Study

VALIDATION_SHARE = 0.1
SCENE_PEOPLE = 600  # at most, in a rendered training scene


def rendered(number: int, seed: int) -> Crowds:
    """Rendered scenes with 0 to SCENE_PEOPLE people, small crowds as often as large ones."""
    made = [
        render(round(SCENE_PEOPLE * (i / max(1, number - 1)) ** 2), seed + i) for i in range(number)
    ]
    return Crowds(
        [s.picture for s in made],
        [s.points for s in made],
        [f"rendered/{seed + i}" for i in range(number)],
    )


def parts(study: Study) -> tuple[Crowds, Crowds, Crowds]:
    """(train, validation, test): validation is cut from each set's train split; rendered and empty
    pictures only join train.

    A folder without a test split gives a fifth of itself. What is left out is said. Raises
    DataError.
    """
    seed = study.recipe.seed
    if "test" in splits_in(study.data):
        train, test = (load_crowds(study.task, study.data, part) for part in ("train", "test"))
    else:
        train, test = held_out(study.task, study.data, seed + 1)
    pairs = [
        hold_out_crowds(sample(crowds, study.limit, seed), VALIDATION_SHARE, seed)
        for crowds in train.values()
    ]
    learned, val = (reduce(add, part) for part in zip(*pairs, strict=True))
    repeat = dict(study.recipe.repeat)
    if unknown := [name for name in repeat if name not in train]:
        raise DataError(f"there is no set '{unknown[0]}' to repeat; there are: {', '.join(train)}")
    if study.scenes:
        learned = learned + rendered(study.scenes, 10_000)
    if study.empties:
        learned = learned + empty_pictures(study.empties, seed)
    tested = reduce(add, [sample(crowds, study.test_limit, seed) for crowds in test.values()])
    for line in left_out(learned, tested):
        tqdm.write(f"left out: {line}", file=sys.stderr)
    return replace(learned, zoom=study.recipe.zoom, repeat=repeat), val, tested


def left_out(*sets: Crowds) -> list[str]:
    """What was not read of some sets, as "file: reason" lines, each once."""
    return list(dict.fromkeys(line for crowds in sets for line in crowds.left_out))


def told(study: Study, train: Crowds, val: Crowds, test: Crowds) -> dict:
    """What the card tells about the parts."""
    data = {
        "train": len(train) - study.scenes - study.empties,
        "rendered": study.scenes,
        "empty": study.empties,
        "validation": len(val),
        "test": len(test),
        "unreadable": left_out(train, test),
    }
    understood = list(dict.fromkeys(train.understood + test.understood))
    return {"data": data, "understood": understood, "test_part": test.origin}


def blank_pictures() -> dict[str, np.ndarray]:
    """Pictures that hold nobody and nothing, in which counters are known to find people."""
    rng = np.random.default_rng(0)
    shape = (768, 1152, 3)
    flat = {"blank white": 255, "blank grey": 128, "blank black": 0}
    pictures = {name: np.full(shape, value, np.uint8) for name, value in flat.items()}
    return pictures | {"noise": rng.integers(0, 256, shape, dtype=np.uint8)}


def odd_pictures() -> dict[str, np.ndarray]:
    """Blank pictures, and rendered scenes whose count is known."""
    return blank_pictures() | {
        f"rendered, {n} people": render(n, 1).picture for n in (0, 1, 20, 100, 400)
    }


def evaluate(
    model: MultiExitViT,
    data: Path,
    card: dict | None = None,
    *,
    limit: int | None = None,
    seed: int = 0,
) -> dict:
    """Measure every exit on each test split: {"task", "splits": {name: {"n", "final", "exits"}},
    "understood": what was read and how, "left_out": "file: reason" lines}.

    card: of the model's bundle; it remembers which pictures of a folder training kept for testing.
    limit: a sample of that many of each set, by the seed. Raises DataError.
    """
    sets = measured_sets(model.task, data, (card or {}).get("test_part", {}))
    accelerator = Accelerator(cpu=model.device.type == "cpu")
    return {
        "task": model.task.name,
        "splits": {
            name: measured_split(model, sample(crowds, limit, seed), accelerator)
            for name, crowds in sets.items()
        },
        "understood": [line for crowds in sets.values() for line in crowds.understood],
        "left_out": [line for crowds in sets.values() for line in crowds.left_out],
    }


def measured_split(model: MultiExitViT, crowds: Crowds, accelerator: Accelerator) -> dict:
    """One split's figures, as in the card."""
    return summary(model, count(model, crowds, accelerator))["splits"][
        crowds.names[0].split("/")[0]
    ]
