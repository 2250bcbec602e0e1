"""Time budgets that move, what each way of computing makes of them, and the split of one network
between a device and a server.

The paper's motive (sections I and II): on an edge device the time for one answer changes from
picture to picture. Everything here is a simulation in NumPy over recorded answers and measured
times; nothing is run.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

KINDS = ("steps", "random walk", "bursts")
MAX_BYTES, MAX_ROWS, MAX_MS = 2_000_000, 20_000, 1e7
HALF = 2  # bytes of a number in half precision


class BudgetError(ValueError):
    """A budget trace that cannot be used; the message says why, where, and what is wanted."""


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


def read_csv(data: bytes) -> np.ndarray:
    """Budgets in ms from a CSV: the column `budget_ms`, or the only column; a header is not needed
    then. Raises BudgetError."""
    if len(data) > MAX_BYTES:
        raise BudgetError(
            f"the file has {len(data) / 1e6:.1f} MB; at most {MAX_BYTES / 1e6:.0f} MB can be read"
        )
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise BudgetError("the file is not text in UTF-8; save it as CSV") from None
    try:
        rows = [
            (number, row)
            for number, row in enumerate(csv.reader(io.StringIO(text)), 1)
            if any(cell.strip() for cell in row)
        ]
    except csv.Error as error:
        raise BudgetError(f"the file is not CSV ({error})") from None
    if not rows:
        raise BudgetError("the file is empty; put one budget in milliseconds on each line")
    column, rows = _column(rows)
    if len(rows) > MAX_ROWS:
        raise BudgetError(f"the file has {len(rows):,} budgets; at most {MAX_ROWS:,} can be read")
    if not rows:
        raise BudgetError("there is a header but no budget below it")
    return np.array([_number(row, column, line) for line, row in rows])


def _column(rows: list[tuple[int, list[str]]]) -> tuple[int, list[tuple[int, list[str]]]]:
    """Which column holds the budgets, and the rows below the header."""
    first = [cell.strip().lower() for cell in rows[0][1]]
    if "budget_ms" in first:
        return first.index("budget_ms"), rows[1:]
    if len(first) > 1:
        raise BudgetError(
            f"there are {len(first)} columns and none is called budget_ms; name one so in the first line"
        )
    return 0, rows[1:] if not _is_number(first[0]) else rows


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _number(row: list[str], column: int, line: int) -> float:
    text = row[column].strip() if column < len(row) else ""
    value = float(text) if _is_number(text) else math.nan
    if not 0 < value <= MAX_MS:
        raise BudgetError(
            f"line {line}: '{text[:30]}' is not a time in milliseconds above 0 and at most {MAX_MS:,.0f}"
        )
    return value


@dataclass(frozen=True)
class Outcome:
    """What one way of computing made of the stream. exit: (T,) index of the exit that answered, -1
    if none; right: (T,) 0..1, 0 if none; used: ms computed; wasted: ms computed that the answer
    does not rest on."""

    name: str
    exit: np.ndarray
    right: np.ndarray
    used: np.ndarray
    wasted: np.ndarray

    @property
    def answered(self) -> np.ndarray:
        return self.exit >= 0


def anytime(
    name: str,
    budgets: np.ndarray,
    finishes: Sequence[float],
    heads: Sequence[float],
    worth: np.ndarray,
    stop: np.ndarray | None = None,
) -> Outcome:
    """Run the exits of a plan in turn until the clock stops: the answer is the latest one finished.

    budgets: (T,) ms. finishes: (E,) ms when each exit of the plan has answered. heads: (E,) ms of
    each exit's own head. worth: (E, T) 1 where an exit is right about a picture of the stream (or
    its expected accuracy). stop: (T,) exit index at which a rule leaves, or None to use up the
    budget. Wasted is what ran after the answer, and the earlier heads, whose answers were replaced.
    A plan of one exit is a fixed early cut, and a plan of the final exit alone is the static
    backbone.
    """
    finishes, heads = np.asarray(finishes, float), np.asarray(heads, float)
    last = np.full(len(budgets), len(finishes) - 1) if stop is None else np.asarray(stop, int)
    exit = np.minimum(np.searchsorted(finishes, budgets, side="right") - 1, last)
    answered, at = exit >= 0, np.maximum(exit, 0)
    used = np.minimum(budgets, finishes[last])
    before = np.concatenate([[0.0], np.cumsum(heads)])[at]  # earlier heads of the plan
    useful = np.where(answered, finishes[at] - before, 0.0)
    right = np.where(answered, worth[at, np.arange(len(budgets))], 0.0)
    return Outcome(name, exit, right.astype(float), used, np.maximum(used - useful, 0.0))


def summary(outcomes: Sequence[Outcome]) -> pd.DataFrame:
    """One row an outcome: way, answered, right (shares of all pictures), used_ms, wasted_ms
    (means), wasted (share of what was used)."""
    rows = [
        (
            o.name,
            o.answered.mean(),
            o.right.mean(),
            o.used.mean(),
            o.wasted.mean(),
            o.wasted.sum() / o.used.sum(),
        )
        for o in outcomes
    ]
    return pd.DataFrame(
        rows, columns=["way", "answered", "right", "used_ms", "wasted_ms", "wasted"]
    )


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


def token_bytes(grid: int, dim: int) -> int:
    """What crosses the link when the server goes on from a layer: 1 + grid x grid tokens of dim
    numbers in half precision."""
    return (1 + grid * grid) * dim * HALF


def picture_bytes(side: int) -> int:
    """What crosses the link when the server starts anew: the picture, three bytes a pixel, not
    compressed."""
    return side * side * 3


def link_ms(size: int, mbit: float, delay_ms: float) -> float:
    """Time on the link, there and back: delay_ms (the round trip) + 8 x size / bandwidth. The
    answer, a few bytes, is not counted."""
    return delay_ms + 8 * size / (mbit * 1000)  # 1 Mbit/s is 1000 bits a ms


def split(
    layers: Sequence[int],
    backbone_ms: Sequence[float],
    head_ms: Sequence[float],
    full_ms: float,
    leaves: np.ndarray,
    correct: np.ndarray,
    final_correct: np.ndarray,
    sizes: dict[str, int],
    mbit: float,
    delay_ms: float,
    faster: float,
) -> pd.DataFrame:
    """One exit on the device; a picture that it is not sure about goes on at the server. One row a
    layer and way of sending.

    layers, backbone_ms, head_ms: (K,) the candidate layers, the device's time up to each and its
    head's. full_ms: the whole backbone on the device. leaves, correct: (K, N) whether the exit
    keeps the picture, and is right. final_correct: (N,). sizes: {"tokens": bytes, "picture":
    bytes}; after tokens the server runs the remaining layers, after the picture all of them,
    `faster` times as fast.

    Mean time = device + offloaded share x (link + server); gives back sent, layer, offloaded,
    accuracy, ms, slowest_ms (an offloaded picture), kilobytes (mean a picture).
    """
    away, rows = 1 - leaves.mean(axis=1), []
    accuracy = np.where(leaves, correct, final_correct).mean(axis=1)
    for sent, size in sizes.items():
        for k, layer in enumerate(layers):
            device = backbone_ms[k] + head_ms[k]
            rest = max(full_ms - backbone_ms[k], 0.0) if sent == "tokens" else full_ms
            extra = link_ms(size, mbit, delay_ms) + rest / faster
            rows.append(
                (
                    sent,
                    layer,
                    away[k],
                    accuracy[k],
                    device + away[k] * extra,
                    device + extra,
                    away[k] * size / 1000,
                )
            )
    return pd.DataFrame(
        rows, columns=["sent", "layer", "offloaded", "accuracy", "ms", "slowest_ms", "kilobytes"]
    )
