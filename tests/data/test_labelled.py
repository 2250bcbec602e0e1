"""Data sets: what is read, how it is split and augmented, and what is said about folders that
cannot be used."""

import pickle

import numpy as np
import pytest
import torch
from toys import colours, write_folder

from mvit.data.labelled import (
    DataError,
    Pictures,
    augment,
    data_root,
    hold_out,
    load_split,
    read_folder,
)
from mvit.tasks import TASKS, Task

TASK = Task("own", ("a", "b", "c"), native_px=8, input_px=32)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def numbered(counts: dict[int, int]) -> Pictures:
    """Pictures whose first pixel is their own number, so that each can be recognised."""
    y = torch.tensor([label for label, n in counts.items() for _ in range(n)])
    x = torch.zeros(len(y), 3, 4, 4, dtype=torch.uint8)
    x[:, 0, 0, 0] = torch.arange(len(y), dtype=torch.uint8)
    return Pictures(x, y, ("a", "b", "c"))


def ids(pictures: Pictures) -> list[int]:
    return pictures.x[:, 0, 0, 0].tolist()


def test_a_hold_out_takes_the_same_share_of_every_class_and_loses_nothing():
    all_of_them = numbered({0: 100, 1: 40, 2: 10})
    train, val = hold_out(all_of_them, 0.1, seed=0)
    assert torch.bincount(val.y).tolist() == [10, 4, 1] and torch.bincount(train.y).tolist() == [
        90,
        36,
        9,
    ]
    assert sorted(ids(train) + ids(val)) == list(range(150))
    for part in (train, val):
        assert all(
            all_of_them.y[i] == y for i, y in zip(ids(part), part.y, strict=True)
        ) and part.labels == ("a", "b", "c")


def test_a_hold_out_depends_on_its_seed_alone():
    pictures = numbered({0: 50, 1: 50})
    torch.manual_seed(1)
    first = ids(hold_out(pictures, 0.2, seed=3)[1])
    torch.manual_seed(2)
    assert (
        ids(hold_out(pictures, 0.2, seed=3)[1]) == first != ids(hold_out(pictures, 0.2, seed=4)[1])
    )


def test_even_a_small_class_is_validated():
    train, val = hold_out(numbered({0: 50, 1: 2}), 0.1, seed=0)
    assert torch.bincount(val.y).tolist() == [5, 1] and torch.bincount(train.y).tolist() == [45, 1]


@pytest.mark.parametrize("n, held", [(1, 0), (2, 1), (3, 1)])
@pytest.mark.parametrize("fraction", [0.1, 0.9])
def test_a_class_never_loses_its_last_training_picture(n, held, fraction):
    train, val = hold_out(numbered({0: 20, 1: n}), fraction, seed=0)
    assert (val.y == 1).sum() == (held if fraction < 0.5 else n - 1) and (train.y == 1).sum() >= 1


def test_augmented_pictures_have_the_asked_size_and_stay_in_range():
    pictures = torch.randint(0, 256, (16, 3, 32, 32), dtype=torch.uint8, generator=seeded())
    before = pictures.clone()
    for size in (32, 96):
        pixels = augment(pictures, size, seeded())
        assert pixels.shape == (16, 3, size, size) and pixels.dtype == torch.float32
        assert pixels.min() >= 0 and pixels.max() <= 1 and pixels.isfinite().all()
    assert torch.equal(pictures, before)


def test_augmentation_is_repeated_by_its_seed_and_changed_by_another():
    pictures = colours(4).x
    assert torch.equal(augment(pictures, 16, seeded(5)), augment(pictures, 16, seeded(5)))
    assert not torch.equal(augment(pictures, 16, seeded(5)), augment(pictures, 16, seeded(6)))


def test_each_picture_is_changed_by_itself_and_stays_what_it_is():
    plain = torch.zeros(64, 3, 16, 16, dtype=torch.uint8)
    plain[:, 0, :, 8:] = 255  # red on the right
    pixels = augment(plain, 16, seeded())
    assert len({tuple(p.flatten().tolist()) for p in pixels}) > 60
    assert ((pixels[:, 0].mean((1, 2)) - pixels[:, 1].mean((1, 2))) > 0.1).all()  # still red
    redder_right = (
        (pixels[:, 0, :, 8:].mean((1, 2)) > pixels[:, 0, :, :8].mean((1, 2))).float().mean()
    )
    assert 0.25 < redder_right < 0.75  # about half are mirrored


def test_an_image_folder_is_read_with_labels_in_alphabetical_order(tmp_path):
    expected = colours(4)
    found = read_folder(TASK, write_folder(tmp_path, expected))
    assert found.labels == ("a", "b", "c") and len(found) == 12 and found.unreadable == ()
    order = expected.y.argsort(stable=True)
    assert torch.equal(found.x, expected.x[order]) and torch.equal(found.y, expected.y[order])


def test_folders_and_files_that_archives_leave_behind_are_no_classes(tmp_path):
    folder = write_folder(tmp_path, colours(2))
    for stray in (".ipynb_checkpoints", "__MACOSX", ".hidden"):
        (folder / stray).mkdir()
        (folder / stray / "1.png").write_bytes(b"no picture")
    (folder / "a" / "._000.png").write_bytes(b"a resource fork")
    found = read_folder(TASK, folder)
    assert found.labels == ("a", "b", "c") and len(found) == 6
    # said, in case that somebody's own class is called so
    told = [line for line in found.unreadable if "begins with a dot" in line]
    assert len(told) == len(found.unreadable) == 2


def test_unreadable_pictures_are_skipped_and_listed(tmp_path):
    folder = write_folder(tmp_path, colours(2))
    (folder / "b" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n broken")
    (folder / "c" / "empty.JPG").write_bytes(b"")
    (folder / "c" / "folder.png").mkdir()
    (folder / "c" / "notes.txt").write_text("no picture, not listed")
    found = read_folder(TASK, folder)
    assert len(found) == 6 and torch.bincount(found.y).tolist() == [2, 2, 2]
    assert [
        next(n for n in ("broken.png", "empty.JPG", "folder.png") if n in line)
        for line in found.unreadable
    ] == ["broken.png", "empty.JPG", "folder.png"]
    assert all(": " in line for line in found.unreadable)  # the reason


@pytest.mark.parametrize(
    "classes, words",
    [
        ([], "0 class folders"),
        (["a"], "1 class folders; a classifier needs at least two"),
        (["a", "b", "c"], "holds no pictures"),
        (["a", "b", "x"], "not those of own"),
    ],
)
def test_a_folder_without_classes_or_pictures_is_refused(tmp_path, classes, words):
    for name in classes:
        (tmp_path / name).mkdir()
    with pytest.raises(DataError, match=words):
        read_folder(TASK, tmp_path)


def test_a_folder_whose_pictures_are_all_unreadable_is_refused(tmp_path):
    for name in "abc":
        (tmp_path / name).mkdir()
        (tmp_path / name / "1.png").write_bytes(b"broken")
    with pytest.raises(DataError, match="none of the 3 pictures"):
        read_folder(TASK, tmp_path)


@pytest.mark.parametrize("inside", ["", "own"])
def test_a_split_is_found_in_the_sets_folder_or_in_the_one_that_holds_it(tmp_path, inside):
    write_folder(tmp_path / inside / "train", colours(3))
    write_folder(tmp_path / inside / "test", colours(1))
    assert (
        len(load_split(TASK, tmp_path, "train")) == 9
        and len(load_split(TASK, tmp_path, "test")) == 3
    )


def test_a_missing_split_is_named_with_what_is_expected(tmp_path):
    write_folder(tmp_path / "train", colours(1))
    with pytest.raises(DataError, match="no test split of own under .*expected own/test/<class>"):
        load_split(TASK, tmp_path, "test")


def torchvision_cifar10(root, damaged: bool = False) -> dict[str, list[int]]:
    """torchvision's own layout of CIFAR-10, two pictures a file; returns the labels of each
    split."""
    folder = root / "cifar-10-batches-py"
    folder.mkdir(parents=True)
    rows = np.zeros((2, 3072), np.uint8)
    rows[:, :1024] = 200  # the first third is red
    for i, name in enumerate([*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]):
        (folder / name).write_bytes(
            b"damaged" if damaged else pickle.dumps({"data": rows, "labels": [i, 9 - i]})
        )
    (folder / "batches.meta").write_bytes(
        pickle.dumps({"label_names": list(TASKS["cifar10"].labels)})
    )
    return {"train": [x for i in range(5) for x in (i, 9 - i)], "test": [5, 4]}


def test_torchvisions_own_download_is_read(tmp_path, monkeypatch):
    from torchvision import datasets

    expected = torchvision_cifar10(tmp_path / "cifar10")
    # the checksums are those of the real files
    monkeypatch.setattr(datasets.CIFAR10, "_check_integrity", lambda self: True)
    monkeypatch.setattr(datasets.cifar, "check_integrity", lambda *_: True)
    for split, labels in expected.items():
        found = load_split(TASKS["cifar10"], tmp_path, split)
        assert (
            found.y.tolist() == labels
            and found.x.shape == (len(labels), 3, 32, 32)
            and found.labels[3] == "cat"
        )
        assert (found.x[:, 0] == 200).all() and (found.x[:, 1:] == 0).all()


def test_a_damaged_download_of_torchvision_is_refused(tmp_path):
    torchvision_cifar10(tmp_path, damaged=True)
    with pytest.raises(DataError, match="torchvision's download of cifar10 .* is damaged"):
        load_split(TASKS["cifar10"], tmp_path, "train")


def test_torchvisions_download_is_not_another_tasks_data(tmp_path):
    torchvision_cifar10(tmp_path)
    for task in (TASK, TASKS["cifar100"]):
        with pytest.raises(DataError, match=task.name):
            load_split(task, tmp_path, "train")


def test_the_data_folder_comes_from_the_option_then_the_environment(tmp_path, monkeypatch):
    monkeypatch.delenv("MVIT_DATA", raising=False)
    with pytest.raises(DataError, match="pass --data DIR or set MVIT_DATA"):
        data_root(None)
    monkeypatch.setenv("MVIT_DATA", str(tmp_path))
    assert data_root(None) == tmp_path
    (tmp_path / "given").mkdir()
    assert data_root(str(tmp_path / "given")) == tmp_path / "given"
    with pytest.raises(DataError, match="no such data folder: .*nowhere"):
        data_root(str(tmp_path / "nowhere"))
