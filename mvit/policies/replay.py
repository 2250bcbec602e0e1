"""Stop rules over recorded answers: where every picture leaves, what that costs and is worth, and
which threshold and exits are chosen for it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np

from mvit.evaluation.predictions import Predictions
from mvit.models.multi_exit import Plan
from mvit.policies.policy import Policy

FIELDS = {
    "top1": "prediction",
    "confidence": "confidence",
    "entropy": "entropy",
    "margin": "margin",
    "count": "count",
}


def columns(predictions) -> Iterable[SimpleNamespace]:
    """Each exit's recorded values over all pictures, as an object that a rule can be shown in place
    of an Exit."""
    known = {name: getattr(predictions, f) for f, name in FIELDS.items() if hasattr(predictions, f)}
    for e, (layer, head) in enumerate(predictions.exits):
        yield SimpleNamespace(layer=layer, head=head, **{name: v[e] for name, v in known.items()})


def leaves_at(rule: Policy, exits: Iterable) -> int:
    """Index of the exit at which a rule leaves one picture, shown its exits in running order; the
    last one if it never fires."""
    rule.reset()
    for seen, exit in enumerate(exits):
        if rule.stop(exit):
            return seen
    return seen


def replayed(rule: Policy, predictions) -> tuple[np.ndarray, Predictions]:
    """Which exit a rule takes for each recorded picture: (N,) indices into predictions.exits, or
    (T, N) for T thresholds (T, 1); and the answers that it gives there."""
    rule, seen = rule.on_records(predictions)
    # A copy, so that a rule in use keeps its state; an array, since NumPy would round a bare float
    # to the records' float32.
    rule = rule.at(np.asarray(rule.threshold, np.float64))
    exits = len(seen.exits)
    shape = np.broadcast_shapes(rule.threshold.shape, seen.truth.shape)
    taken, open_ = np.full(shape, exits - 1, np.int8), np.ones(shape, bool)
    for e, column in enumerate(columns(seen)):
        if e == exits - 1:
            break
        stops = open_ & rule.stop(column)
        taken[stops] = e
        open_ &= ~stops
    return taken, seen


def replay(rule: Policy, predictions) -> np.ndarray:
    """Which exit a rule takes for each recorded picture, as in `replayed`."""
    return replayed(rule, predictions)[0]


def worth(predictions) -> np.ndarray:
    """(E, N) whether each answer is right, or for counts how far off it is."""
    if hasattr(predictions, "correct"):
        return predictions.correct
    return abs(predictions.count - predictions.truth)


@dataclass(frozen=True)
class Score:
    """What a rule achieves: `value`, accuracy (0..1) or for counts the mean absolute error; mean
    MACs of a picture; and share: {layer: part of the pictures that leaves there}."""

    value: float
    macs: float
    share: dict[int, float]

    @property
    def accuracy(self) -> float:
        return self.value


def score(taken: np.ndarray, predictions, macs: Sequence[float]) -> Score:
    """Judge a replay. taken: (N,); macs: (E,) cost of leaving at each exit, everything run before
    it included (`plans.costs`)."""
    return scores(taken[None], predictions, macs)[0]


def scores(taken: np.ndarray, predictions, macs: Sequence[float]) -> list[Score]:
    """The same for T replays at once. taken: (T, N)."""
    each = worth(predictions)
    layers = [layer for layer, _ in predictions.exits]
    value, mean_macs = np.zeros(len(taken)), np.zeros(len(taken))
    share = {layer: np.zeros(len(taken)) for layer in sorted(set(layers))}
    for e, layer in enumerate(layers):
        here = taken == e
        leaving = np.count_nonzero(here, axis=1) / taken.shape[1]
        share[layer] += leaving
        mean_macs += leaving * macs[e]
        value += (
            np.count_nonzero(here & each[e], axis=1) if each.dtype == bool else here @ each[e]
        ) / taken.shape[1]
    return [
        Score(float(value[t]), float(mean_macs[t]), {b: float(s[t]) for b, s in share.items()})
        for t in range(len(taken))
    ]


def choose_threshold(
    rule: Policy,
    val,
    macs: Sequence[float],
    *,
    max_drop: float = 0.005,
    thresholds: Sequence[float] | None = None,
    n: int = 50,
) -> tuple[float, Score]:
    """The threshold of least mean MACs that the rule keeps to on validation predictions
    (`Policy.keeps`): for most rules, one whose accuracy there is at most max_drop below the final
    exit's.

    For counts, whose mean absolute error is at most a share max_drop above the final exit's.
    Returns (threshold, Score on val); judge it on the test predictions, never on those that chose
    it. Raises ValueError if none of the thresholds qualifies (one that never stops early does, if
    the rule then answers as the final exit does).
    """
    tried = rule.candidates(val, n) if thresholds is None else np.asarray(thresholds, float)
    taken, seen = replayed(rule.at(tried[:, None]), val)
    given = np.take_along_axis(worth(seen), taken.astype(np.int64), axis=0)  # (T, N)
    keeps = rule.keeps(given, worth(val)[-1], max_drop)
    found = zip(tried.tolist(), scores(taken, seen, macs), strict=True)
    good = [chosen for chosen, kept in zip(found, keeps, strict=True) if kept]
    if not good:
        raise ValueError(
            f"no threshold of '{rule.title}' keeps within {max_drop:g} of the final exit"
        )
    return min(good, key=lambda f: f[1].macs)


def exits_for_rule(
    rule_for: Callable[[Plan], Policy],
    val,
    cost_of: Callable[[Plan], Sequence[float]],
    *,
    max_drop: float = 0.005,
    most: int = 4,
    **search,
) -> list[tuple[int, str]]:
    """At most `most` early exits, and the final one, with which a rule is cheapest on validation:
    every head on the way costs, so running them all is seldom best.

    Local search from no early exit, or from as many as the rule needs, evenly spread: one is added,
    or one exchanged for another, whichever saves most, as long as that saves half a per cent. No
    early exit is left if none pays. rule_for: plan -> the rule along it; cost_of: plan -> (E,) cost
    of leaving at each of its exits (`plans.costs`); max_drop and other options as in
    `choose_threshold`, which judges each plan.
    """
    known, final = val.exits[:-1], val.exits[-1]

    def spent(early: list[tuple[int, str]]) -> float:
        plan = [*early, final]
        try:
            chosen = choose_threshold(
                rule_for(plan), val.select(plan), cost_of(plan), max_drop=max_drop, **search
            )
        except ValueError:
            return np.inf
        return chosen[1].macs

    alone = float(cost_of([final])[-1])
    least = min(len(known), rule_for([*known, final]).fewest)
    spread = np.linspace(0, len(known) - 1, least + 2)[1:-1].round().astype(int)
    early = [known[e] for e in spread] if least > 1 else []
    least_spent = spent(early) if early else alone
    while True:
        rest = [e for e in known if e not in early]
        kept = [[e for e in early if e != gone] for gone in early]
        kept += [early] if len(early) < max(most, least) else []
        tried = [sorted([*some, new]) for some in kept for new in rest]
        costs = [spent(some) for some in tried]
        if not costs or min(costs) > 0.995 * least_spent or min(costs) == np.inf:
            return [*early, final] if least_spent < alone else [final]
        least_spent, early = min(costs), tried[costs.index(min(costs))]
