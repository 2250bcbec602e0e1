"""The test part of a folder of crowd pictures: its test split, or a share that training kept, and
the same one again later."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from mvit.data.crowds import Crowds, hold_out_crowds, load_crowds, splits_in
from mvit.data.folders import DataError, shown
from mvit.tasks import CrowdTask

OWN_TEST_SHARE = 0.2


def sample(crowds: Crowds, limit: int | None, seed: int) -> Crowds:
    """A seeded random `limit` of the pictures, or all of them."""
    if limit is None or limit >= len(crowds):
        return crowds
    return crowds.subset(sorted(np.random.default_rng(seed).permutation(len(crowds))[:limit]))


def held_out(task: CrowdTask, data: Path, seed: int) -> tuple[dict, dict]:
    """(what training may see, what it keeps for testing) by set, of a folder without a test split;
    the kept part's `origin` is what `measured_sets` needs to find it again. Raises DataError."""
    sets = load_crowds(task, data, "train")
    cut = {name: hold_out_crowds(crowds, OWN_TEST_SHARE, seed) for name, crowds in sets.items()}
    rest, kept = ({name: pair[i] for name, pair in cut.items()} for i in (0, 1))
    whole = sum(kept.values(), Crowds([], [], []))
    origin = {"from": "held out", "seed": seed, "sha256": whole.fingerprint}
    return rest, {name: replace(crowds, origin=origin) for name, crowds in kept.items()}


def measured_sets(task: CrowdTask, data: Path, origin: dict) -> dict[str, Crowds]:
    """The pictures to measure a counter on: the folder's test split, or else the very ones that its
    training kept from the same folder, which `origin` of its card tells.

    Raises DataError where there are none, or where the folder has changed since.
    """
    if "test" in splits_in(data) or origin.get("from") != "held out":
        return load_crowds(task, data, "test")
    _, test = held_out(task, data, origin["seed"])
    if next(iter(test.values())).origin != origin:
        raise DataError(
            f"the pictures in {shown(data)} are not those that the counter was trained on, so its "
            "test pictures cannot be told from the others; put pictures that it has not seen "
            f"into {shown(data)}/test"
        )
    return test
