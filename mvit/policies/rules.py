"""Stop rules: at which exit to leave. One small class each, the same code live and in replay.

Live, a rule is shown one Exit after another: `rule.stop(exit) -> bool`. In replay it is shown whole
columns: an object whose `prediction`, `confidence`, ... are arrays (N,) over recorded pictures, and
`stop` gives back an array of bools. A threshold may be an array too, of shape (T, 1), so that one
replay answers for T thresholds: every rule below is written in operations that broadcast. A rule
that never fires leaves at the last exit. `reset()` before every picture.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from types import SimpleNamespace

import numpy as np

from mvit.models.multi_exit import Exit


@dataclass
class Policy:
    """What all rules share. `sign` says which way a higher `threshold` moves the exit: +1 later, -1
    earlier."""

    measure = "confidence"  # the field of an exit that the threshold is compared with
    sign = 1

    def reset(self) -> None:
        """Forget the picture before."""

    def stop(self, exit: Exit) -> bool:
        """Whether to leave here; shown the exits in running order."""
        raise TypeError(f"{type(self).__name__} has no rule")


@dataclass
class Confidence(Policy):
    """Leave when the predicted class has probability >= threshold (paper, section II; BranchyNet's
    rule with confidence)."""

    threshold: float = 0.9

    def stop(self, exit: Exit) -> bool:
        return exit.confidence >= self.threshold


@dataclass
class Entropy(Policy):
    """Leave when the entropy of the probabilities, in nats, is <= threshold (BranchyNet,
    Teerapittayanon et al., 2016)."""

    threshold: float = 0.3
    measure = "entropy"
    sign = -1

    def stop(self, exit: Exit) -> bool:
        return exit.entropy <= self.threshold


@dataclass
class Margin(Policy):
    """Leave when the two highest probabilities are >= threshold apart."""

    threshold: float = 0.8
    measure = "margin"

    def stop(self, exit: Exit) -> bool:
        return exit.margin >= self.threshold


@dataclass
class Patience(Policy):
    """Leave when `threshold` exits in a row have predicted the same class (PABEE, Zhou et al.,
    2020); 1 leaves at the first exit."""

    threshold: float = 3
    measure = "streak"
    streak: np.ndarray | int = field(default=0, init=False)
    last: np.ndarray | int | None = field(default=None, init=False)

    def reset(self) -> None:
        self.streak, self.last = 0, None

    def stop(self, exit: Exit) -> bool:
        same = False if self.last is None else self.last == exit.prediction
        self.streak, self.last = self.streak * same + 1, exit.prediction
        return self.streak >= self.threshold


@dataclass
class PatienceAndConfidence(Policy):
    """Leave when `patience` exits in a row predict the same class, each with probability >=
    threshold."""

    threshold: float = 0.8
    patience: int = 2
    streak: np.ndarray | int = field(default=0, init=False)
    last: np.ndarray | int | None = field(default=None, init=False)

    def reset(self) -> None:
        self.streak, self.last = 0, None

    def stop(self, exit: Exit) -> bool:
        same = False if self.last is None else self.last == exit.prediction
        self.streak, self.last = (
            (self.streak * same + 1) * (exit.confidence >= self.threshold),
            exit.prediction,
        )
        return self.streak >= self.patience


@dataclass
class Stability(Policy):
    """For counts: leave when `patience` exits in a row each differ by <= threshold (a share, 0.05
    is 5 %) from the one before.

    An exit's `count` is read; the share is of the greater of the two, and of at least one person.
    """

    threshold: float = 0.05
    patience: int = 1
    measure = "change"
    sign = -1
    streak: np.ndarray | int = field(default=0, init=False)
    last: np.ndarray | float | None = field(default=None, init=False)

    def reset(self) -> None:
        self.streak, self.last = 0, None

    def stop(self, exit) -> bool:
        if self.last is not None:
            change = abs(exit.count - self.last) / np.maximum(
                np.maximum(abs(exit.count), abs(self.last)), 1.0
            )
            self.streak = (self.streak + 1) * (change <= self.threshold)
        self.last = exit.count
        return self.streak >= self.patience


@dataclass
class Deadline(Policy):
    """Leave when the next exit of the plan would finish after `threshold`: for a clock that is
    known beforehand.

    expected: (layer, head) -> when that exit finishes, in the unit of the threshold (ms or MACs),
    in running order. Live, the time that an exit really took (`elapsed_ms`) replaces the expected
    one. To be interrupted by a clock that is not known, see mvit.inference.deadline.
    """

    threshold: float = 20.0
    expected: dict[tuple[int, str], float] = field(default_factory=dict)
    measure = "elapsed_ms"

    def stop(self, exit: Exit) -> bool:
        order = list(self.expected)
        here = order.index((exit.layer, exit.head))
        if here + 1 == len(order):
            return True
        now = getattr(exit, "elapsed_ms", None)
        now = self.expected[order[here]] if now is None else now
        return now + self.expected[order[here + 1]] - self.expected[order[here]] > self.threshold


@dataclass
class ProductOfExperts(Policy):
    """Any rule, applied to the product of all exits so far instead of the newest alone (Jazbec et
    al., 2023, anytime monotonicity).

    Log probabilities are summed with weight layer / depth, so later exits count for more, and
    normalised again. `combined` is the Exit that the rule saw, and the answer to give. It needs
    whole probabilities, which are not recorded, so it works live only.
    """

    rule: Policy = field(default_factory=Confidence)
    depth: int = 12
    combined: Exit | None = field(default=None, init=False)
    total: np.ndarray | float = field(default=0.0, init=False)

    def reset(self) -> None:
        self.rule.reset()
        self.combined, self.total = None, 0.0

    def stop(self, exit: Exit) -> bool:
        log_p = np.log(np.maximum(np.asarray(exit.scores, np.float64), 1e-12))
        self.total = self.total + exit.layer / self.depth * log_p
        p = np.exp(self.total - self.total.max())
        self.combined = replace(exit, scores=(p / p.sum()).tolist())
        return self.rule.stop(self.combined)


POLICIES: dict[str, type[Policy]] = {
    "confidence": Confidence,
    "entropy": Entropy,
    "margin": Margin,
    "patience": Patience,
    "patience_confidence": PatienceAndConfidence,
    "stability": Stability,
    "deadline": Deadline,
}


def columns(predictions):
    """Each exit's recorded values over all pictures, as an object that a rule can be shown in place
    of an Exit."""
    for e, (layer, head) in enumerate(predictions.exits):
        values = {
            name: getattr(predictions, name)[e]
            for name in ("confidence", "entropy", "margin")
            if hasattr(predictions, name)
        }
        if hasattr(predictions, "top1"):
            values["prediction"] = predictions.top1[e]
        if hasattr(predictions, "count"):
            values["count"] = predictions.count[e]
        yield SimpleNamespace(layer=layer, head=head, **values)


def replay(policy: Policy, predictions) -> np.ndarray:
    """Which exit a rule takes for each recorded picture: (N,) indices into predictions.exits, or
    (T, N) for T thresholds (T, 1)."""
    # A copy, so that a rule in use keeps its state; an array, since NumPy would round a bare float
    # to the records' float32.
    policy = replace(policy, threshold=np.asarray(policy.threshold, np.float64))
    exits = len(predictions.exits)
    shape = np.broadcast_shapes(policy.threshold.shape, predictions.truth.shape)
    taken, open_ = np.full(shape, exits - 1, np.int8), np.ones(shape, bool)
    for e, column in enumerate(columns(predictions)):
        if e == exits - 1:
            break
        stops = open_ & policy.stop(column)
        taken[stops] = e
        open_ &= ~stops
    return taken


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
    # (E, N)
    worth = (
        predictions.correct
        if hasattr(predictions, "correct")
        else abs(predictions.count - predictions.truth)
    )
    layers = [layer for layer, _ in predictions.exits]
    value, mean_macs = np.zeros(len(taken)), np.zeros(len(taken))
    share = {layer: np.zeros(len(taken)) for layer in sorted(set(layers))}
    for e, layer in enumerate(layers):
        here = taken == e
        leaving = np.count_nonzero(here, axis=1) / taken.shape[1]
        share[layer] += leaving
        mean_macs += leaving * macs[e]
        value += (
            np.count_nonzero(here & worth[e], axis=1) if worth.dtype == bool else here @ worth[e]
        ) / taken.shape[1]
    return [
        Score(float(value[t]), float(mean_macs[t]), {b: float(s[t]) for b, s in share.items()})
        for t in range(len(taken))
    ]


def make(kind: str, threshold: float | np.ndarray, **options) -> Policy:
    """A rule by name; raises ValueError for a name that is not in POLICIES."""
    if kind not in POLICIES:
        raise ValueError(f"there is no stop rule '{kind}'; there are: {', '.join(POLICIES)}")
    return POLICIES[kind](threshold=threshold, **options)


def candidates(kind: str, predictions, n: int = 50) -> np.ndarray:
    """Thresholds worth trying, at most n, the last of which never stops early.

    For a rule on a recorded value these are its quantiles over all early exits, so they lie densely
    where the pictures are.
    """
    measure, sign = POLICIES[kind].measure, POLICIES[kind].sign
    if measure == "streak":
        return np.arange(1.0, len(predictions.exits) + 1)
    if measure == "change":
        return np.append(np.geomspace(1.0, 1e-3, n - 1), -1.0)
    values = np.quantile(getattr(predictions, measure)[:-1], np.linspace(0, 1, n - 1))
    return np.append(np.unique(values)[::sign], sign * math.inf)


def sweep(
    kind: str,
    predictions,
    macs: Sequence[float],
    thresholds: Sequence[float] | None = None,
    **options,
) -> list[tuple[float, Score]]:
    """Score a rule at many thresholds in one replay: [(threshold, Score)]. Options go to the rule,
    e.g. patience=2."""
    tried = candidates(kind, predictions) if thresholds is None else np.asarray(thresholds, float)
    taken = replay(make(kind, tried[:, None], **options), predictions)
    return list(zip(tried.tolist(), scores(taken, predictions, macs), strict=True))


def choose_threshold(
    kind: str,
    val,
    macs: Sequence[float],
    max_drop: float = 0.005,
    thresholds: Sequence[float] | None = None,
    n: int = 50,
    **options,
) -> tuple[float, Score]:
    """The threshold of least mean MACs whose accuracy on validation predictions is at most max_drop
    below the final exit's.

    For counts, whose mean absolute error is at most a share max_drop above the final exit's. n: how
    many thresholds to try, if they are not given. Gives back (threshold, Score on val); judge it on
    the test predictions, `score(replay(make(kind, threshold), test), test, macs)`, never on those
    that chose it. Raises ValueError if none of the thresholds qualifies (one that never stops early
    always does).
    """
    last = score(np.full(len(val.truth), len(val.exits) - 1), val, macs).value
    found = sweep(
        kind, val, macs, candidates(kind, val, n) if thresholds is None else thresholds, **options
    )
    counting = not hasattr(val, "correct")
    good = [
        f
        for f in found
        if (
            f[1].value <= last * (1 + max_drop)
            if counting
            else f[1].value >= last - max_drop - 1e-12
        )
    ]
    if not good:
        raise ValueError(f"no threshold of '{kind}' keeps within {max_drop:g} of the final exit")
    return min(good, key=lambda f: f[1].macs)
