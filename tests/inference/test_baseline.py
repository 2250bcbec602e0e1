"""The plain network's time: of the quietest spell, and a run beside it that is chosen by it."""

import itertools

import pytest
from thin import PLAN, picture, thin_model

from mvit.clock import Timing
from mvit.inference import baseline


class Ended:
    def __init__(self, ms):
        self.elapsed_ms = ms


def staged(monkeypatch, plain: list[float], runs: list[float]) -> tuple:
    """A model whose plain passes and runs take these ms, the warm-up apart; and what ran, in
    order."""
    model, order = thin_model(), []
    plain, totals = iter(plain), iter([9, *runs])
    monkeypatch.setattr(
        model, "run", lambda x, plan, *_: order.append("run") or [Ended(1), Ended(next(totals))]
    )
    monkeypatch.setattr(baseline, "timed", lambda work, clock: order.append("plain") or next(plain))
    return model, order


def test_runs_and_plain_passes_take_turns_and_the_quiet_middle_run_is_given_back(monkeypatch):
    model, order = staged(monkeypatch, [40, 10, 11, 30, 9], [500, 20, 10, 1, 30])
    exits, ms = baseline.run_beside_plain(model, picture(), PLAN, usual_ms=10)
    assert order == ["run", *["plain", "run"] * 5]
    # of the three rounds as quiet as usual, 20, 10 and 30 ms long, the middle one
    assert exits[-1].elapsed_ms == 20 and ms == 10


def test_a_slow_model_is_run_once(monkeypatch):
    ticks = itertools.count(step=10)
    monkeypatch.setattr(baseline.time, "monotonic", lambda: next(ticks))
    model, runs = thin_model(), []
    real = model.run
    monkeypatch.setattr(
        model, "run", lambda x, plan, *seen: runs.append(plan) or real(x, plan, *seen)
    )
    seen, further = {}, (3, "resmlp")
    exits, ms = baseline.run_beside_plain(
        model, picture(), PLAN, usual_ms=1, also=[further, model.final_exit], seen=seen
    )
    assert len(runs) == 2 and [(e.layer, e.head) for e in exits] == PLAN and ms > 0
    # the run that warms up tells of other exits too, so that nobody runs the network for them
    assert seen.keys() == {*PLAN, further, model.final_exit}


@pytest.mark.parametrize(
    ("one_pass", "passes", "spells", "quietest"),
    [(1, 15, 3, 20), (50, 8, 3, 20), (200, 3, 3, 20), (300, 3, 2, 20), (2000, 3, 1, 30)],
)
def test_the_plain_time_is_that_of_the_quietest_spell(
    monkeypatch, one_pass, passes, spells, quietest
):
    medians, asked = iter([30.0, 20.0, 25.0]), []
    monkeypatch.setattr(baseline, "timed", lambda work, clock: one_pass)
    monkeypatch.setattr(
        baseline,
        "measure",
        lambda work, n, warmup, clock: asked.append(n) or Timing(n, next(medians), 1, q3=2, p95=3),
    )
    assert baseline.plain_time(thin_model()).median == quietest and asked == [passes] * spells


def test_times_are_alike_within_a_seventh_either_way():
    assert baseline.alike(10, 11.5) and baseline.alike(11.5, 10)
    assert not baseline.alike(10, 12) and not baseline.alike(12, 10)
