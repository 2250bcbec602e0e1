"""What the page on stop rules shows: checked against the library's own replay and against counting
by hand."""

import numpy as np
import pandas as pd
import pytest

from mvit.evaluation.predictions import Predictions
from mvit.policies import outcomes as rules
from mvit.policies.journeys import journeys
from mvit.policies.replay import choose_threshold, exits_for_rule
from mvit.policies.rules import Confidence, Patience

EXITS = [(1, "mlp"), (2, "mlp"), (3, "final")]
TRUTH = np.array([0, 0, 1, 1])
TOP1 = np.array([[0, 1, 0, 1], [0, 0, 0, 1], [0, 0, 1, 0]])
SURE = np.array([[0.95, 0.5, 0.5, 0.9], [0.96, 0.9, 0.6, 0.9], [0.99, 0.99, 0.99, 0.5]], np.float32)
SEEN = Predictions(EXITS, TOP1, SURE, entropy=1 - SURE, margin=SURE / 2, truth=TRUTH)
MACS, MS = [10, 20, 30], [1.0, 2.0, 3.0]


def test_finish_times_add_all_heads_on_the_way():
    trace = pd.DataFrame(
        {
            "layer": [1, 2, 3],
            "head": ["mlp", "mlp", "final"],
            "ms": [3.0, 4.5, 6.1],
            "head_ms": [1.0, 0.5, 0.1],
        }
    )
    assert rules.finish_times(trace, EXITS) == pytest.approx([3.0, 5.5, 7.6])
    assert rules.finish_times(trace, [(2, "mlp"), (3, "final")]) == pytest.approx([4.5, 6.6])
    with pytest.raises(KeyError):
        rules.finish_times(trace, [(1, "vit")])


def test_a_backbone_measured_out_of_order_still_grows():
    trace = pd.DataFrame(
        {"layer": [1, 2], "head": ["mlp", "mlp"], "ms": [3.0, 2.0], "head_ms": [1.0, 1.0]}
    )
    assert rules.finish_times(trace, [(1, "mlp"), (2, "mlp")]) == pytest.approx([3.0, 4.0])


def test_a_rule_at_one_threshold():
    here = rules.operate(Confidence(0.89), SEEN, MACS, MS)
    assert here.taken.tolist() == [0, 1, 2, 0]
    assert (here.accuracy, here.macs, here.ms, here.early) == (1.0, 17.5, 1.75, 0.75)


def test_a_loss_is_known_only_as_well_as_the_pictures_tell():
    def lost(*right: tuple[bool, bool]) -> tuple[float, float]:
        """Of pictures whose first and final exit are right or not, all of which leave at first."""
        top1 = np.array(right, int).T
        sure = np.full(top1.shape, 0.9, np.float32)
        ones = np.ones(len(right), int)
        seen = Predictions([EXITS[0], EXITS[2]], top1, sure, entropy=sure, margin=sure, truth=ones)
        return rules.loss(rules.operate(Confidence(0.5), seen, [1, 2], [1.0, 2.0]), seen)

    some = [(False, True)] * 10 + [(True, False)] * 4 + [(True, True)] * 86
    share, margin = lost(*some)
    assert share == pytest.approx(0.06) and margin == pytest.approx(1.96 * 0.03692, rel=1e-3)
    assert lost(*some * 4)[1] == pytest.approx(margin / 2), (
        "four times as many tell it twice as well"
    )
    assert lost(*[(True, True)] * 100) == (0, 0.03), "none in a hundred does not mean never"


def test_the_curve_agrees_with_each_single_threshold():
    curve = rules.tradeoff(Confidence(), SEEN, MACS, MS)
    for row in curve.itertuples():
        here = rules.operate(Confidence(row.threshold), SEEN, MACS, MS)
        assert (row.accuracy, row.macs, row.ms, row.early) == pytest.approx(
            (here.accuracy, here.macs, here.ms, here.early)
        )


def test_every_picture_leaves_exactly_once():
    rows = rules.leaving(np.array([0, 1, 2, 0]), SEEN)
    assert rows.share.tolist() == [0.5, 0.25, 0.25] and rows.share.sum() == 1
    assert rows.right.tolist() == [0.5, 0.25, 0.25] and rows.exit.tolist() == ["1", "2", "final"]


def test_difficulty_is_where_a_picture_is_right_for_good():
    assert rules.settled_layer(SEEN).tolist() == [1, 2, 3, 4]
    rows = rules.by_class(np.array([0, 1, 2, 0]), SEEN, ["cat", "dog"], MACS)
    assert (
        rows.label.tolist() == ["cat", "dog"]
        and rows.settled.tolist() == [1.5, 3.5]
        and rows.pictures.sum() == 4
    )
    groups = rules.easy_and_hard(np.array([0, 1, 2, 0]), SEEN, MACS)
    assert groups.share.tolist() == [0.25, 0.25, 0.25, 0.25] and groups.accuracy.tolist() == [
        1,
        1,
        1,
        1,
    ]


def test_an_empty_group_is_not_a_number_and_no_warning():
    perfect = Predictions(
        EXITS, np.zeros((3, 4), int), SURE, entropy=SURE, margin=SURE, truth=np.zeros(4, int)
    )
    groups = rules.easy_and_hard(np.zeros(4, int), perfect, MACS)
    assert groups.share.tolist() == [1, 0, 0, 0] and groups.accuracy.isna().tolist() == [
        False,
        True,
        True,
        True,
    ]


def test_reliability_bars_hold_every_picture():
    bars = rules.reliability(np.array([0.05, 0.95, 1.0, 0.0]), np.array([False, True, True, True]))
    assert (
        bars.pictures.tolist() == [2, 2]
        and bars.accuracy.tolist() == [0.5, 1.0]
        and bars.low.tolist() == pytest.approx([0, 0.9])
    )


def test_quality_counts_overthinking_both_ways():
    table = rules.quality(SEEN)
    assert table.overthought.tolist() == [0.25, 0.25, 0] and table.mended.tolist() == [0.5, 0.25, 0]
    assert table.agreement.iloc[-1] == 1 and table.exit.tolist() == ["1", "2", "final"]


def test_few_exits_cost_no_more_than_all_of_them():
    chance = np.random.default_rng(0)
    n, exits = 600, [(b, "mlp") for b in range(1, 9)] + [(8, "final")]
    ease = chance.random((9, n)) * 0.2 + chance.random(n) * 0.8
    skill = np.array([0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.88, 0.9, 0.95])[:, None]
    sure = np.clip(0.5 + skill - ease, 0.1, 1).astype(np.float32)
    val = Predictions(
        exits,
        (ease > skill).astype(int),
        sure,
        entropy=1 - sure,
        margin=sure,
        truth=np.zeros(n, int),
    )

    def cost_of(plan):
        return np.array([10 * layer + 8 * (at + 1) for at, (layer, _) in enumerate(plan)])

    few = exits_for_rule(lambda plan: Confidence(), val, cost_of, max_drop=0.01, most=3)
    assert 2 <= len(few) <= 4 and few[-1] == (8, "final") and few == sorted(few)
    cheap = choose_threshold(Confidence(), val.select(few), cost_of(few), max_drop=0.01)[1]
    assert cheap.macs <= choose_threshold(Confidence(), val, cost_of(exits), max_drop=0.01)[1].macs
    assert cheap.value >= val.accuracy[-1] - 0.01 - 1e-9
    for gone in few[:-1]:  # no exchange of one exit would have been worth it
        for new in set(exits) - set(few):
            other = sorted(set(few) - {gone} | {new})
            assert (
                choose_threshold(Confidence(), val.select(other), cost_of(other), max_drop=0.01)[
                    1
                ].macs
                > 0.995 * cheap.macs
            )
    # nothing to save: nothing added
    assert exits_for_rule(lambda plan: Confidence(), val, lambda plan: np.full(len(plan), 5.0)) == [
        (8, "final")
    ]


def test_journeys_tell_what_thinking_spoiled_and_mended():
    rows = journeys(SEEN, ("cat", "dog"))
    assert rows.kind.tolist() == ["overthought", "mended", "mended"] and rows.picture.tolist() == [
        3,
        2,
        1,
    ]
    assert rows.answers.tolist() == [
        "dog 1-2, cat final",
        "cat 1-2, dog final",
        "dog 1, cat 2-final",
    ]
    assert rows.right_layers.tolist() == [2, 0, 1] and rows.truth.tolist() == ["dog", "dog", "cat"]
    assert len(journeys(SEEN, ("cat", "dog"), n=1)) == 2


def test_more_thresholds_find_no_dearer_one():
    # each grid holds the one before
    tried = [
        choose_threshold(Confidence(), SEEN, MACS, max_drop=0.25, n=n)[1].macs for n in (3, 9, 97)
    ]
    assert tried == sorted(tried, reverse=True)


def test_patience_runs_two_exits_that_can_agree_or_none():
    chance = np.random.default_rng(1)
    n, exits = 600, [(b, "mlp") for b in range(1, 9)] + [(8, "final")]
    ease = chance.random(n)
    right = ease > np.linspace(0.7, 0.02, 9)[:, None]
    wrong = chance.integers(1, 10, (9, n))  # who is wrong seldom agrees
    sure = np.full((9, n), 0.5, np.float32)
    val = Predictions(
        exits, np.where(right, 0, wrong), sure, entropy=sure, margin=sure, truth=np.zeros(n, int)
    )

    def cost_of(plan):
        return np.array([10 * layer + 2 * (at + 1) for at, (layer, _) in enumerate(plan)])

    few = exits_for_rule(lambda plan: Patience(), val, cost_of, max_drop=0.02)
    assert 3 <= len(few) <= 5 and few[-1] == (8, "final")
    found = choose_threshold(Patience(), val.select(few), cost_of(few), max_drop=0.02)[1]
    assert found.macs < cost_of([(8, "final")])[-1] and found.value >= val.accuracy[-1] - 0.02
    # where agreeing costs more than it saves, no exit is run
    dear = exits_for_rule(
        lambda plan: Patience(), val, lambda plan: 100 * np.arange(1, len(plan) + 1)
    )
    assert dear == [(8, "final")]
