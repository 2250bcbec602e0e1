"""Stop rules: what each one does, and that replay over records takes the same exits as the live
loop."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mvit.evaluation.predictions import Predictions
from mvit.models.multi_exit import FINAL, Exit
from mvit.policies.replay import leaves_at, replay, replayed
from mvit.policies.rules import (
    POLICIES,
    Confidence,
    Deadline,
    Entropy,
    Margin,
    Patience,
    PatienceAndConfidence,
    ProductOfExperts,
    Stability,
    make,
)


def exit_of(scores, layer=1, elapsed_ms=1.0):
    return Exit(
        layer,
        "mlp",
        scores=list(scores),
        labels=tuple("abcdefghij"[: len(scores)]),
        elapsed_ms=elapsed_ms,
        head_ms=0.1,
        ms=1.0,
        macs=layer * 100,
    )


def recorded(pictures):
    """Predictions from live exits. pictures: N lists of E exits."""
    fields = ("prediction", "confidence", "entropy", "margin")
    values = {f: np.array([[getattr(e, f) for e in exits] for exits in pictures]).T for f in fields}
    names = [(e.layer, e.head) for e in pictures[0][:-1]] + [(pictures[0][-1].layer, FINAL)]
    return Predictions(
        names,
        values["prediction"],
        values["confidence"],
        entropy=values["entropy"],
        margin=values["margin"],
        truth=np.zeros(len(pictures), int),
    )


SURE, UNSURE, SPLIT = [0.02, 0.95, 0.03], [0.4, 0.35, 0.25], [0.0, 0.5, 0.5]


@pytest.mark.parametrize(
    "policy, where",
    [
        (Confidence(0.9), 2),
        (Confidence(0.3), 0),
        (Confidence(0.99), 4),
        (Entropy(0.3), 2),
        (Entropy(0.7), 1),
        (Entropy(0.0), 4),
        (Margin(0.9), 2),
        (Margin(0.04), 0),
        (Margin(0.99), 4),
        (Patience(1), 0),
        (Patience(2), 2),
        (Patience(3), 3),
        (Patience(9), 4),
        (PatienceAndConfidence(0.9, 2), 3),
        (PatienceAndConfidence(0.5, 2), 2),
        (PatienceAndConfidence(0.96, 2), 4),
        (PatienceAndConfidence(0.3, 1), 0),
    ],
)
def test_each_rule_leaves_where_it_says(policy, where):
    exits = [exit_of(s, layer=b + 1) for b, s in enumerate([UNSURE, SPLIT, SURE, SURE, SURE])]
    assert leaves_at(policy, exits) == where
    assert leaves_at(policy, exits) == where  # reset forgets the picture before
    assert replay(policy, recorded([exits] * 3)).tolist() == [where] * 3


def test_a_change_of_mind_breaks_the_streak():
    exits = [exit_of(s) for s in ([0.9, 0.1], [0.1, 0.9], [0.9, 0.1], [0.9, 0.1], [0.9, 0.1])]
    assert leaves_at(Patience(3), exits) == 4
    assert leaves_at(Patience(2), exits) == 3


def test_counts_leave_when_they_settle():
    counts = [SimpleNamespace(count=c) for c in (100.0, 150.0, 152.0, 151.0, 151.0)]
    assert leaves_at(Stability(0.05, 1), counts) == 2
    assert leaves_at(Stability(0.05, 2), counts) == 3
    assert leaves_at(Stability(0.0, 1), counts) == 4
    assert leaves_at(Stability(0.4, 1), counts) == 1
    empty = [SimpleNamespace(count=c) for c in (0.4, 0.41, 0.0)]
    assert leaves_at(Stability(0.05), empty) == 1  # of one person at least: no division by nought
    few = [SimpleNamespace(count=c) for c in (9.0, 4.0, 5.0, 5.0)]
    assert leaves_at(Stability(0.05), few) == 3
    assert leaves_at(Stability(0.05, people=2), few) == 2
    assert leaves_at(Stability(0.05, people=1), few) == 3  # fewer than one, and not one


def test_the_deadline_rule_leaves_before_an_exit_that_would_be_late():
    expected = {(1, "mlp"): 5.0, (2, "mlp"): 9.0, (3, "mlp"): 13.0}
    exits = [exit_of(SURE, layer=b, elapsed_ms=t) for b, t in ((1, 5.0), (2, 11.0), (3, 15.0))]
    # exit 2 came 2 ms late, so exit 3 is expected at 15
    assert leaves_at(Deadline(14.9, expected), exits) == 1
    assert leaves_at(Deadline(15.0, expected), exits) == 2
    assert leaves_at(Deadline(1.0, expected), exits) == 0


def test_deadline_replay_walks_the_expected_times():
    predictions = recorded([[exit_of(SURE, layer=b) for b in (1, 2, 3)]] * 2)
    expected = dict(zip(predictions.exits, (5.0, 9.0, 13.0), strict=True))
    for budget, taken in ((3, 0), (8.9, 0), (9, 1), (12.9, 1), (13, 2)):
        assert replay(Deadline(budget, expected), predictions).tolist() == [taken] * 2


probabilities = st.lists(st.integers(1, 50), min_size=3, max_size=3).map(
    lambda w: [x / sum(w) for x in w]
)
pictures = st.integers(2, 6).flatmap(
    lambda e: st.lists(st.lists(probabilities, min_size=e, max_size=e), min_size=1, max_size=5)
)


@settings(max_examples=150, deadline=None)
@given(
    pictures,
    st.sampled_from(["confidence", "entropy", "margin", "patience", "patience and confidence"]),
    st.data(),
)
def test_replay_takes_the_exits_that_the_live_loop_takes(pictures, kind, data):
    live = [[exit_of(s, layer=b + 1) for b, s in enumerate(p)] for p in pictures]
    predictions = recorded(live)
    # ties included: the very values recorded
    values = [getattr(e, POLICIES[kind].measure, 2) for p in live for e in p]
    thresholds = data.draw(
        st.lists(st.sampled_from(values) | st.floats(0, 4), min_size=1, max_size=4)
    )
    several = replay(make(kind, np.array(thresholds)[:, None]), predictions)
    for row, threshold in zip(several, thresholds, strict=True):
        rule = make(kind, threshold)
        expected = [leaves_at(rule, exits) for exits in live]
        assert row.tolist() == expected == replay(rule, predictions).tolist()


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.lists(st.floats(0, 500), min_size=4, max_size=4), min_size=1, max_size=5),
    st.floats(0, 1),
    st.integers(1, 3),
)
def test_replay_of_counts_is_the_live_loop_too(counts, threshold, patience):
    live = [[SimpleNamespace(count=c) for c in p] for p in counts]
    records = SimpleNamespace(
        exits=[(b, "mlp") for b in range(1, 5)],
        count=np.array(counts).T,
        truth=np.zeros(len(counts)),
    )
    assert replay(Stability(threshold, patience), records).tolist() == [
        leaves_at(Stability(threshold, patience), p) for p in live
    ]


def test_replay_leaves_a_rule_in_use_alone():
    rule, exits = Patience(3), [exit_of(SURE, layer=b) for b in (1, 2, 3)]
    rule.stop(exits[0])
    rule.stop(exits[1])
    replay(rule, recorded([exits]))
    assert rule.stop(exits[2])


def test_an_unknown_rule_is_named():
    with pytest.raises(ValueError, match="no stop rule 'luck'.*confidence"):
        make("luck", 1)


def test_a_product_of_experts_grows_sure_of_what_all_say():
    rule = ProductOfExperts(Confidence(0.9), depth=4)
    exits = [exit_of([0.6, 0.3, 0.1], layer=b) for b in (1, 2, 3, 4)]
    confidences = []
    for exit in exits:
        stopped = rule.stop(exit)
        confidences.append(rule.combined.confidence)
        assert stopped == (rule.combined.confidence >= 0.9)
        assert sum(rule.combined.scores) == pytest.approx(1)
    assert confidences == sorted(confidences) and confidences[0] < 0.6 < confidences[-1]
    w = np.array([0.6, 0.3, 0.1]) ** (1 / 4 + 2 / 4 + 3 / 4 + 1)
    assert rule.combined.scores == pytest.approx(w / w.sum())
    rule.reset()
    rule.stop(exits[0])
    assert rule.combined.confidence == pytest.approx(confidences[0])


def test_a_product_of_experts_survives_a_certain_exit():
    rule = ProductOfExperts(Confidence(0.5))
    rule.stop(exit_of([1.0, 0.0, 0.0], layer=6))
    assert not rule.stop(exit_of([0.0, 0.0, 1.0], layer=6)) and all(
        map(math.isfinite, rule.combined.scores)
    )


sure_answers = st.lists(st.tuples(st.integers(0, 2), st.integers(34, 100)), min_size=2, max_size=5)


@settings(max_examples=60, deadline=None)
@given(st.lists(sure_answers, min_size=1, max_size=4), st.floats(0.3, 1))
def test_replayed_products_are_the_live_ones_with_the_rest_spread_evenly(pictures, threshold):
    e = min(map(len, pictures))
    live = []
    for picture in pictures:
        scores = [[(1 - c / 100) / 2] * 3 for _, c in picture[:e]]
        for row, (top, c) in zip(scores, picture, strict=False):
            row[top] = c / 100
        live.append([exit_of(s, layer=b + 1) for b, s in enumerate(scores)])
    rule = ProductOfExperts(Confidence(threshold), depth=e, classes=3)
    taken, seen = replayed(rule, recorded(live))
    for i, exits in enumerate(live):
        products = []
        rule.reset()
        for exit in exits:
            rule.stop(exit)
            products.append(rule.answer(exit))
        assert seen.confidence[:, i] == pytest.approx([p.confidence for p in products], abs=1e-6)
        assert seen.entropy[:, i] == pytest.approx([p.entropy for p in products], abs=1e-5)
        assert seen.margin[:, i] == pytest.approx([p.margin for p in products], abs=1e-6)
        at = int(taken[i])
        assert at == e - 1 or seen.confidence[at, i] >= threshold
        assert (seen.confidence[:at, i] < threshold).all()


def test_every_rule_says_what_a_page_needs():
    plan, ms = [(1, "mlp"), (2, "mlp"), (12, FINAL)], [1.0, 2.0, 13.0]
    names = {kind.__name__: kind for kind in POLICIES.values()}
    keys = [rule.key for rule in POLICIES.values()]
    assert len(set(keys)) == len(keys) and all(keys)
    for title, kind in POLICIES.items():
        rule = kind.along(plan, ms, 10)
        low, high = rule.limits(13, 10)
        assert low < high and rule.meaning.startswith("leave when") and kind.format % 2.0
        assert type(rule.at(high)) is kind and rule.at(high).threshold == high
        assert make(title, low).threshold == low and rule.fewest >= 1
        assert eval(repr(rule.at(high)), names).at(high) == rule.at(high)  # its code to copy
