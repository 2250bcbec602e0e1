"""Rules that keep what validation pictures promise, and rules shown scaled confidences."""

import math

import numpy as np
import pytest
from scipy.stats import binomtest

from mvit.evaluation.predictions import Predictions
from mvit.evaluation.temperature import of_scores
from mvit.models.multi_exit import FINAL, Exit
from mvit.policies.replay import choose_threshold, leaves_at, replay, replayed
from mvit.policies.rules import Confidence, Guaranteed, PerformanceControl, Tempered

PLAN, MACS = [(1, "mlp"), (2, "mlp"), (3, FINAL)], [10.0, 20.0, 30.0]


def pictures(n: int, seed: int, boast: float = 0.0) -> Predictions:
    """Exits that are right as often as they say, less `boast`; the final one is right nearly
    always."""
    chance = np.random.default_rng(seed)
    sure = chance.uniform(0.5, 1, (3, n)).astype(np.float32)
    sure[2] = 0.98
    right = chance.random((3, n)) < np.maximum(sure - np.array([[boast], [0], [0]]), 0)
    return Predictions(
        PLAN, (~right).astype(int), sure, entropy=1 - sure, margin=sure, truth=np.zeros(n, int)
    )


def live(scores, layer=1, head="mlp") -> Exit:
    times = {"elapsed_ms": 1.0, "head_ms": 0.1, "ms": 1.0}
    return Exit(layer, head, scores=list(scores), labels=("a", "b", "c"), **times, macs=100)


def test_performance_control_believes_validation_and_not_the_exit():
    rule = PerformanceControl(0.8).learned(pictures(4_000, 0, boast=0.3))
    boaster, honest = live([0.95, 0.05, 0.0]), live([0.95, 0.05, 0.0], layer=2)
    assert rule.expected(boaster) == pytest.approx(0.66, abs=0.08)
    assert rule.expected(honest) == pytest.approx(0.95, abs=0.05)
    assert not rule.stop(boaster) and rule.stop(honest)
    assert PerformanceControl(0.9).stop(boaster)  # without validation an exit is believed


def test_performance_control_meets_its_target_where_it_leaves():
    val, test = pictures(4_000, 1, boast=0.3), pictures(4_000, 2, boast=0.3)
    rule = PerformanceControl(0.85).learned(val)
    taken = replay(rule, test)
    assert 0.1 < (taken < 2).mean() < 0.9
    assert test.correct[1, taken == 1].mean() > 0.85 and not (taken == 0).any()
    thresholds = rule.candidates(val)
    assert thresholds[-1] == math.inf and (np.diff(thresholds) > 0).all()
    assert eval(repr(rule)) == rule


def test_a_live_run_of_performance_control_is_its_replay():
    val = pictures(500, 3)
    rule = PerformanceControl(0.8).learned(val)
    for i, taken in enumerate(replay(rule, val)[:60]):
        exits = [
            live([p, 1 - p], layer, head)
            for (layer, head), p in zip(PLAN, val.confidence[:, i], strict=True)
        ]
        assert leaves_at(rule, exits) == taken


@pytest.mark.parametrize("n", [1, 2, 5, 9, 30])
def test_performance_control_learns_from_few_pictures_and_from_ties(n):
    val = pictures(n, 5)
    val.confidence[0] = val.confidence[0].astype(np.float16).round(2)  # some equal, some on an edge
    rule = PerformanceControl(0.8).learned(val)
    for row, exit in enumerate(val.exits):
        bands = rule.reliability[exit]
        assert all(math.isfinite(value) for band in bands for value in band)
        # every picture is told the share of the pictures that share its band
        given = [float(rule.expected(live([float(p)], *exit))) for p in val.confidence[row]]
        assert np.mean(given) == pytest.approx(val.correct[row].mean(), abs=1e-4)
    assert np.isfinite(rule.candidates(val)[:-1]).all() and eval(repr(rule)) == rule


def spoilt(taken: np.ndarray, seen: Predictions) -> int:
    given = np.take_along_axis(seen.correct, taken[None].astype(int), axis=0)[0]
    return int((~given & seen.correct[-1]).sum())


def test_a_guaranteed_threshold_is_the_last_of_an_unbroken_row_of_safe_ones():
    val = pictures(2_000, 4)
    threshold, _ = choose_threshold(Guaranteed(), val, MACS, max_drop=0.05)
    tried = Guaranteed().candidates(val)
    # Clopper and Pearson's bound, 90 % on one side
    bounds = [
        binomtest(spoilt(replay(Guaranteed(t), val), val), 2_000, alternative="less")
        .proportion_ci(0.9)
        .high
        for t in tried
    ]
    at = tried.tolist().index(threshold)
    assert all(bound <= 0.05 for bound in bounds[at:]) and bounds[at - 1] > 0.05
    cheaper, _ = choose_threshold(Confidence(), val, MACS, max_drop=0.05)
    assert cheaper < threshold  # certainty has its price


def test_a_guarantee_is_broken_no_more_often_than_it_says():
    truth, broken = pictures(100_000, 99), 0
    for seed in range(60):
        threshold, _ = choose_threshold(Guaranteed(), pictures(600, seed), MACS, max_drop=0.05)
        broken += spoilt(replay(Guaranteed(threshold), truth), truth) / 100_000 > 0.05
    assert 0 <= broken <= 12  # 6 expected at most; 12 would be a chance of 1 %


def test_too_few_pictures_promise_nothing():
    with pytest.raises(ValueError, match="no threshold of 'guaranteed'"):
        choose_threshold(Guaranteed(), pictures(100, 5), MACS, max_drop=0.005)


def test_a_tempered_rule_sees_scaled_probabilities_live_and_in_replay():
    rule = Tempered(Confidence(0.9), {(1, "mlp"): 2.0})
    sure = live([0.95, 0.04, 0.01])
    assert not rule.stop(sure) and rule.stop(live([0.95, 0.04, 0.01], layer=2))
    assert rule.answer(sure).confidence == pytest.approx(max(of_scores(sure.scores, 2.0)))
    assert rule.answer(sure).label == "a" and rule.at(0.5).stop(sure)
    assert eval(repr(rule)) == rule
    val = pictures(300, 6)
    taken, seen = replayed(rule, val)
    assert (seen.confidence[0] < val.confidence[0]).all()
    assert (taken == replay(Confidence(0.9), seen)).all()
    assert (taken == 0).sum() < (replay(Confidence(0.9), val) == 0).sum()
