"""Intervals around counts: how often they hold, and that they stay honest at the edges."""

import numpy as np

from mvit.evaluation.counts import Counts
from mvit.evaluation.intervals import LEAST, Errors, halves, summary

EXITS = [(1, "mlp"), (12, "final")]


def counts(number: int = 600, spread: float = 0.2, seed: int = 0) -> Counts:
    """Two sets of pictures, counted with errors that are a share of who is there."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(5, 800, number)
    tiles = truth[None, :, None] * (1 + spread * rng.normal(0, 1, (2, number, 1))) / 6
    names = [f"{'AB'[i % 2]}/{i}" for i in range(number)]
    return Counts(EXITS, tiles.repeat(6, 2), (truth[:, None] / 6).repeat(6, 1), names=names)


def test_nine_in_ten_unseen_pictures_lie_inside():
    held = [row["held"] for row in summary(counts())["exits"]]
    assert all(0.87 <= share <= 0.93 for share in held)


def test_an_exit_that_errs_more_has_a_wider_interval():
    narrow, wide = (Errors.of(counts(spread=s), EXITS[0]).interval(300) for s in (0.1, 0.4))
    assert wide.low < narrow.low < 300 < narrow.high < wide.high


def test_no_interval_goes_below_nobody():
    errors = Errors.of(counts(spread=0.8), EXITS[0])
    for count in (-40.0, 0.0, 1.0, 6.0):
        found = errors.interval(count)
        assert 0 <= found.low <= found.high and isinstance(found.low, int)


def test_an_interval_is_given_only_where_it_can_hold_nine_in_ten():
    chance, held = np.random.default_rng(0), []
    for _ in range(2_000):
        there = 100 * np.exp(chance.normal(0, 0.3, LEAST + 1))
        errors = Errors(np.full(LEAST, 100.0), there[:-1])
        found = errors.interval(100)
        held.append(found.low <= there[-1] <= found.high)
    assert 0.88 <= np.mean(held) <= 0.93
    assert Errors(np.full(LEAST - 1, 100.0), there[: LEAST - 1]).interval(100) is None
    assert summary(counts(2 * LEAST - 4))["exits"] == [] != summary(counts(4 * LEAST))["exits"]


def test_both_halves_have_pictures_of_every_set_and_share_none():
    first, second = halves(counts(101))
    assert not set(first) & set(second) and len(first) + len(second) == 101
    assert {i % 2 for i in first} == {i % 2 for i in second} == {0, 1}
