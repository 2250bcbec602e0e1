"""How long an exit is trained: its rate falls when its validation loss gets no better, and it stops
when that goes on."""

import math

import pytest

from mvit.training.exits import ExitRecipe, book_loss


def exit_after(losses: list[float], **recipe):
    """Book these validation losses of one exit: its record, its rate, and the rounds that were
    kept."""
    exit, group, kept = {"losses": [], "stale": 0, "best": math.inf}, {"lr": 1.0}, []
    rates = []
    for number, loss in enumerate(losses, 1):
        if book_loss(exit, loss, group, ExitRecipe(**recipe)):
            kept.append(number)
        rates.append(group["lr"])
    return exit, rates, kept


def test_the_rate_falls_to_three_fifths_once_the_patience_is_used_up():
    exit, rates, kept = exit_after([3, 2, 2.5, 2.4, 2.3, 2.2, 2.1])
    assert rates == pytest.approx([1, 1, 1, 1, 0.6, 0.6, 0.6]) and kept == [1, 2]
    # five rounds without a better loss: it stops
    assert exit["stale"] == 5 == ExitRecipe().stop and exit["best"] == 2


def test_a_better_loss_starts_the_count_anew():
    exit, rates, kept = exit_after([3, 3.1, 3.2, 2.9, 3, 3, 3])
    assert rates == pytest.approx([1, 1, 1, 1, 1, 1, 0.6]) and kept == [1, 4] and exit["stale"] == 3


def test_an_equal_loss_or_none_at_all_is_no_better():
    exit, _, kept = exit_after([2, 2, math.nan])
    assert exit["stale"] == 2 and exit["best"] == 2 and kept == [1]
