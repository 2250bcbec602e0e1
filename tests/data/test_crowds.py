"""Crowd folders as people and published sets lay them out: each picture gets its own points, or is
left out by name."""

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from mvit.data import DataError
from mvit.data.crowds import LEAKED, Crowds, load_crowds
from mvit.tasks import TASKS

TASK = TASKS["crowd"]
WIDTH, HEIGHT = 96, 64


def picture(file, turn: int = 1) -> None:
    """A small picture; turn: its EXIF orientation."""
    file.parent.mkdir(parents=True, exist_ok=True)
    exif = Image.Exif()
    exif[0x0112] = turn
    Image.new("RGB", (WIDTH, HEIGHT), "grey").save(file, "JPEG", exif=exif)


def heads(number: int) -> np.ndarray:
    """So many points inside it."""
    return np.random.default_rng(number).uniform(1, (WIDTH - 1, HEIGHT - 1), (number, 2))


def points(file, number: int) -> None:
    """So many points in a file, in the manner of its ending."""
    file.parent.mkdir(parents=True, exist_ok=True)
    if file.suffix.lower() == ".mat" and file.name.startswith("GT_"):
        savemat(file, {"image_info": {"location": heads(number), "number": number}})
    elif file.suffix.lower() == ".mat":
        savemat(file, {"annPoints": heads(number)}, appendmat=False)
    elif file.suffix == ".npy":
        np.save(file, heads(number))
    elif file.suffix == ".txt":
        rows = "".join(f"{x:.0f} {y:.0f} 2 3 1 0\n" for x, y in heads(number))
        file.write_text(rows)
    else:
        np.savetxt(file, heads(number), delimiter=",")


def read(root, split: str = "test") -> Crowds:
    """The one set of a folder."""
    (found,) = load_crowds(TASK, root, split).values()
    return found


def counted(crowds: Crowds) -> dict[str, int]:
    return dict(zip(crowds.names, crowds.counts.tolist(), strict=True))


@pytest.mark.parametrize(
    "part, truth",
    [("part_{}", "ground-truth"), ("part_{}_final", "ground_truth"), ("Part-{}", "ground_truth")],
)
def test_shanghaitech_in_every_spelling_has_its_own_points_and_no_leaked_picture(
    part, truth, tmp_path
):
    for name, number in (("A", 9), ("B", 2)):
        for split in ("train_data", "test_data"):
            for i in (98, 9, 10):
                folder = tmp_path / "ShanghaiTech" / part.format(name) / split
                picture(folder / "images" / f"IMG_{i}.jpg")
                points(folder / truth / f"GT_IMG_{i}.mat", number)
    for root in (tmp_path, tmp_path / "ShanghaiTech"):
        train, test = (load_crowds(TASK, root, split) for split in ("train", "test"))
        assert counted(train["part_A"]) == {"part_A/IMG_9": 9, "part_A/IMG_10": 9}
        assert counted(train["part_B"]) == {f"part_B/IMG_{i}": 2 for i in (9, 10, 98)}
        assert len(test["part_A"]) == len(test["part_B"]) == 3
        (line,) = train["part_A"].left_out
        assert "train_data/images/IMG_98.jpg: " in line and "test split has the same" in line
    alone = read(tmp_path / "ShanghaiTech" / part.format("A"), "train")
    assert not LEAKED & set(alone.names) and len(alone) == 2


LAYOUTS = {  # picture, its points, another picture's points
    "same folder": ("test/a.jpg", "test/a.csv", "test/b.csv"),
    "like-named in two scenes": ("test/square/0.jpg", "test/square/0.csv", "test/street/0.csv"),
    "UCF-QNRF": ("Test/img_0001.jpg", "Test/img_0001_ann.mat", "Train/img_0001_ann.mat"),
    "DM-Count": ("test/img_0001.jpg", "test/img_0001.npy", "val/img_0001.npy"),
    "JHU-CROWD++": ("test/images/0001.jpg", "test/gt/0001.txt", "train/gt/0001.txt"),
    "Beijing-BRT": ("test/frame/1.jpg", "test/ground_truth/1.mat", "train/ground_truth/1.mat"),
    "upper case": ("TEST/A.JPG", "TEST/A.MAT", "TEST/B.MAT"),
    "points within": ("test/a.jpg", "test/points/a.csv", "train/points/a.csv"),
    "two trees": ("images/test/x/a.jpg", "labels/test/x/a.csv", "labels/test/y/a.csv"),
    "points above": ("test/img/a.jpg", "test/a.csv", "train/a.csv"),
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_points_belong_to_the_picture_that_they_lie_with(name, tmp_path):
    own, its_points, other = (tmp_path / "set" / file for file in LAYOUTS[name])
    picture(own)
    points(its_points, 5)
    points(other, 7)
    found = read(tmp_path / "set")
    assert found.counts.tolist() == [5] and not found.left_out
    assert "1 pictures, 5 people" in found.understood[0]


def test_a_picture_without_points_takes_no_others(tmp_path):
    for scene in ("square", "street"):
        picture(tmp_path / "test" / scene / "0.jpg")
    points(tmp_path / "test" / "street" / "0.csv", 5)
    found = read(tmp_path)
    assert found.counts.tolist() == [5] and found.names[0].endswith("test/street/0")
    (line,) = found.left_out
    assert line.startswith("test/square/0.jpg: no points (.mat, .npy,")


def test_points_that_fit_two_pictures_belong_to_neither(tmp_path):
    for scene in ("square", "street"):
        picture(tmp_path / "test" / scene / "0.jpg")
    points(tmp_path / "test" / "heads" / "0.csv", 5)
    points(tmp_path / "test" / "street" / "1.csv", 3)
    picture(tmp_path / "test" / "street" / "1.jpg")
    found = read(tmp_path)
    assert found.counts.tolist() == [3] and len(found.left_out) == 2
    assert all("could be its points or another picture's" in line for line in found.left_out)


def test_several_files_of_points_must_agree(tmp_path):
    for name in "abc":
        picture(tmp_path / "test" / f"{name}.jpg")
        points(tmp_path / "test" / f"{name}.csv", 5)
    points(tmp_path / "test" / "a.npy", 5)  # the same in another format
    points(tmp_path / "test" / "b.npy", 6)
    np.save(tmp_path / "test" / "c.npy", np.zeros((HEIGHT, WIDTH)))  # a density map beside them
    found = read(tmp_path)
    assert [n[-1] for n in found.names] == ["a", "c"] and found.counts.tolist() == [5, 5]
    assert found.left_out == ("test/b.jpg: b.csv and b.npy hold different points",)


def test_what_cannot_be_used_is_named_with_its_reason(tmp_path, capsys):
    for name in ("good.jpg", "empty.jpg", "nan.jpg", "far.jpg", "share.jpg", "IMG_1 (1).jpg"):
        picture(tmp_path / "test" / name)
    (tmp_path / "test" / "phone.heic").write_bytes(b"no picture")
    picture(tmp_path / "loose.jpg")
    points(tmp_path / "test" / "good.csv", 4)
    points(tmp_path / "test" / "phone.csv", 4)
    (tmp_path / "test" / "empty.mat").write_bytes(b"")
    np.save(tmp_path / "test" / "nan.npy", np.array([[1, 2], [np.nan, 3]]))
    np.save(tmp_path / "test" / "far.npy", 4 * heads(9))
    np.save(tmp_path / "test" / "share.npy", heads(9) / (WIDTH, HEIGHT))
    found = read(tmp_path)
    lost = dict(line.split(": ", 1) for line in found.left_out)
    assert found.counts.tolist() == [4] and len(lost) == 7
    assert "no folder named train, val or test" in lost["loose.jpg"]
    assert "no points" in lost["test/IMG_1 (1).jpg"]
    assert "empty.mat holds no N x 2 array" in lost["test/empty.jpg"]
    assert "no finite position" in lost["test/nan.jpg"]
    assert "outside its 96 x 64 pixels" in lost["test/far.jpg"]
    assert "shares of the picture" in lost["test/share.jpg"]
    assert lost["test/phone.heic"]
    assert "1 pictures, 4 people; 1 from *.csv (N x 2); 7 left out" in capsys.readouterr().err


def test_a_point_beside_the_border_is_moved_onto_it_and_no_further(tmp_path):
    picture(tmp_path / "test" / "a.jpg")
    for far, there in ((2, 2), (3, 0)):
        np.save(tmp_path / "test" / "a.npy", [[-far, 5], [WIDTH + far, HEIGHT + far]])
        if there:
            found = read(tmp_path)
            assert found.points[0][:, 0].tolist() == pytest.approx([0, 1152], abs=0.01)
            assert found.tile_counts(0).sum() == 2
        else:
            with pytest.raises(DataError, match="a.jpg: 2 of 2 points lie outside its 96 x 64"):
                read(tmp_path)


@pytest.mark.parametrize("turn, place", [(5, (1, 60)), (6, (63, 60)), (7, (63, 36)), (8, (1, 36))])
def test_points_of_the_stored_picture_turn_with_its_exif(turn, place, tmp_path):
    """The point (60, 1) of a lying picture that is shown upright, 64 x 96."""
    picture(tmp_path / "test" / "a.jpg", turn)
    np.save(tmp_path / "test" / "a.npy", [[60.0, 1.0], [90.0, 1.0]])
    found = read(tmp_path)
    assert (found.points[0][0] / 12).tolist() == pytest.approx(place, abs=1.1)
    assert "turned as its EXIF says" in found.understood[0]


def test_a_split_is_never_read_for_another(tmp_path):
    picture(tmp_path / "test" / "a.jpg")
    points(tmp_path / "test" / "a.csv", 4)
    with pytest.raises(DataError, match="no train split"):
        load_crowds(TASK, tmp_path, "train")
    for split in ("train", "val"):
        picture(tmp_path / split / "a.jpg")
        points(tmp_path / split / "a.csv", 3)
    found = read(tmp_path, "train")
    assert found.counts.tolist() == [3]
    assert "1 of the validation split not used" in found.understood[0]


def test_a_scene_whose_name_begins_like_a_split_is_none(tmp_path):
    for scene in ("train_station", "square"):
        picture(tmp_path / scene / "a.jpg")
        points(tmp_path / scene / "a.csv", 2)
    assert len(read(tmp_path, "train")) == 2
    with pytest.raises(DataError, match="no test split"):
        load_crowds(TASK, tmp_path, "test")


def test_nobody_anywhere_is_a_crowd_of_nobody(tmp_path):
    picture(tmp_path / "test" / "a.jpg")
    savemat(tmp_path / "test" / "a.mat", {"annPoints": np.empty((0, 0))})
    found = read(tmp_path)
    assert found.counts.tolist() == [0] and "1 without anyone" in found.understood[0]
