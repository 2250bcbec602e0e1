"""Replays of stop rules: scores, sweeps, and the threshold that validation chooses."""

import math
from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import pytest

from mvit.evaluation.predictions import Predictions
from mvit.models.multi_exit import FINAL
from mvit.policies.replay import choose_threshold, replay, replayed, score, scores
from mvit.policies.rules import POLICIES, Confidence, Policy, Stability, make


def synthetic(n=2_000, exits=13, seed=0):
    """Records whose later exits are more often right, and sure when they are."""
    rng = np.random.default_rng(seed)
    truth, ease = rng.integers(0, 10, n), rng.random(n)
    right = ease > np.linspace(0.6, 0.03, exits)[:, None]
    confidence = np.clip(
        0.55
        + 0.5 * (ease - np.linspace(0.6, 0.03, exits)[:, None])
        + 0.05 * rng.standard_normal((exits, n)),
        0.1,
        1,
    )
    top1 = np.where(right, truth, (truth + 1) % 10)
    names = [(b, "mlp") for b in range(1, exits)] + [(exits - 1, FINAL)]
    return Predictions(
        names, top1, confidence, entropy=1 - confidence, margin=confidence * 0.9, truth=truth
    )


MACS = np.arange(1, 14) * 100.0


def test_a_score_is_the_plain_average_over_pictures():
    predictions = synthetic(200)
    taken = replay(Confidence(0.7), predictions)
    found = score(taken, predictions, MACS)
    assert found.accuracy == pytest.approx(
        np.mean([predictions.correct[t, i] for i, t in enumerate(taken)])
    )
    assert found.macs == pytest.approx(np.mean([MACS[t] for t in taken]))
    assert sum(found.share.values()) == pytest.approx(1) and len(found.share) == 12
    # layer 12's own head and the final exit
    assert found.share[12] == pytest.approx(np.mean(taken >= 11))


def sweep(rule, predictions) -> list:
    """Scores of a rule at its own candidate thresholds, from early to late."""
    taken, seen = replayed(rule.at(rule.candidates(predictions)[:, None]), predictions)
    return scores(taken, seen, MACS)


@pytest.mark.parametrize("kind", ["confidence", "entropy", "margin", "patience"])
def test_a_sweep_goes_from_the_first_exit_to_the_last(kind):
    predictions = synthetic()
    found = sweep(POLICIES[kind](), predictions)
    # two exits at least must agree
    assert found[0].macs < MACS[2 if kind == "patience" else 1]
    assert found[-1].macs > 0.7 * MACS[-1]
    # ordered from early to late
    assert all(a.macs <= b.macs + 1e-9 for a, b in zip(found, found[1:], strict=False))
    if kind != "patience":
        assert found[-1].macs == MACS[-1] and found[-1].accuracy == predictions.accuracy[-1]


def test_the_chosen_threshold_keeps_its_promise_on_validation_and_saves_on_test():
    val, test = synthetic(seed=1), synthetic(seed=2)
    threshold, found = choose_threshold(Confidence(), val, MACS, max_drop=0.005)
    assert found.accuracy >= val.accuracy[-1] - 0.005
    cheaper = [s for s in sweep(Confidence(), val) if s.macs < found.macs]
    assert all(s.accuracy < val.accuracy[-1] - 0.005 for s in cheaper)
    judged = score(replay(Confidence(threshold), test), test, MACS)
    assert judged.macs < 0.9 * MACS[-1] and judged.accuracy > test.accuracy[-1] - 0.02
    assert choose_threshold(Confidence(), val, MACS, max_drop=0.2)[1].macs < found.macs


def test_no_threshold_within_the_limit_is_said_so():
    with pytest.raises(ValueError, match="no threshold of 'confidence'"):
        choose_threshold(Confidence(), synthetic(), MACS, thresholds=[0.0])


def test_counts_are_judged_by_their_error():
    rng = np.random.default_rng(0)
    truth = rng.uniform(10, 500, 300)
    count = truth * (1 + np.linspace(0.5, 0.05, 5)[:, None] * rng.standard_normal((5, 300)))
    records = SimpleNamespace(exits=[(b, "mlp") for b in range(1, 6)], count=count, truth=truth)
    always = score(np.full(300, 4), records, MACS[:5])
    assert always.value == pytest.approx(abs(count[4] - truth).mean())
    threshold, found = choose_threshold(Stability(), records, MACS[:5], max_drop=0.2)
    assert found.value <= 1.2 * always.value and found.macs <= MACS[4]


def test_candidates_never_stop_early_at_the_end():
    predictions = synthetic()
    for kind, last in (
        ("confidence", math.inf),
        ("entropy", -math.inf),
        ("margin", math.inf),
        ("patience", 13),
    ):
        found = POLICIES[kind]().candidates(predictions)
        assert found[-1] == last and len(found) <= 50


def test_a_rule_from_outside_is_known_and_searched_like_any_other():
    @dataclass
    class Luck(Policy):
        """Leave where the last digit of the confidence is low."""

        threshold: float = 0.5
        title = "luck"
        meaning = "leave when luck has it"
        key = "luck"

        def stop(self, exit):
            return exit.confidence * 7 % 1 >= self.threshold

    try:
        assert make("luck", 0.25) == Luck(0.25)
        val = synthetic(seed=1)
        threshold, found = choose_threshold(make("luck", 0), val, MACS, max_drop=0.3)
        assert found.accuracy >= val.accuracy[-1] - 0.3 and found.macs < MACS[-1]
        judged = score(replay(Luck(threshold), val), val, MACS)
        assert judged == found
    finally:
        del POLICIES["luck"]
