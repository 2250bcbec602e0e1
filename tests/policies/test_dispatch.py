"""A rule as an engineer would judge it, checked by counting."""

import numpy as np
import pandas as pd
import pytest

from mvit.evaluation.predictions import Predictions, wilson
from mvit.policies import dispatch
from mvit.policies.outcomes import prediction_depth

EXITS = [(1, "mlp"), (2, "mlp"), (3, "mlp"), (3, "final")]
TRUTH = np.array([0, 0, 1, 1])
TOP1 = np.array([[0, 1, 0, 1], [0, 0, 0, 1], [0, 0, 1, 1], [0, 0, 1, 0]])
REST = np.full((4, 4), 0.5, np.float32)
SEEN = Predictions(EXITS, TOP1, REST, entropy=REST, margin=REST, truth=TRUTH)
MACS, MS = [10, 20, 30, 31], [1.0, 2.0, 3.0, 3.1]


def test_each_exit_tells_its_own_pictures():
    rows = dispatch.dispatch(np.array([0, 0, 1, 1]), SEEN, TOP1[-1], macs=MACS, ms=MS)
    assert rows.pictures.tolist() == [2, 2, 0, 0] and rows.share.sum() == 1
    assert rows.accuracy[:2].tolist() == [0.5, 0.5] and rows.agreement[:2].tolist() == [0.5, 0.0]
    assert rows.accuracy[2:].isna().all() and rows.agreement[2:].isna().all()
    assert rows.exit.tolist() == ["1", "2", "3", "final"] and rows.macs.tolist() == MACS


def test_wilsons_interval_is_the_textbooks():
    from scipy.stats import binomtest

    for right, n in ((0, 10), (7, 10), (480, 500), (500, 500)):
        expected = binomtest(right, n).proportion_ci(method="wilson")
        assert wilson(right, n) == pytest.approx((expected.low, expected.high), abs=1e-4)


def test_times_of_a_rule_are_those_of_its_pictures_in_every_run():
    exits = pd.DataFrame(EXITS, columns=["layer", "head"])
    runs = [exits.assign(ms=np.array(MS) * k, head_ms=0.0) for k in (1, 10)]
    times = dispatch.times_taken(np.array([0, 0, 1, 3]), EXITS, runs)
    assert sorted(times) == pytest.approx([1, 1, 2, 3.1, 10, 10, 20, 31])
    rows = dispatch.waits({"rule": times, "plain": np.array([3.0])})
    assert rows["mean"].tolist() == pytest.approx([times.mean(), 3.0])
    assert rows.p99[1] == 3.0 and rows.p50[0] < rows.p95[0] < rows.p99[0] <= 31


def test_a_batch_waits_for_its_slowest_picture():
    taken = np.array([0, 0, 0, 3])
    rows = dispatch.batches(taken, MACS, full=30, sizes=(1, 2))
    alone = 1 - (0.75 * 10 + 0.25 * 31) / 30
    assert rows.waiting[0] == pytest.approx(alone) and rows.taken_out.tolist() == pytest.approx(
        [alone] * 2
    )
    both_early = 0.75**2
    assert rows.waiting[1] == pytest.approx(1 - (both_early * 10 + (1 - both_early) * 31) / 30)


def test_the_smaller_network_is_the_best_that_costs_no_more():
    known = {(1, "mlp"): 0.6, (2, "mlp"): 0.8, (3, "mlp"): 0.9, (3, "final"): 0.95}
    macs = dict(zip(EXITS, MACS, strict=True))
    assert dispatch.smaller(known, macs, 25) == (2, "mlp")
    assert dispatch.smaller(known, macs, 5) is None


def test_prediction_depth_is_where_the_last_answer_has_come_to_stay():
    assert prediction_depth(SEEN).tolist() == [1, 2, 3, 3]  # right or wrong
    rows = dispatch.depths(SEEN)
    assert rows.layer.tolist() == [1, 2, 3] and rows.share.tolist() == [0.25, 0.25, 0.5]
    assert rows.right.tolist() == [0.25, 0.25, 0.25] and rows.wrong.tolist() == [0, 0, 0.25]


def test_every_picture_is_a_row():
    rows = dispatch.every_picture(np.array([0, 1, 2, 3]), SEEN, SEEN, ("cat", "dog"))
    assert rows.answer.tolist() == ["cat", "cat", "dog", "cat"]
    assert rows.right.tolist() == [True, True, True, False]
    assert rows.prediction_depth.tolist() == [1, 2, 3, 3]
    assert rows.right_from.isna().tolist() == [False, False, False, True]
    assert rows.overthought.tolist() == [False, False, False, True]
    assert rows.exit.tolist() == ["1", "2", "3", "final"]
