"""The three parts of a labelled data set: what is learned from, what is chosen on, what is measured
on; and the same test part again, later."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import torch

from mvit.data.folders import DataError, class_folders, layout, loose_files, shown
from mvit.data.labelled import Pictures, find_split, hold_out, load_split, read_folder
from mvit.data.photos import find_list, read_listed
from mvit.tasks import TASKS, Task

VALIDATION_SHARE, OWN_TEST_SHARE = 0.1, 0.2
CHOSEN_ON = 3  # of listed test pictures one in so many is kept for choosing, and not measured on
CUT = "one in so many chosen on"  # where a card's test part says that it was cut so
# test pictures a class, classes
OFFICIAL_TEST = {"cifar10": (1000, 10), "cifar100": (100, 100), "imagenet1k": (50, 1000)}


def own_labels(folder: Path) -> tuple[str, ...]:
    """The classes of an image folder of one's own, with splits or without. Raises DataError."""
    found = layout(folder)
    return tuple(class_folders(found.splits.get("train", found.folder)))


def three_parts(
    task: Task, root: Path, seed: int, limit: int | None = None, test_limit: int | None = None
) -> tuple[Pictures, Pictures, Pictures]:
    """(train, validation, test) of a data folder. Validation is `val/` if there is a test split
    too, else cut from train; a folder of classes alone keeps a fifth of itself for testing.

    limit, test_limit: a seeded sample of that many pictures only. Raises DataError.
    """
    val = None
    if task.name in TASKS or layout(root).splits:
        train, test = (load_split(task, root, split) for split in ("train", "test"))
        if find_split(task, root, "test") and find_split(task, root, "val"):
            val = load_split(task, root, "val")
    else:
        train, test = held_out(task, root, OWN_TEST_SHARE, seed=seed)
    train = sample(train, limit, seed)
    if val is None:
        train, val = hold_out(train, VALIDATION_SHARE, seed)
    if not len(val) or not len(test):
        missing = "testing" if len(val) else "validation"
        raise DataError(
            f"there are too few pictures in {shown(root)}: none is left for {missing}; give each "
            "class at least three"
        )
    if limit is None:
        _demand_every_class(train, root)
    untested = [name for i, name in enumerate(test.labels) if not (test.y == i).any()]
    told = tuple(
        f"{shown(root)}: no picture of '{name}' is left for testing"
        for name in untested
        if not any(line.endswith(f"the class '{name}'") for line in test.unreadable)
    )
    test = dataclasses.replace(test, unreadable=test.unreadable + told)
    return train, val, sample(test, test_limit, seed)


def listed_parts(pictures: Pictures) -> tuple[Pictures, Pictures]:
    """(validation, test) of pictures that have no training split beside them."""
    chosen = torch.arange(len(pictures)) % CHOSEN_ON == 0
    return pictures.subset(chosen), pictures.subset(~chosen)


def validation_part(task: Task, root: Path, seed: int, origin: dict | None = None) -> Pictures:
    """The validation pictures that a training with this seed chose on. origin: what the card
    remembers of the test part. Raises DataError."""
    if (origin or {}).get(CUT):
        return listed_parts(measured_part(task, root, origin))[0]
    if listed := _listed(task, root):
        return listed_parts(listed)[0]
    return three_parts(task, root, seed)[1]


def unseen_part(task: Task, root: Path, origin: dict) -> Pictures:
    """The test pictures of which none was chosen on; see `measured_part`. Raises DataError."""
    if origin.get(CUT):
        rest = listed_parts(measured_part(task, root, origin))[1]
        return dataclasses.replace(rest, origin=rest.origin | {CUT: origin[CUT]})
    if listed := _listed(task, root):
        return listed_parts(listed)[1]
    return measured_part(task, root, origin)


def _listed(task: Task, root: Path) -> Pictures | None:
    """Test pictures whose classes stand in a list file, if the folder has such."""
    found = find_list(task, root)
    return read_listed(task, *found) if found and loose_files(found[0]) else None


def held_out(task: Task, root: Path, share: float, seed: int) -> tuple[Pictures, Pictures]:
    """(what training may see, what it keeps for testing) of a folder of classes; the test part's
    `origin` is what `measured_part` needs to find the same one again. Raises DataError."""
    rest, test = hold_out(read_folder(task, layout(root).folder), share, seed)
    origin = {"from": "held out", "share": share, "seed": seed, "sha256": test.fingerprint}
    return rest, dataclasses.replace(test, origin=origin)


def measured_part(task: Task, root: Path, origin: dict) -> Pictures:
    """The pictures to measure a trained model on: the folder's test split, or else the very ones
    that its training kept from the same folder.

    origin: what the card remembers of the test part. Raises DataError where the folder's pictures
    have changed since, because seen and unseen ones can then not be told apart.
    """
    if listed := _listed(task, root):
        return listed
    if task.name in TASKS or layout(root).splits or find_split(task, root, "test"):
        return load_split(task, root, "test")
    below = shown(root)
    way_out = f"lay its classes below {below}/train/ and unseen pictures below {below}/test/"
    if not {"share", "seed", "sha256"} <= origin.keys():
        raise DataError(
            f"{shown(root)} has no test split, and {task.name} was not trained on a part of such "
            f"a folder; {way_out}"
        )
    _, test = held_out(task, root, origin["share"], seed=origin["seed"])
    if test.origin["sha256"] != origin["sha256"]:
        raise DataError(
            f"the pictures in {shown(root)} are not those that {task.name} was trained on, so its "
            f"test pictures cannot be told from the others; {way_out}"
        )
    return test


def describe(task: Task, test: Pictures) -> str:
    """Name a whole test part in words; official is only the set as it was published."""
    each, classes = OFFICIAL_TEST.get(task.name, (0, 0))
    if each and torch.bincount(test.y, minlength=classes).tolist() == [each] * classes:
        return "the official test split"
    if test.origin.get(CUT):
        whole = dataclasses.replace(test, origin={k: v for k, v in test.origin.items() if k != CUT})
        return f"two thirds of {describe(task, whole)}; thresholds were chosen on the others"
    if test.origin.get("from") == "held out":
        return f"the {test.origin['share']:.0%} that training kept (seed {test.origin['seed']})"
    return f"the folder {test.origin.get('from', 'test/')}"


def sample(pictures: Pictures, limit: int | None, seed: int = 0) -> Pictures:
    """A seeded random `limit` of the pictures, or all of them."""
    if limit is None or limit >= len(pictures):
        return pictures
    return pictures.subset(sampled(len(pictures), limit, seed))


def sampled(n: int, limit: int, seed: int = 0) -> torch.Tensor:
    """Which of n pictures a seeded sample of `limit` takes: (limit,) indices, rising."""
    order = torch.randperm(n, generator=torch.Generator().manual_seed(seed))
    return order[:limit].sort().values


def _demand_every_class(train: Pictures, root: Path) -> None:
    for number, label in enumerate(train.labels):
        if not (train.y == number).any():
            lost = [line for line in train.unreadable if f"/{label}/" in line]
            why = f" ({len(lost)} left out: {lost[0]})" if lost else ""
            raise DataError(
                f"there are no pictures of '{label}' to learn from in {shown(root)}{why}"
            )
