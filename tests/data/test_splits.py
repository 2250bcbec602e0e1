"""The test part of one's own data: kept by training, found again, never another one, and never
called official."""

import dataclasses

import pytest
import torch
from toys import colours, write_folder

from mvit.data import splits
from mvit.data.folders import DataError
from mvit.data.labelled import Pictures
from mvit.data.splits import CUT, describe, measured_part, three_parts, unseen_part, validation_part
from mvit.tasks import TASKS, Task

TASK = Task("mine", ("a", "b", "c"), native_px=8, input_px=32)


@pytest.fixture
def folder(tmp_path):
    """A folder of three classes with ten pictures each."""
    return write_folder(tmp_path / "flowers", colours(10))


@pytest.mark.parametrize("seed", [0, 3])
def test_the_pictures_that_training_kept_are_found_again(folder, tmp_path, seed):
    train, val, test = three_parts(TASK, folder, seed)
    moved = folder.rename(tmp_path / "elsewhere")
    again = measured_part(TASK, moved, test.origin)
    assert torch.equal(again.x, test.x) and torch.equal(again.y, test.y) and len(test) == 6
    assert not set(again.ids.tolist()) & set((*train.ids.tolist(), *val.ids.tolist()))
    assert describe(TASK, again) == f"the 20% that training kept (seed {seed})"


def test_a_limit_on_testing_leaves_the_kept_part_whole(folder):
    limited = three_parts(TASK, folder, 0, limit=12, test_limit=2)[2]
    assert len(limited) == 2 and len(measured_part(TASK, folder, limited.origin)) == 6


@pytest.mark.parametrize("change", ["another picture", "one fewer", "renamed", "labels swapped"])
def test_a_folder_that_has_changed_is_refused(folder, change):
    origin = three_parts(TASK, folder, 0)[2].origin
    first = sorted((folder / "a").iterdir())
    if change == "another picture":
        write_folder(folder, dataclasses.replace(colours(1, seed=9), labels=("a", "b", "c")))
    elif change == "one fewer":
        first[3].unlink()
    elif change == "renamed":
        for old, new in zip(first, reversed(range(10)), strict=True):
            old.rename(folder / "a" / f"new{new}.png")
    else:
        (folder / "a").rename(folder / "x")
        (folder / "b").rename(folder / "a")
        (folder / "x").rename(folder / "b")
    with pytest.raises(DataError, match="cannot be told from the others; lay .*/train/ .*/test/"):
        measured_part(TASK, folder, origin)


def test_a_folder_without_a_test_split_needs_a_card_that_remembers_one(folder):
    with pytest.raises(DataError, match="has no test split, and mine was not trained on a part"):
        measured_part(TASK, folder, {})
    own = write_folder(folder / "new" / "test", colours(2)).parent
    assert len(measured_part(TASK, own, {})) == 6


def test_only_the_published_set_is_called_official():
    y = torch.arange(10).repeat(1000)
    whole = Pictures(torch.zeros(len(y), 3, 1, 1, dtype=torch.uint8), y, TASKS["cifar10"].labels)
    assert describe(TASKS["cifar10"], whole) == "the official test split"
    assert describe(TASKS["cifar10"], whole.subset(torch.arange(9000))) == "the folder test/"
    assert describe(TASK, whole) == "the folder test/"
    assert splits.OFFICIAL_TEST.keys() == {n for n in TASKS if TASKS[n].metric == "accuracy"}


@pytest.mark.parametrize("parted", [False, True])
def test_a_card_says_that_a_third_of_the_test_part_was_chosen_on(folder, tmp_path, parted):
    origin = {} if parted else three_parts(TASK, folder, 0)[2].origin
    if parted:
        folder = tmp_path / "parted"
        for split in ("train", "test"):
            write_folder(folder / split, colours(2))
    origin = origin | {CUT: 3}
    whole = measured_part(TASK, folder, origin)
    chosen, rest = validation_part(TASK, folder, 0, origin), unseen_part(TASK, folder, origin)
    assert (len(whole), len(chosen), len(rest)) == (6, 2, 4)
    assert torch.equal(chosen.x, whole.x[::3])
    name = "the folder test/" if parted else "the 20% that training kept (seed 0)"
    assert describe(TASK, rest).startswith(f"two thirds of {name}; ")
