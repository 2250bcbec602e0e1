"""`evaluate --unlike`: how often a model says that it does not know a picture."""

import json

import numpy as np
import pytest
from bundles import save_bundle
from PIL import Image
from thin import narrow
from toys import colours, write_folder

from mvit.data.splits import own_labels
from mvit.tasks import Task


@pytest.fixture
def own(tmp_path, monkeypatch):
    """A bundle of three colours without a check, its folder of pictures, and a folder of noise."""
    narrow(monkeypatch, depth=4)
    for split, each in (("train", 2), ("val", 7), ("test", 10)):
        write_folder(tmp_path / "mine" / split, colours(each, side=16))
    (tmp_path / "noise").mkdir()
    rng = np.random.default_rng(0)
    for i in range(6):
        pixels = rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / "noise" / f"{i}.png")
    monkeypatch.setenv("MVIT_WEIGHTS", str(tmp_path / "weights"))
    task = Task("mine", own_labels(tmp_path / "mine"), native_px=16, input_px=32)
    save_bundle(tmp_path / "weights", task)
    return tmp_path


def asked(own, *more):
    names = ["--data", own / "mine", "--unlike", own / "noise"]
    return ["evaluate", "--task", "mine", *names, *more]


def card_of(own) -> dict:
    return json.loads(next((own / "weights").glob("*/*/card.json")).read_text())


def test_a_bundle_without_a_check_gets_one_and_keeps_it_if_asked(own, command):
    found = command(*asked(own))
    assert [row["name"] for row in found["others"]] == ["noise"] and found["others"][0]["n"] == 6
    assert found["known"][0]["n"] == 30 and 0 <= found["others"][0]["auroc"] <= 1
    assert "unlike" not in card_of(own)
    kept = command(*asked(own, "--record", "--like", own / "mine" / "test" / "a"))
    assert [row["name"] for row in kept["known"]] == ["test pictures", "a"]
    assert card_of(own)["unlike"]["threshold"] == kept["threshold"] == found["threshold"]
    again = command(*asked(own, "--limit", "4"))
    assert again["threshold"] == found["threshold"] and again["known"][0]["n"] == 4
    stricter = command(*asked(own, "--wrongly", "0.5"))
    assert stricter["threshold"] > found["threshold"] and stricter["wrongly"] == 0.5
    assert found["chosen_on"] == card_of(own)["unlike"]["chosen_on"] == 21


def test_a_threshold_is_not_chosen_or_recorded_on_too_few_pictures(own, refused):
    before = card_of(own)
    words = refused(*asked(own, "--wrongly", "0.02", "--record"))
    assert "share of 0.02, one known picture in 50," in words and "there are 21" in words
    words = refused(*asked(own, "--record", "--limit", "19"))
    assert "at least 20 test pictures" in words and "not 19" in words
    assert card_of(own) == before


def test_what_cannot_be_measured_is_refused(own, refused):
    (own / "empty").mkdir()
    assert "no pictures" in refused(*asked(own, "--unlike", own / "empty"))
    (own / "empty" / "a.png").write_bytes(b"nothing")
    assert "can be read" in refused(*asked(own, "--unlike", own / "empty"))
    assert "name a folder" in refused("evaluate", "--task", "mine", "--data", own, "--record")
    assert "leave out --head" in refused(*asked(own, "--head", "mlp"))
    assert "folder is empty" in refused(*asked(own, ""))


def test_two_folders_of_one_name_are_refused_and_unreadable_pictures_told(own, refused, command):
    same = own / "elsewhere" / "noise"
    words = refused(*asked(own, same))
    assert str(own / "noise") in words and str(same) in words
    assert "test pictures" in refused(*asked(own, "--like", own / "test pictures"))
    (own / "noise" / "broken.png").write_bytes(b"nothing")
    found = command(*asked(own))
    assert found["others"][0]["n"] == 6
    assert len(found["left_out"]) == 1 and "broken.png" in found["left_out"][0]
