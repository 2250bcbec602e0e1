"""Photos without labels, and pictures whose classes stand in a list file."""

import numpy as np
import pytest
from PIL import Image

from mvit.data import DataError
from mvit.data.photos import find_photos, measured_names, read_batch, read_listed
from mvit.data.splits import measured_part
from mvit.tasks import Task

TASK = Task("toy", ("red", "green"), native_px=8)


def photo(file, colour=(200, 30, 30)):
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (20, 12), colour).save(file)
    return file


def test_pictures_of_all_folders_are_found_but_not_those_that_are_measured_on(tmp_path):
    kept = [photo(tmp_path / "a" / "x" / "1.jpg"), photo(tmp_path / "b" / "2.PNG")]
    tested = photo(tmp_path / "b" / "val_7.JPEG")
    (tmp_path / "b" / "notes.txt").write_text("no picture")
    found, left_out = find_photos([tmp_path / "a", tmp_path / "b"], frozenset({"val_7.JPEG"}))
    assert found == kept and left_out == [tested]


def test_a_folder_without_pictures_is_named(tmp_path):
    with pytest.raises(DataError, match="holds no pictures"):
        find_photos([tmp_path])
    photo(tmp_path / "1.jpg")
    with pytest.raises(DataError, match="measured on"):
        find_photos([tmp_path], frozenset({"1.jpg"}))


def test_a_batch_is_reduced_and_tells_what_it_could_not_read(tmp_path):
    bad = tmp_path / "bad.jpg"
    bad.write_bytes(b"no picture")
    x, unreadable = read_batch([photo(tmp_path / "1.png"), bad], TASK)
    assert x.shape == (1, 3, 8, 8) and np.allclose(x[0, 0], 200)
    assert len(unreadable) == 1 and str(bad) in unreadable[0]


def test_classes_come_from_the_list_and_what_it_does_not_name_is_told(tmp_path):
    photo(tmp_path / "val" / "a.png")
    photo(tmp_path / "val" / "b.png", (20, 200, 20))
    photo(tmp_path / "val" / "c.png")
    listed = tmp_path / "val.txt"
    listed.write_text("b.png 1\na.png 0\nelsewhere.png 1\n")
    pictures = read_listed(TASK, tmp_path / "val", listed)
    assert pictures.y.tolist() == [0, 1] and pictures.x[1, 1].float().mean() == 200
    assert [line.split("/")[-1] for line in pictures.unreadable] == ["c.png: not in val.txt"]


def test_a_broken_picture_in_a_folder_with_a_colon_moves_no_label(tmp_path):
    folder = tmp_path / "photos: set" / "val"
    for name in ("a.png", "c.png"):
        photo(folder / name)
    (folder / "b.png").write_bytes(b"no picture")
    listed = tmp_path / "val.txt"
    listed.write_text("a.png 0\nb.png 0\nc.png 1\n")
    pictures = read_listed(TASK, folder, listed)
    assert pictures.y.tolist() == [0, 1] and len(pictures.x) == 2


@pytest.mark.parametrize("text", ["a.png\n", "a.png one\n", "a.png 2\n", "z.png 0\n"])
def test_a_list_that_does_not_fit_is_refused(tmp_path, text):
    photo(tmp_path / "val" / "a.png")
    (tmp_path / "val.txt").write_text(text)
    with pytest.raises(DataError, match="val.txt"):
        read_listed(TASK, tmp_path / "val", tmp_path / "val.txt")


def test_a_task_is_measured_on_the_listed_pictures(tmp_path):
    photo(tmp_path / "toy" / "val" / "a.png")
    (tmp_path / "toy" / "val.txt").write_text("a.png 1\n")
    assert measured_part(TASK, tmp_path, {}).y.tolist() == [1]
    assert measured_names(TASK, tmp_path) == {"a.png"}
