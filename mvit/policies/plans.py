"""Which exits to run at all: a head that is run and not needed delays every exit after it.

A plan's exit finishes at the backbone's cost up to its layer plus the cost of all heads run so far,
its own included. For a budget that is known the best plan is a single exit. For a clock that may
stop at several moments, `best_plan` finds the plan of highest expected accuracy exactly. Costs are
in any unit, ms or MACs; budgets are in the same one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import KW_ONLY, dataclass, replace
from itertools import combinations

import numpy as np

from mvit.models.multi_exit import FINAL, MultiExitViT, Plan

AS_GOOD = 0.005  # of accuracy, or of an error: a head that is no worse than so is as good


@dataclass(frozen=True)
class Option:
    """An exit that a plan may run. accuracy: 0..1, or anything that is better when higher;
    backbone: cost of the blocks up to its layer, embedding included; own: cost of its head."""

    layer: int
    head: str
    accuracy: float
    _: KW_ONLY
    backbone: float
    own: float


@dataclass(frozen=True)
class BestPlan:
    """A plan in running order, when each exit finishes, and the expected accuracy of the answer at
    the budgets it was made for."""

    plan: list[tuple[int, str]]
    finishes: list[float]
    expected: float


def costs(model: MultiExitViT, plan: Plan) -> np.ndarray:
    """MACs of a whole picture run by the time each exit of a plan has answered, all earlier heads
    of the plan included: (E,)."""
    spent, found = 0, []
    for layer, head in plan:
        spent += model.head_macs(layer, head)
        found.append(model.macs_up_to(layer) + spent)
    return np.array(found)


def accuracies(card: dict, final: tuple[int, str]) -> dict[tuple[int, str], float]:
    """{(layer, head): recorded test accuracy} by a card, the final exit, named as a plan does,
    included."""
    rows = [((e["layer"], e["head"]), e) for e in card.get("exits", [])]
    rows.append((final, card.get("final", {})))
    return {place: e["accuracy"] for place, e in rows if "accuracy" in e}


def best_head(card: dict, heads: Sequence[str]) -> str:
    """The head to take where none is named: the one whose exits are right most often on average, or
    miscount by least, by the card; of heads that are as good, to half a point or half a per cent of
    the error, the one of fewest MACs; the first of those that the card says nothing about."""

    def mean(head: str, value: Callable[[dict], float]) -> float:
        own = [value(e) for e in card.get("exits", []) if e["head"] == head]
        return float(np.mean(own)) if own else np.inf

    # shares of wrong answers, or people miscounted
    wrong = {h: mean(h, lambda e: e.get("mae", 1 - e.get("accuracy", 1.0))) for h in heads}
    least = min(wrong.values())
    as_good = [h for h in heads if wrong[h] <= max(least + AS_GOOD, least * (1 + AS_GOOD))]
    return min(as_good, key=lambda h: mean(h, lambda e: e.get("macs", 0)))


def options(
    model: MultiExitViT,
    accuracy: dict[tuple[int, str], float],
    head: str | None = None,
    practical: bool = True,
) -> list[Option]:
    """The exits to choose from, costs in MACs: those with a known accuracy, of one head if named,
    and the final exit.

    accuracy: {(layer, head): accuracy} from a card or from predictions; practical: only exits
    better than every earlier one of their head.
    """
    found = []
    for layer, name in model.plan(head):
        if (layer, name) in accuracy and (
            name == FINAL or not practical or (layer, name) in model.practical_exits
        ):
            price = {"backbone": model.macs_up_to(layer), "own": model.head_macs(layer, name)}
            found.append(Option(layer, name, accuracy[layer, name], **price))
    return found


def in_ms(options: Sequence[Option], trace) -> list[Option]:
    """The same options with costs in ms from a trace (`MultiExitViT.trace`), or any table with
    layer, head, ms and head_ms."""
    exits = zip(trace["layer"], trace["head"], strict=True)
    costs_ms = zip((trace.ms - trace.head_ms).tolist(), trace.head_ms.tolist(), strict=True)
    times = dict(zip(exits, costs_ms, strict=True))
    return [
        replace(o, backbone=times[o.layer, o.head][0], own=times[o.layer, o.head][1])
        for o in options
        if (o.layer, o.head) in times
    ]


def exits_for_deadlines(
    model: MultiExitViT,
    accuracy: dict[tuple[int, str], float],
    head: str,
    count: int = 4,
    most: float = 1.25,
) -> list[tuple[int, str]]:
    """The plan of at most `count` practical exits of one head, then the final exit, whose answer is
    right most often when the clock may stop at any moment.

    Only plans count whose whole run costs at most `most` times the backbone's MACs. accuracy: as
    `options` takes it; without any known one the plan is the final exit alone.
    """
    full = model.exit_macs(*model.final_exit)
    early = [o for o in options(model, accuracy, head) if o.layer < model.depth]
    last = Option(*model.final_exit, accuracy.get(model.final_exit, 1.0), backbone=full, own=0.0)

    def worth(chosen: Sequence[Option]) -> float:
        """Expected accuracy times the longest run allowed; below 0 if the run is longer."""
        spent = np.cumsum([o.own for o in chosen])
        ends = [*(spent + [o.backbone for o in chosen]), most * full]
        lasts = np.diff(ends)
        right = sum(o.accuracy * t for o, t in zip(chosen, lasts, strict=True))
        return right if (lasts >= 0).all() else -1.0

    ways = (c for n in range(count + 1) for c in combinations(early, n))
    best = max(([*way, last] for way in ways), key=worth)
    return [(o.layer, o.head) for o in best]


@dataclass(frozen=True)
class _Partial:
    """A plan that ends at one option: when it finishes, and the accuracy earned from all budgets
    that stop before then."""

    time: float
    earned: float
    before: tuple  # (previous _Partial or None, Option)


def best_plan(
    options: Sequence[Option],
    budgets: Sequence[float],
    weights: Sequence[float] | None = None,
    nothing: float = 0.0,
) -> BestPlan:
    """The plan of highest expected accuracy when the clock stops at one of the budgets, with the
    given weights (equal by default).

    The answer at a budget is the plan's latest exit finished by then; `nothing` is the accuracy of
    having none. Exact, by dynamic programming over the options in running order. It suffices to
    look at plans of growing accuracy: leaving out an exit that is no better than the one before
    changes no answer for the worse and only makes the later ones earlier. A partial plan that ends
    at an option can be dropped if another one ends there no later and, at the moment when this one
    ends, has earned no less: whatever comes next, the other keeps its lead. What is left per option
    is the front of (time, earned).

    Raises ValueError without options, or for budgets or weights that are not positive numbers, or
    that differ in number.
    """
    budgets, weights = _checked(options, budgets, weights)
    total = np.concatenate([[0.0], np.cumsum(weights)])

    def weight_before(time: float) -> float:
        """Weight of the budgets that stop before `time`."""
        return float(total[np.searchsorted(budgets, time, side="left")])

    order = sorted(options, key=lambda o: (o.layer, o.head == FINAL))
    fronts: list[list[_Partial]] = []
    for j, option in enumerate(order):
        time = option.backbone + option.own
        ways = [_Partial(time, nothing * weight_before(time), (None, option))]
        for i in range(j):
            if order[i].accuracy < option.accuracy:
                for way in fronts[i]:
                    time = way.time + option.backbone - order[i].backbone + option.own
                    gain = order[i].accuracy * (weight_before(time) - weight_before(way.time))
                    ways.append(_Partial(time, way.earned + gain, (way, option)))
        fronts.append(_front(ways, option.accuracy, weight_before))
    best, best_value = None, nothing * total[-1]
    for option, front in zip(order, fronts, strict=True):
        for way in front:
            value = way.earned + option.accuracy * (total[-1] - weight_before(way.time))
            # At equal value the one found first stays: it ends at an earlier layer.
            if best is None or value > best_value + 1e-12:
                best, best_value = way, value
    return _unrolled(best, best_value)


def _checked(
    options: Sequence[Option], budgets: Sequence[float], weights: Sequence[float] | None
) -> tuple[np.ndarray, np.ndarray]:
    if not options:
        raise ValueError("there are no exits to choose from")
    budgets = np.asarray(budgets, float)
    weights = np.ones(len(budgets)) if weights is None else np.asarray(weights, float)
    if budgets.ndim != 1 or budgets.shape != weights.shape or not len(budgets):
        raise ValueError("give at least one budget, and one weight for each")
    finite = np.isfinite(budgets).all() and np.isfinite(weights).all()
    if not (finite and (budgets > 0).all() and (weights >= 0).all() and weights.sum() > 0):
        raise ValueError("budgets must be positive numbers, weights not negative and not all 0")
    order = np.argsort(budgets)
    return budgets[order], weights[order] / weights.sum()


def _front(ways: list[_Partial], accuracy: float, weight_before) -> list[_Partial]:
    """The partial plans to one option that no other one beats."""
    kept: list[_Partial] = []
    # of any kept plan: what it has earned at time t is lead + accuracy * weight_before(t)
    lead = -np.inf
    for way in sorted(ways, key=lambda w: (w.time, -w.earned)):
        if way.earned - accuracy * weight_before(way.time) > lead + 1e-12:
            kept.append(way)
            lead = way.earned - accuracy * weight_before(way.time)
    return kept


def _unrolled(way: _Partial, expected: float) -> BestPlan:
    plan, finishes = [], []
    while way is not None:
        finishes.append(way.time)
        way, option = way.before
        plan.append((option.layer, option.head))
    return BestPlan(plan[::-1], finishes[::-1], float(expected))
