"""Time budgets that move, and what each way of computing makes of them.

The paper's motive (sections I and II): on an edge device the time for one answer changes from
picture to picture. Everything here is a simulation in NumPy over recorded answers and measured
times; nothing is run.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass

import numpy as np
import pandas as pd

from mvit.evaluation.predictions import Predictions, wilson
from mvit.policies.outcomes import finish_times

KINDS = ("steps", "random walk", "bursts")


def series(kind: str, n: int, low: float, high: float, seed: int = 0) -> np.ndarray:
    """A time budget for each of n pictures, between low and high: (n,), the same for the same seed.

    steps: holds a level for a while, then jumps to another. random walk: drifts, reflected at low
    and high. bursts: mostly high, with short stretches at low when other work takes the machine.
    Raises ValueError for a kind that is not in KINDS or limits that are not 0 < low <= high.
    """
    if kind not in KINDS or n < 1 or not 0 < low <= high:
        raise ValueError(
            f"kind must be one of {', '.join(KINDS)}, with at least one picture and 0 < low <= high"
        )
    chance = np.random.default_rng(seed)
    if kind == "steps":
        hold = max(1, n // 10)
        return np.repeat(chance.uniform(low, high, -(-n // hold)), hold)[:n]
    if kind == "random walk":
        place = chance.random() + np.cumsum(chance.normal(0, 0.07, n))
        folded = np.abs(np.mod(place, 2.0) - 1.0)  # a mirror at both ends
        return low + (high - low) * folded
    starts = chance.random(n) < 1 / 25
    lengths = chance.integers(4, 16, n)
    load = np.zeros(n + 16)
    np.add.at(load, np.flatnonzero(starts), 1)
    np.add.at(load, np.flatnonzero(starts) + lengths[starts], -1)
    busy = np.cumsum(load)[:n] > 0
    return np.clip(np.where(busy, low, high) + chance.normal(0, 0.03 * (high - low), n), low, high)


@dataclass(frozen=True)
class Outcome:
    """What one way of computing made of the stream. exit: (T,) index of the exit that answered, -1
    if none; right: (T,) 0..1, 0 if none; used: ms computed; wasted: ms computed that the answer
    does not rest on."""

    name: str
    exit: np.ndarray
    right: np.ndarray
    _: KW_ONLY
    used: np.ndarray
    wasted: np.ndarray

    @property
    def answered(self) -> np.ndarray:
        return self.exit >= 0


def anytime(
    name: str,
    budgets: np.ndarray,
    *,
    finishes: np.ndarray,
    heads: np.ndarray,
    worth: np.ndarray,
    stop: np.ndarray | None = None,
) -> Outcome:
    """Run the exits of a plan in turn until the clock stops: the answer is the latest one finished.

    budgets: (T,) ms. finishes: (E,) ms when each exit of the plan has answered, or (T, E) if that
    differs from picture to picture. heads: the same of each exit's own head. worth: (E, T) 1 where
    an exit is right about a picture of the stream (or its expected accuracy). stop: (T,) exit index
    at which a rule leaves, or None to use up the budget. Wasted is what ran after the answer, and
    the earlier heads, whose answers were replaced. A plan of one exit is a fixed early cut, and a
    plan of the final exit alone is the static backbone.
    """
    every, (exits, _) = np.arange(len(budgets)), worth.shape
    finishes, heads = (
        np.broadcast_to(np.asarray(v, float), (len(budgets), exits)) for v in (finishes, heads)
    )
    last = np.full(len(budgets), exits - 1) if stop is None else np.asarray(stop, int)
    exit = np.minimum((finishes <= budgets[:, None]).sum(axis=1) - 1, last)
    answered, at = exit >= 0, np.maximum(exit, 0)
    used = np.minimum(budgets, finishes[every, last])
    before = (np.cumsum(heads, axis=1) - heads)[every, at]  # earlier heads of the plan
    useful = np.where(answered, finishes[every, at] - before, 0.0)
    right = np.where(answered, worth[at, every], 0.0)
    return Outcome(
        name, exit, right.astype(float), used=used, wasted=np.maximum(used - useful, 0.0)
    )


def chances(
    exits: Iterable[tuple[int, str]],
    n: int,
    *,
    test: Predictions | None,
    accuracies: Mapping[tuple[int, str], float],
    seed: int = 0,
) -> tuple[dict[tuple[int, str], np.ndarray], np.ndarray | None]:
    """How likely each exit is right about each of n pictures of a stream, {exit: (n,)}, and which
    recorded pictures these are, (n,).

    With recorded answers the stream is n of their pictures in random order, and an exit is right or
    wrong; without (then None for the pictures) its accuracy, 0 if unknown, is its chance to be.
    """
    if test is None:
        return {e: np.full(n, accuracies.get(e, 0.0)) for e in exits}, None
    order = np.random.default_rng(seed + 1).integers(0, len(test.truth), n)
    rows = {e: test.exits.index(e) for e in exits}
    return {e: test.correct[row, order].astype(float) for e, row in rows.items()}, order


def three_ways(
    names: Sequence[str],
    budgets: np.ndarray,
    worth: Mapping[tuple[int, str], np.ndarray],
    *,
    plan: Sequence[tuple[int, str]],
    final: tuple[int, str],
    cut: tuple[int, str],
    runs: Sequence[pd.DataFrame],
    stop: np.ndarray | None = None,
    seed: int = 0,
) -> list[Outcome]:
    """What a stream of pictures gets from the exits of a plan, from the final exit alone (the
    static backbone) and from one early cut.

    runs: real runs, each a table of layer, head, ms and head_ms (`MultiExitViT.trace`); every
    picture takes as long as one of them, drawn at random, and the three ways that same one. names:
    of the three ways. worth, stop: as in `chances` and `anytime`.
    """
    drawn = np.random.default_rng(seed + 2).integers(0, len(runs), len(budgets))
    own = [
        dict(zip(zip(run["layer"], run["head"], strict=True), run["head_ms"], strict=True))
        for run in runs
    ]
    found = []
    for name, exits, stops in zip(names, (plan, [final], [cut]), (stop, None, None), strict=True):
        heads = np.array([[times[e] for e in exits] for times in own])
        finishes = np.array([finish_times(run, exits) for run in runs])
        found.append(
            anytime(
                name,
                budgets,
                finishes=finishes[drawn],
                heads=heads[drawn],
                worth=np.stack([worth[e] for e in exits]),
                stop=stops,
            )
        )
    return found


def summary(outcomes: Sequence[Outcome]) -> pd.DataFrame:
    """One row an outcome: way, answered, right (shares of all pictures; low, high: between which it
    would lie for other pictures at the same budgets, with 95 % certainty), used_ms, wasted_ms
    (means), wasted (share of what was used), p50, p95 and p99 of the time used."""
    rows = [
        (
            o.name,
            o.answered.mean(),
            o.right.mean(),
            # who has no answer in time is wrong whatever the picture
            *(
                float(v) * o.answered.mean()
                for v in wilson(o.right.sum(), max(1, o.answered.sum()))
            ),
            o.used.mean(),
            o.wasted.mean(),
            o.wasted.sum() / o.used.sum(),
            *np.percentile(o.used, (50, 95, 99)).tolist(),
        )
        for o in outcomes
    ]
    columns = "way answered right low high used_ms wasted_ms wasted p50 p95 p99"
    return pd.DataFrame(rows, columns=columns.split())


def over_time(outcomes: Sequence[Outcome], window: int, points: int = 300) -> pd.DataFrame:
    """Moving share of right answers, no answer counted as wrong: way, picture, right. At most
    `points` rows for each way."""
    parts = []
    for o in outcomes:
        total = np.concatenate([[0.0], np.cumsum(o.right)])
        ends = np.arange(1, len(o.right) + 1)
        begins = np.maximum(ends - window, 0)
        mean = (total[ends] - total[begins]) / (ends - begins)
        kept = np.unique(np.linspace(0, len(mean) - 1, min(points, len(mean))).astype(int))
        parts.append(pd.DataFrame({"way": o.name, "picture": kept + 1, "right": mean[kept]}))
    return pd.concat(parts, ignore_index=True)
