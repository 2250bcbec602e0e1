"""When a count is doubted, and when it is not."""

from dataclasses import astuple

import numpy as np
import pandas as pd
import pytest

from mvit.bundles import weights
from mvit.evaluation.counts import Counts, load_counts
from mvit.policies.doubts import Usual, disagreement, doubts, stretch

PHOTO = np.random.default_rng(0).integers(0, 256, (768, 1152, 3), dtype=np.uint8)


def trace(tiles: dict[tuple[int, str], list[float]]) -> pd.DataFrame:
    return pd.DataFrame(
        [{"layer": b, "head": h, "tiles": t, "count": sum(t)} for (b, h), t in tiles.items()]
    )


def steady(value: float = 10.0) -> pd.DataFrame:
    return trace(
        {(b, h): [value] * 6 for b in range(1, 13) for h in ("mlp", "vit")}
        | {(12, "final"): [value] * 6}
    )


def usual(*, counted: float = 60.0, most: float = 0.3) -> Usual:
    """Recorded pictures with similar counts, the furthest apart by `most`."""
    return Usual(np.full(99, counted), np.linspace(0, most, 99))


def test_a_plain_photo_on_which_all_agree_raises_no_doubt():
    assert doubts(PHOTO, steady(), 9, "mlp", usual=usual()) == []


@pytest.mark.parametrize(
    "picture, words",
    [
        (np.full((768, 1152, 3), 255, np.uint8), "hardly anything to see"),
        (PHOTO[:110, :1100], "stretched 6.7 times"),
        (PHOTO[:100, :120], "small (120 × 100 pixels)"),
    ],
)
def test_pictures_unlike_the_training_data_are_doubted(picture, words):
    assert any(words in reason for reason in doubts(picture, steady(), 9, "mlp", usual=usual()))


def test_negative_counts_and_tiles_are_doubted_but_a_little_below_zero_is_not():
    rows = steady(0.5)
    assert doubts(PHOTO, rows, 9, "mlp") == []
    rows.at[16, "tiles"] = [-9.0, 20, 1, 1, 1, 1]
    rows.at[16, "count"] = 15.0
    assert "negative (-9)" in doubts(PHOTO, rows, 9, "mlp")[0]
    rows.at[16, "count"] = -40.0
    assert "negative (-40)" in doubts(PHOTO, rows, 9, "mlp")[0]


def test_late_exits_that_disagree_more_than_on_the_test_pictures_are_told():
    wild = trace(
        {(b, h): [10.0 if h == "mlp" else 60.0] * 6 for b in (10, 11, 12) for h in ("mlp", "vit")}
    )
    said = doubts(PHOTO, wild, 12, "mlp", usual=usual())[0]
    assert "unlike those that the counter learned from" in said
    assert "on the 99 test pictures with the most similar counts by at most 30%" in said
    assert "By this measure 1 of the 99 test pictures would be doubted." in said
    assert doubts(PHOTO, wild, 12, "mlp", usual=None) == []


def test_disagreement_is_a_share_of_the_count_and_early_exits_do_not_matter():
    tiles = np.full((4, 1, 6), 10.0)
    assert disagreement(tiles)[0] == 0
    tiles[::2] += 2
    assert disagreement(tiles)[0] == pytest.approx(12 / 66)
    exits = [(1, "mlp"), (11, "mlp"), (12, "mlp"), (12, "final")]
    early = np.full((4, 3, 6), 10.0)
    early[0] = 500
    found = Usual.of(Counts(exits, early, np.ones((3, 6)), names=["a/1", "a/2", "a/3"]))
    assert found.apart.tolist() == [0, 0, 0] and found.counted.tolist() == [60, 60, 60]


def test_a_picture_is_held_against_recorded_pictures_with_similar_counts():
    small, large = usual(counted=5.0, most=0.5), usual(counted=500.0, most=0.05)
    both = Usual(
        *(np.concatenate(pair) for pair in zip(astuple(small), astuple(large), strict=True))
    )
    assert both.most(6.0) == pytest.approx(0.5) and both.most(400.0) == pytest.approx(0.05)


def test_warnings_are_rare_where_the_counter_is_at_home():
    """At most 2 of 100 recorded test pictures of the counter that comes with the lab are doubted
    because its exits disagree."""
    task, backbone = next(b for b in weights.bundles() if b[0] == "crowd")
    test = load_counts(weights.folder(task, backbone))["test"]
    found = Usual.of(test)
    assert 0 < found.raised <= 0.02 * len(test.there)


def test_stretch_compares_the_sides_and_turns_with_the_picture():
    assert stretch(PHOTO) == 1.0 and stretch(PHOTO.transpose(1, 0, 2)) == 1.0
    assert stretch(np.zeros((300, 400, 3), np.uint8)) == pytest.approx(1.125)
