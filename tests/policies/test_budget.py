"""Moving budgets: traces, uploads, what each way of computing makes of them, and the split, against
counting by hand."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mvit.evaluation.predictions import Predictions, wilson
from mvit.policies import budget, split
from mvit.policies.trace_csv import BudgetError, read_csv


@pytest.mark.parametrize("kind", budget.KINDS)
def test_a_series_is_seeded_and_stays_within_its_limits(kind):
    one = budget.series(kind, 700, 5.0, 40.0, seed=3)
    assert one.shape == (700,) and one.min() >= 5 and one.max() <= 40
    assert (one == budget.series(kind, 700, 5.0, 40.0, seed=3)).all() and (
        one != budget.series(kind, 700, 5.0, 40.0, seed=4)
    ).any()
    assert one.std() > 1  # it moves
    assert (budget.series(kind, 9, 7.0, 7.0) == 7).all()


def test_steps_hold_and_bursts_are_mostly_calm():
    steps = budget.series("steps", 1000, 1, 100)
    assert np.count_nonzero(np.diff(steps)) <= 10
    calm = budget.series("bursts", 5000, 1, 100) > 50
    assert 0.5 < calm.mean() < 0.95


@pytest.mark.parametrize(
    "bad", [("waves", 9, 1, 2), ("steps", 0, 1, 2), ("steps", 9, 0, 2), ("steps", 9, 3, 2)]
)
def test_an_impossible_series_is_refused(bad):
    with pytest.raises(ValueError, match="kind"):
        budget.series(*bad)


@pytest.mark.parametrize(
    "text",
    [
        "5\n10\n",
        "budget_ms\n5\n10",
        "ms\n5\n10\n\n",
        "\ufefftime,budget_ms\n1,5\n2,10",
        "budget_ms,x\r\n5,\r\n10,b",
        "sep=;\ntime;budget_ms\n1;5,0\n2;10,0",
        "budget_ms\n5,0\n10,00",
        "ms\n5,0\n10,0",
        "1\tx\tbudget_ms\n5\t1\t5\n6\t1\t10",
        '"time","Budget_ms"\n"1","5"\n"2","10"',
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-8-sig"])
def test_a_csv_is_read_whatever_program_wrote_it(text, encoding):
    assert read_csv(text.encode(encoding)).tolist() == [5, 10]


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "empty"),
        (b"\n \n", "empty"),
        (b"budget_ms\n", "no budget below"),
        (b"a,b\n1,2", "none is called budget_ms"),
        (b"budget_ms\n5\nfast\n", "line 3: 'fast'"),
        (b"5\n-1\n", "line 2"),
        (b"5\nnan", "line 2"),
        (b"5\ninf", "line 2"),
        (b"5\n0", "line 2"),
        (b"x,budget_ms\n1", "line 2: ''"),
        (b"time,budget_ms\n1,12,5", "line 2 has 3 values, the first line 2"),
        (b"budget_ms\n1.5\n2,5", "mixes decimal points and commas"),
        (b"budget_ms\n1,500\n900", "could be a decimal comma or a thousand"),
        (b"budget_ms\n1_000", "line 2"),
        (b"\xff\xfe\x00", "not text"),
        (b"1\n" * 20_001, "20,001"),
        (b"1" * 2_000_001, "2 MB"),
    ],
)
def test_a_bad_csv_says_what_is_wrong_and_where(data, said):
    with pytest.raises(BudgetError, match=said):
        read_csv(data)


@given(st.binary(max_size=200))
@settings(max_examples=150, deadline=None)
def test_any_bytes_are_budgets_or_one_clear_error(data):
    try:
        found = read_csv(data)
    except BudgetError as error:
        assert str(error)
    else:
        assert len(found) and (found > 0).all() and np.isfinite(found).all()


BUDGETS = np.array([0.5, 1.0, 3.9, 4.0, 99.0])
WORTH = np.array([[1, 1, 1, 1, 0], [1, 1, 0, 0, 1.0]])
TIMES = {"finishes": [1.0, 4.0], "heads": [0.25, 0.5]}


def test_anytime_keeps_the_latest_answer_that_is_ready():
    seen = budget.anytime("anytime", BUDGETS, **TIMES, worth=WORTH)
    assert seen.exit.tolist() == [-1, 0, 0, 1, 1] and seen.right.tolist() == [0, 1, 1, 0, 1]
    assert seen.answered.tolist() == [False, True, True, True, True]
    assert seen.used.tolist() == [0.5, 1.0, 3.9, 4.0, 4.0]
    # no answer: all of it; after exit 1: what was begun and not finished; after exit 2: the first
    # head, whose answer was replaced
    assert seen.wasted == pytest.approx([0.5, 0, 2.9, 0.25, 0.25])


def test_a_picture_that_took_longer_is_answered_by_an_earlier_exit():
    slow = np.array([[1.0, 4.0], [1.5, 4.0], [1.0, 3.0], [1.0, 9.0], [100.0, 400.0]])
    seen = budget.anytime("anytime", BUDGETS, finishes=slow, heads=[[0.25, 0.5]] * 5, worth=WORTH)
    assert seen.exit.tolist() == [-1, -1, 1, 0, -1] and seen.right.tolist() == [0, 0, 0, 1, 0]
    assert seen.used.tolist() == [0.5, 1.0, 3.0, 4.0, 99.0]


RUN = pd.DataFrame(
    {"layer": [1, 2, 2], "head": ["mlp", "mlp", "final"], "ms": [3.0, 5.0, 4.2]}
).assign(head_ms=[1.0, 1.0, 0.2])
PLAN, FINAL_EXIT = [(1, "mlp"), (2, "mlp"), (2, "final")], (2, "final")


def test_the_three_ways_take_the_times_of_real_runs():
    slow = RUN.assign(ms=RUN.ms * 10, head_ms=RUN.head_ms * 10)
    budgets = np.full(400, 6.5)
    worth = {e: np.ones(400) for e in PLAN}
    same = {"plan": PLAN, "final": FINAL_EXIT, "cut": (1, "mlp")}
    steady = budget.three_ways("asc", budgets, worth, runs=[RUN], **same)
    # exits finish at 3, 4 + 1 + 1 = 6 and 6.2 ms, the backbone alone at 4.2, the cut at 3
    assert [set(o.exit) for o in steady] == [{2}, {0}, {0}]
    assert [o.used[0] for o in steady] == pytest.approx([6.2, 4.2, 3.0])
    shaken = budget.three_ways("asc", budgets, worth, runs=[RUN, slow], **same)
    late = [~o.answered for o in shaken]
    assert 0.3 < late[0].mean() < 0.7  # one run in two is too slow for all three
    assert (late[0] == late[1]).all() and (late[0] == late[2]).all()


def test_a_stream_draws_recorded_pictures_or_takes_the_accuracies():
    truth = np.array([0, 1])
    exits = [(1, "mlp"), (2, "final")]
    ones = np.ones((2, 2), np.float32)
    test = Predictions(
        exits, np.array([[0, 0], [0, 1]]), ones, entropy=ones, margin=ones, truth=truth
    )
    worth, order = budget.chances(exits, 50, test=test, accuracies={}, seed=3)
    assert (worth[2, "final"] == 1).all() and (worth[1, "mlp"] == (order == 0)).all()
    again, _ = budget.chances(exits, 50, test=test, accuracies={}, seed=3)
    assert (again[1, "mlp"] == worth[1, "mlp"]).all()
    card, order = budget.chances(exits, 5, test=None, accuracies={(1, "mlp"): 0.4})
    assert order is None and set(card[1, "mlp"]) == {0.4} and set(card[2, "final"]) == {0}


def test_the_static_backbone_has_one_answer_or_none():
    seen = budget.anytime("static", BUDGETS, finishes=[4.0], heads=[0.0], worth=WORTH[1:])
    assert seen.answered.tolist() == [False, False, False, True, True] and seen.used.tolist() == [
        0.5,
        1.0,
        3.9,
        4.0,
        4.0,
    ]
    assert seen.wasted.tolist() == [0.5, 1.0, 3.9, 0, 0]


def test_a_stop_rule_saves_work_and_never_finishes_late():
    stop = np.array([1, 1, 0, 0, 0])
    seen = budget.anytime("anytime", BUDGETS, **TIMES, worth=WORTH, stop=stop)
    assert seen.exit.tolist() == [-1, 0, 0, 0, 0] and seen.used.tolist() == [0.5, 1, 1, 1, 1]
    assert seen.wasted.tolist() == [0.5, 0, 0, 0, 0]


@given(
    st.lists(st.floats(0.1, 50), min_size=1, max_size=30),
    st.lists(st.floats(0.1, 5), min_size=1, max_size=6),
)
@settings(deadline=None)
def test_no_answer_is_late_and_no_time_is_invented(budgets, gaps):
    budgets, finishes = np.array(budgets), np.cumsum(gaps)
    heads = np.array(gaps) / 2
    seen = budget.anytime(
        "a", budgets, finishes=finishes, heads=heads, worth=np.ones((len(gaps), len(budgets)))
    )
    for exit, limit in zip(seen.exit, budgets, strict=True):
        assert exit < 0 or finishes[exit] <= limit
        assert exit + 1 == len(finishes) or finishes[exit + 1] > limit
    assert (
        (seen.used <= budgets + 1e-9).all()
        and (seen.wasted >= 0).all()
        and (seen.wasted <= seen.used + 1e-9).all()
    )


def test_summary_and_moving_mean():
    seen = budget.anytime("static", BUDGETS, finishes=[4.0], heads=[0.0], worth=WORTH[1:])
    row = budget.summary([seen]).iloc[0]
    assert (row.answered, row.right) == (0.4, 0.2) and row.wasted == pytest.approx(5.4 / 13.4)
    low, high = wilson(1, 2)  # two of the five were answered, one of these rightly
    assert (row.low, row.high) == pytest.approx((0.4 * low, 0.4 * high))
    line = budget.over_time([seen], window=2)
    assert line.right.tolist() == [0, 0, 0, 0, 0.5] and line.picture.tolist() == [1, 2, 3, 4, 5]
    long = budget.anytime(
        "x", np.full(5000, 9.0), finishes=[1.0], heads=[0.0], worth=np.ones((1, 5000))
    )
    assert len(budget.over_time([long], 50)) <= 300


def test_the_interval_holds_for_other_pictures_at_the_same_budgets():
    budgets = budget.series("steps", 400, 3.0, 14.0, seed=1)
    chance, inside = np.random.default_rng(0), []
    for _ in range(300):
        worth = (chance.random((2, 400)) < [[0.7], [0.95]]).astype(float)
        seen = budget.anytime("x", budgets, finishes=[4.0, 9.0], heads=[0.0, 0.0], worth=worth)
        row = budget.summary([seen]).iloc[0]
        true = np.array([0, 0.7, 0.95])[seen.exit + 1].mean()
        inside.append(row.low <= true <= row.high)
    assert 0.94 <= np.mean(inside) < 1
    none = budget.anytime("x", budgets, finishes=[99.0], heads=[0.0], worth=worth[:1])
    row = budget.summary([none]).iloc[0]
    assert (row.right, row.low, row.high) == (0, 0, 0)


def test_bytes_and_link_by_hand():
    assert split.token_bytes(14, 192) == 197 * 192 * 2 == 75_648
    assert split.picture_bytes(32) == 3072
    # a million bits at 10 Mbit/s, and the delay
    assert split.link_ms(125_000, mbit=10, delay_ms=20) == pytest.approx(120)


def test_the_split_by_hand():
    leaves = np.array([[True, False], [True, True]])
    correct, final = np.array([[True, False], [True, False]]), np.array([True, True])
    rows = split.split(
        [1, 2],
        backbone_ms=[2.0, 4.0],
        head_ms=[1.0, 1.0],
        full_ms=10.0,
        leaves=leaves,
        correct=correct,
        final_correct=final,
        sizes={"tokens": 1250, "picture": 125},
        mbit=1.0,
        delay_ms=5.0,
        faster=2.0,
    )
    first = rows.iloc[0]
    # device 3 ms; half are sent: 5 + 10 ms on the link, then the 8 ms that remain at twice the
    # speed
    assert (first.sent, first.layer, first.offloaded, first.accuracy, first.kilobytes) == (
        "tokens",
        1,
        0.5,
        1.0,
        0.625,
    )
    assert first.slowest_ms == pytest.approx(3 + 15 + 4) and first.ms == pytest.approx(3 + 0.5 * 19)
    assert rows.iloc[2].slowest_ms == pytest.approx(3 + 6 + 5)
    assert rows.iloc[1].ms == 5 and rows.iloc[1].accuracy == 0.5 and rows.iloc[1].offloaded == 0


def test_an_exit_pays_where_it_is_quicker_than_both_plain_networks_and_as_good():
    truth = np.zeros(4, int)
    sure = np.array([[0.95, 0.95, 0.95, 0.5]], np.float32)
    answers = {"entropy": sure, "margin": sure, "truth": truth}
    seen = Predictions([(3, "mlp")], truth[None], sure, **answers)
    network = split.Divided(
        backbone_ms=[4.0],
        head_ms=[1.0],
        full_ms=20.0,
        tokens=10**6,
        seen=seen,
        final=np.ones(4, bool),
    )
    link = split.Link(mbit=1.0, delay_ms=8, faster=20, side=10)
    # 300 bytes take 2.4 ms: the server 8 + 2.4 + 1, the exit 5 and a quarter of that
    gain, layer = network.gain(link, 0.9)
    assert (gain, layer) == (pytest.approx(11.4 / (5 + 11.4 / 4)), 3)
    slow, _ = network.gain(replace(link, mbit=0.01), 0.9)
    assert slow < 1 < gain  # at 0.01 the device alone is quicker
    wrong = replace(network, seen=replace(seen, top1=truth[None] + 1))
    assert wrong.gain(link, 0.9) == (0.0, None)
