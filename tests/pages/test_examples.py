"""The pictures that come with the lab: credited, light, and counted by hand as their files say."""

import json
from pathlib import Path

import pytest
from PIL import Image

from mvit.data.points import read_points
from mvit.tasks import TASKS

FOLDER = Path(__file__).resolve().parents[2] / "examples"
ENTRIES = json.loads((FOLDER / "examples.json").read_text())
COUNTED = sorted(FOLDER.glob("*.csv"))


def test_every_picture_is_listed_credited_and_light():
    pictures = {file.name for file in FOLDER.glob("*.jpg")}
    assert pictures == {e["file"] for e in ENTRIES}
    credits = (FOLDER / "CREDITS.md").read_text()
    assert [name for name in pictures if f"`{name}`" not in credits] == []
    assert max((FOLDER / name).stat().st_size for name in pictures) < 300_000


def test_truths_are_labels_of_their_task_or_counts():
    for e in ENTRIES:
        if e["truth"] is not None:
            task = TASKS[e.get("task", "cifar10")]
            assert e["truth"].isdigit() if task.counts else e["truth"] in task.labels, e


@pytest.mark.parametrize("file", COUNTED, ids=lambda f: f.stem)
def test_the_heads_counted_by_hand_are_in_the_picture_and_are_its_truth(file):
    size = Image.open(file.with_suffix(".jpg")).size
    points = read_points(file, size)
    [entry] = [e for e in ENTRIES if e["file"] == f"{file.stem}.jpg"]
    assert len(points) == int(entry["truth"]) and entry["truth"] in entry["title"]
    assert (points >= 0).all() and (points < size).all()


def test_the_crowd_page_opens_on_a_photograph_that_was_counted():
    first = next(e for e in ENTRIES if e.get("task") == "crowd")
    assert Path(first["file"]).stem in {file.stem for file in COUNTED}
