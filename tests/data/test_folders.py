"""Image folders as people have them: the classes that a person would see, nothing left out without
a word, or one clear sentence."""

import os

import pytest
from picture_builders import plain
from PIL import Image
from toys import colours, write_folder

from mvit.data.folders import DataError, shown, sub_folders
from mvit.data.splits import own_labels, three_parts
from mvit.tasks import Task


@pytest.fixture
def folder(tmp_path):
    """A folder of three classes, a, b and c, with five pictures each."""
    return write_folder(tmp_path / "flowers", colours(5))


def put(*files):
    """Write a picture to each path."""
    for number, file in enumerate(files):
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8), (number, 0, 0)).save(file, "JPEG")


def read(folder):
    """(the classes, pictures for training, validation and testing, what was left out)."""
    parts = three_parts(Task("mine", own_labels(folder), native_px=8, input_px=32), folder, 0)
    left_out = dict.fromkeys(line for part in parts for line in part.unreadable)
    return parts[0].labels, tuple(map(len, parts)), list(left_out)


ABC = (("a", "b", "c"), (9, 3, 3), [])


@pytest.mark.parametrize(
    "name",
    [
        "@eaDir",
        "$RECYCLE.BIN",
        "lost+found",
        "#recycle",
        ".Trash-1000",
        "__MACOSX",
        "System Volume Information",
    ],
)
def test_what_systems_leave_behind_is_no_class(folder, name):
    put(folder / name / "0.jpg" / "thumb.jpg", folder / "a" / name / "1.jpg")
    assert read(folder) == ABC


def test_a_class_whose_name_begins_with_a_dot_is_named_as_left_out(folder):
    put(folder / ".net" / "0.jpg", folder / ".net" / "1.jpg")
    labels, sizes, left_out = read(folder)
    assert (labels, sizes) == ABC[:2]
    assert left_out == [f"{folder / '.net'}: a folder whose name begins with a dot"]


def test_files_of_systems_and_notes_beside_pictures_are_passed_over(folder):
    for name in ("Thumbs.db", "desktop.ini", ".DS_Store", "._000.png", "labels.csv", "Icon\r"):
        (folder / "a" / name).write_bytes(b"x")
        (folder / name).write_bytes(b"x")
    assert read(folder) == ABC


def test_a_class_may_be_called_train_or_test(tmp_path):
    write_folder(tmp_path / "v", colours(5))
    for old, new in (("a", "train"), ("b", "bus"), ("c", "Test")):
        (tmp_path / "v" / old).rename(tmp_path / "v" / new)
    assert read(tmp_path / "v") == (("Test", "bus", "train"), (9, 3, 3), [])
    nested = tmp_path / "nested"  # all of them by year
    for name in ("train", "bus", "car"):
        put(*(nested / name / "2023" / f"{i}.jpg" for i in range(5)))
    assert read(nested) == (("bus", "car", "train"), (9, 3, 3), [])


def test_a_train_folder_that_may_be_both_is_refused(folder):
    put(folder / "train" / "x" / "0.jpg", folder / "train" / "y" / "0.jpg")
    with pytest.raises(DataError, match="train holds folders, those beside it hold pictures"):
        read(folder)


@pytest.mark.parametrize("train, test", [("Train", "Test"), ("training", "TESTING")])
def test_splits_are_known_in_any_spelling(tmp_path, train, test):
    write_folder(tmp_path / train, colours(10))
    write_folder(tmp_path / test, colours(4))
    assert read(tmp_path) == (("a", "b", "c"), (27, 3, 12), [])
    write_folder(tmp_path / train.lower().replace("ing", ""), colours(1))
    if train == "training":  # and train: which one?
        with pytest.raises(DataError, match="two folders for train"):
            read(tmp_path)


@pytest.mark.parametrize("val", ["val", "Valid", "validation"])
def test_a_validation_folder_is_used_for_what_it_is(tmp_path, val):
    write_folder(tmp_path / "train", colours(10))
    write_folder(tmp_path / val, colours(2))
    assert read(tmp_path)[1] == (27, 3, 6)  # held back by its makers, so it is measured on
    write_folder(tmp_path / "test", colours(4))
    assert read(tmp_path)[1] == (30, 6, 12)


def test_what_lies_beside_splits_and_classes_is_named(tmp_path):
    write_folder(tmp_path / "train", colours(10))
    write_folder(tmp_path / "test", colours(4))
    put(tmp_path / "unlabelled" / "0.jpg", tmp_path / "1.jpg", tmp_path / "train" / "2.jpg")
    (tmp_path / "train" / "boxes").mkdir()
    (tmp_path / "train" / "boxes" / "0.xml").write_text("<box>")
    assert read(tmp_path) == (
        ("a", "b", "c"),
        (27, 3, 12),
        [
            f"{tmp_path}/1.jpg: in no class folder",
            f"{tmp_path}/train/2.jpg: in no class folder",
            f"{tmp_path}/train/boxes: a folder without pictures",
            f"{tmp_path}/unlabelled: a folder beside test and train",
        ],
    )


def test_classes_of_the_splits_must_agree(tmp_path):
    write_folder(tmp_path / "train", colours(10))
    write_folder(tmp_path / "test", colours(4))
    (tmp_path / "test" / "c").rename(tmp_path / "test" / "C")
    with pytest.raises(DataError, match=r"test are not those .*only there: C; missing there: c"):
        read(tmp_path)
    for file in sorted((tmp_path / "test" / "C").iterdir()):
        file.unlink()
    (tmp_path / "test" / "C").rmdir()
    assert read(tmp_path)[1:] == ((27, 3, 8), [f"{tmp_path}/test: no folder of the class 'c'"])


def test_pictures_in_deeper_folders_belong_to_their_class(folder):
    put(folder / "a" / "2023" / "0.jpg", folder / "a" / "2024" / "may" / "0.jpg")
    assert read(folder)[1] == (11, 3, 3)


def test_an_archive_unpacked_one_folder_too_deep_is_read(folder):
    assert read(folder.parent) == ABC


def test_splits_inside_classes_are_refused(tmp_path):
    for name in ("a", "b"):
        put(tmp_path / name / "train" / "0.jpg", tmp_path / name / "test" / "0.jpg")
    with pytest.raises(DataError, match="a split inside a class; put the classes into the splits"):
        read(tmp_path)


def test_pictures_without_class_folders_are_counted(tmp_path):
    put(*(tmp_path / f"red_{i}.jpg" for i in range(4)))
    with pytest.raises(DataError, match="0 class folders and 4 pictures without a class"):
        read(tmp_path)
    put(*(tmp_path / "all" / part / f"{i}.jpg" for part in ("train", "test") for i in range(4)))
    with pytest.raises(DataError, match="train holds 0 class folders and 4 pictures without"):
        read(tmp_path / "all")


def test_pictures_are_known_by_their_content(folder):
    put(folder / "a" / "0.jfif", folder / "a" / "img1", folder / "a" / "2.JPG")
    put(folder / "b" / "3.jpg.download")
    for name in ("heic", "avif"):
        (folder / "b" / f"IMG_1.{name.upper()}").write_bytes(plain()[name])
    (folder / "c" / "film.mp4").write_bytes(b"\0\0\0\x18ftypisom" + bytes(99))
    (folder / "c" / "drawing.psd").write_bytes(b"8BPS\0\1" + bytes(99))
    _, sizes, left_out = read(folder)
    assert sum(sizes) == 21
    assert [line.split(": ")[0] for line in left_out] == [
        f"{folder}/c/drawing.psd",
        f"{folder}/c/film.mp4",
    ]


def test_links_are_followed_and_never_in_a_circle(folder, tmp_path):
    elsewhere = write_folder(tmp_path / "elsewhere", colours(5))
    linked = tmp_path / "linked"
    linked.mkdir()
    for name in "abc":
        os.symlink(elsewhere / name, linked / name)
    assert read(linked) == ABC
    os.symlink(folder, folder / "a" / "up")
    os.symlink("/nowhere/1.jpg", folder / "b" / "gone.jpg")
    os.symlink("/nowhere", folder / "d")
    os.mkfifo(folder / "c" / "pipe.jpg")
    _, sizes, left_out = read(folder)
    assert sizes == (9, 3, 3)
    for name, line in zip(("a/up", "b/gone.jpg", "c/pipe.jpg", "d"), left_out, strict=True):
        assert line.startswith(f"{folder}/{name}: ")


def test_a_class_of_one_picture_is_learned_and_said_to_be_untested(folder):
    put(folder / "d" / "0.jpg")
    labels, sizes, left_out = read(folder)
    assert labels == ("a", "b", "c", "d") and sizes == (10, 3, 3)
    assert left_out == [f"{folder}: no picture of 'd' is left for testing"]


def test_a_class_without_a_readable_picture_is_refused_with_the_reason(folder):
    (folder / "d").mkdir()
    (folder / "d" / "0.jpg").write_bytes(b"")
    with pytest.raises(DataError, match=r"no pictures of 'd' .*\(1 left out: .*0.jpg: .* empty"):
        read(folder)


def test_names_that_are_not_utf8_are_read_as_latin_letters(folder):
    os.rename(os.fsencode(folder / "a"), os.fsencode(folder) + b"/caf\xe9")
    (folder / "b").rename(folder / "cafe\u0301s")  # as macOS writes an accent
    (sub_folders(folder)[-1] / os.fsdecode(b"\xff.jpg")).write_bytes(b"")
    labels, sizes, left_out = read(folder)
    assert set(labels) == {"café", "cafés", "c"} and sizes == (9, 3, 3)
    "".join([*labels, *left_out]).encode()  # can be printed and stored
    assert len(left_out) == 1 and shown(folder) in left_out[0]


def test_two_folders_of_one_name_are_refused(folder):
    for name in (b"caf\xe9", "café".encode()):
        os.mkdir(os.fsencode(folder) + b"/" + name)
        put(folder / os.fsdecode(name) / "0.jpg")
    with pytest.raises(DataError, match="two folders called café"):
        read(folder)
