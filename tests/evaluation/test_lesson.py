"""What the lesson asks about, worked out from made-up runs and records, and its charts."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from recorded import made_up

from mvit.charts import lesson as charts_lesson
from mvit.evaluation import lesson
from mvit.evaluation.predictions import Predictions, overthinking

CARD = {
    "exits": [{"layer": b, "head": "mlp", "accuracy": 0.5 + 0.03 * b} for b in range(1, 13)],
    "final": {"accuracy": 0.9},
    "layers": list(range(1, 13)),
    "task": {"labels": list("abcdefghij")},
}


@pytest.fixture(scope="module")
def records() -> Predictions:
    return made_up(CARD, 300, 1)


def test_the_grid_cuts_the_picture_and_leaves_the_original_alone():
    grey = np.full((96, 96, 3), 128, np.uint8)
    cut = lesson.gridded(grey, 4)
    white = (cut == 255).all(axis=2)
    assert white.all(axis=0).sum() == 3 and white.all(axis=1).sum() == 3
    assert (grey == 128).all() and cut.shape == grey.shape
    assert (lesson.gridded(grey, 1) == grey).all()
    for cells in (0, 97):
        with pytest.raises(ValueError, match="do not fit"):
            lesson.gridded(grey, cells)


@pytest.mark.parametrize(
    ("answers", "place"), [("aaaa", 0), ("baaa", 1), ("abab", 3), ("aaba", 3), ("a", 0)]
)
def test_settled_is_where_the_last_change_was(answers, place):
    assert lesson.settled(answers) == place


def test_nothing_is_never_settled():
    with pytest.raises(ValueError):
        lesson.settled([])


def test_trust_counts_the_sure_answers_that_are_right(records):
    found = lesson.trust(records, 5)
    kept = records.confidence[5] >= found.bar
    assert found.pictures == kept.sum() >= lesson.ENOUGH
    assert found.right == pytest.approx((records.top1[5] == records.truth)[kept].mean())
    higher = [b for b in lesson.BARS if b > found.bar]
    assert all((records.confidence[5] >= b).sum() < lesson.ENOUGH for b in higher)


def test_trust_lowers_the_bar_until_somebody_is_over_it(records):
    timid = Predictions(
        records.exits,
        records.top1,
        records.confidence * 0 + 0.2,
        entropy=records.entropy,
        margin=records.margin,
        truth=records.truth,
    )
    assert lesson.trust(timid, 0).bar == 0 and lesson.trust(timid, 0).pictures == 300


def test_rescue_is_overthinking_as_a_share_of_the_mistakes(records):
    found = lesson.rescue(records)
    assert found.wrong == (~records.correct[-1]).sum() > 0
    assert found.share * found.wrong / 300 == pytest.approx(overthinking(records))
    perfect = replace(records, top1=np.tile(records.truth, (13, 1)))
    assert lesson.rescue(perfect) == lesson.Rescue(0, 0.0)


def test_the_widest_layer_is_where_the_heads_differ_most():
    known = {
        (1, "a"): 0.2,
        (1, "b"): 0.6,
        (2, "a"): 0.5,
        (2, "b"): 0.55,
        (3, "a"): 0.1,
        (3, "c"): 0.99,
        (12, "final"): 0.9,
    }
    assert lesson.widest_layer(known, ["a", "b"]) == 1
    assert lesson.widest_layer(known, ["a", "b", "c"]) == 3
    assert lesson.widest_layer(known, ["a"]) is None and lesson.widest_layer({}, ["a"]) is None


def test_the_pickiest_head_has_the_smallest_share_of_practical_exits():
    exits = [
        {"head": h, "practical": p}
        for h, p in [("a", True), ("a", True), ("b", True), ("b", False), ("c", True)]
    ]
    assert lesson.practical_count(exits, "b") == (1, 2)
    assert lesson.pickiest(exits, ["a", "b", "c"]) == "b" and lesson.pickiest(exits, ["d"]) is None


def test_the_charts_say_guess_answer_and_finding():
    line = charts_lesson.guess_line(40, 55.0, 10, 0, 100, "%", "It is 55").to_dict()
    values = [row for rows in line["datasets"].values() for row in rows]
    assert {(v["what"], v["value"]) for v in values if "what" in v} == {
        ("your guess", 40),
        ("the answer", 55.0),
    }
    assert {"value": 45.0, "end": 65.0} in values and line["title"]["text"] == ["It is 55"]
    alone = charts_lesson.guess_line(None, 130.0, 10, 0, 100, "%", "more than all").to_dict()
    assert "your guess" not in str(alone["datasets"]) and "130.0" in str(
        alone["layer"][0]["encoding"]["x"]["scale"]
    )


def test_bars_mark_the_answer_in_words():
    rows = pd.DataFrame({"name": ["cat", "dog"], "value": [0.7, 0.2], "mark": ["its answer", ""]})
    assert "70 % its answer" in str(charts_lesson.bars(rows, "Probability", "cat").to_dict())


def test_answers_have_one_row_a_picture_and_frame_what_is_settled():
    rows = pd.DataFrame(
        [("A", b, "cat", 0.5, b > 1) for b in (1, 2, 3)],
        columns=["picture", "layer", "label", "confidence", "settled"],
    )
    spec = charts_lesson.answers(rows, 2, "said").to_dict()
    assert [r["where"] for r in next(iter(spec["datasets"].values()))] == [
        "1",
        "2",
        "final",
    ] and "datum.settled" in str(spec)


def test_the_choice_rings_the_cheapest_exit_only_if_there_is_one():
    exits = pd.DataFrame(
        {"layer": [1, 2], "head": ["mlp", "mlp"], "accuracy": [0.5, 0.85], "macs": [1e8, 2e8]}
    )
    final = {"accuracy": 0.9, "macs": 1e9}
    ringed, bare = (
        charts_lesson.choice(exits, final, 5, best, "x").to_dict() for best in ((2, "mlp"), None)
    )
    assert len(ringed["layer"]) == len(bare["layer"]) + 1 and "0.85" in str(ringed["datasets"])
