"""The plain backbone's time beside a run's: taken in turn, and the run of middle length given back
whole."""

import itertools

from thin import PLAN, picture, thin_model

from mvit.inference import baseline as plain


def test_runs_and_plain_passes_take_turns_and_the_middle_run_is_given_back(monkeypatch):
    # the first run only warms up
    model, order, totals = thin_model(), [], iter([9, 30, 10, 50, 20, 40])

    class Ended:
        def __init__(self, ms):
            self.elapsed_ms = ms

    monkeypatch.setattr(
        model, "run", lambda x, plan: order.append("run") or [Ended(1), Ended(next(totals))]
    )
    monkeypatch.setattr(
        plain, "plain_ms", lambda model, x, repeats: order.append("plain") or float(len(order))
    )
    exits, ms = plain.run_beside_plain(model, picture(), PLAN)
    assert order == ["run", *["plain", "run"] * 5]
    assert exits[-1].elapsed_ms == 30 and ms == 6.0


def test_a_slow_model_is_run_once(monkeypatch):
    ticks = itertools.count(step=10)
    monkeypatch.setattr(plain.time, "monotonic", lambda: next(ticks))
    model, runs = thin_model(), []
    real = model.run
    monkeypatch.setattr(model, "run", lambda x, plan: runs.append(plan) or real(x, plan))
    exits, ms = plain.run_beside_plain(model, picture(), PLAN)
    assert len(runs) == 2 and [(e.layer, e.head) for e in exits] == PLAN and ms > 0
