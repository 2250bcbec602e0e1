"""Two models on one clock: how often the answer in hand is right at any moment, and where the lead
changes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
import pandas as pd
from scipy.stats import binomtest

from mvit.evaluation.predictions import Predictions

DOUBT = 0.05  # of a lead that is told: both models have seen the same pictures


@dataclass(frozen=True, kw_only=True)
class Runner:
    """A model in a race. finish: ms after which each exit of its plan has answered, rising: (E,);
    seen: what those exits said about the test pictures."""

    name: str
    finish: Sequence[float]
    seen: Predictions

    def right(self, ms: float) -> np.ndarray:
        """Whether the latest answer at a moment is right, for every picture; none is wrong: (N,)
        bool."""
        done = int(np.searchsorted(self.finish, ms, side="right"))
        return self.seen.correct[done - 1] if done else np.zeros(len(self.seen.truth), bool)


@dataclass(frozen=True, kw_only=True)
class Span:
    """A time in which neither model has a new answer. right: the share of pictures that each has
    right; ahead: whose share is higher with 95 % certainty, None if that cannot be told."""

    start: float
    right: tuple[float, float]
    ahead: str | None


def spans(one: Runner, other: Runner) -> list[Span]:
    """The race from the first answer on, the last span without an end. Raises ValueError if the two
    were recorded on other pictures."""
    if not np.array_equal(one.seen.truth, other.seen.truth):
        raise ValueError(f"{one.name} and {other.name} were recorded on other pictures")
    found = []
    for ms in sorted({*map(float, one.finish), *map(float, other.finish)}):
        a, b = one.right(ms), other.right(ms)
        found.append(Span(start=ms, right=(a.mean(), b.mean()), ahead=_ahead(one, other, (a, b))))
    return found


def _ahead(one: Runner, other: Runner, right: tuple[np.ndarray, np.ndarray]) -> str | None:
    """Who is right more often among the pictures that only one has right, by an exact sign test
    (McNemar's)."""
    only = [int((a & ~b).sum()) for a, b in (right, right[::-1])]
    if not sum(only) or binomtest(only[0], sum(only)).pvalue > DOUBT:
        return None
    return one.name if only[0] > only[1] else other.name


def crossing(race: Sequence[Span]) -> float | None:
    """The moment from which the other model is ahead than was ahead before; of several the last,
    None if the lead never changes."""
    led = [span for span in race if span.ahead]
    changes = [b.start for a, b in zip(led, led[1:], strict=False) if a.ahead != b.ahead]
    return changes[-1] if changes else None


def leaders(race: Sequence[Span]) -> list[str]:
    """Who is ahead in turn; moments at which nobody is are left out."""
    return [who for who, _ in groupby(span.ahead for span in race if span.ahead)]


def told(race: Sequence[Span], rounds: Sequence[Sequence[Span]] = ()) -> str:
    """The race in one sentence, the crossing point named. race: by the median times; rounds: the
    same race by the times of each round, in which the lead may change at other moments, or
    oftener."""
    led = leaders(race)
    if not led:
        return "No crossing: the two are level everywhere, as far as these pictures can tell"
    at, changes = crossing(race), len(led) - 1
    level = [span.ahead is None for span in race if at is None or span.start >= at]
    lead = f"{led[-1]} is ahead{' or level' if any(level) else ''}"
    if at is None:
        said = f"No crossing: {lead} everywhere"
    elif changes == 1:
        said = f"Crossing at {at:.1f} ms: until then {led[0]} is ahead, then {lead}"
    elif all(leaders(own) == led for own in rounds):
        said = f"The lead changes {changes} times; from {at:.1f} ms on {lead}"
    else:
        said = f"From {at:.1f} ms on {lead}; before that, who is ahead differs from run to run"
    if race[-1].ahead is None:
        since = race[max(i for i, span in enumerate(race) if span.ahead) + 1].start
        if at is None or f"{since:.1f}" != f"{at:.1f}":
            said += f"; from {since:.1f} ms on the two are level"
    return said + _spread(led, rounds)


def _spread(led: list[str], rounds: Sequence[Sequence[Span]]) -> str:
    """How single rounds differ from the medians, by which the leaders were found."""
    same = sum(leaders(own) == led for own in rounds)
    if same < len(rounds):
        verb = "shows" if same == 1 else "show"
        alone = f"{same or 'none'} of them alone {verb} the same"
        return f" (by the medians of {len(rounds)} rounds; {alone})"
    ends = [f"{ms:.1f}" for own in rounds if (ms := crossing(own)) is not None]
    if len(set(ends)) < 2:
        return ""
    low, high = min(ends, key=float), max(ends, key=float)
    return f" (between {low} and {high} ms in {len(rounds)} rounds)"


def by_time(race: Sequence[Span], names: Sequence[str], end_ms: float) -> pd.DataFrame:
    """What a chart of the race needs: model, ms, right, one row a model and new answer, from 0 to
    `end_ms`."""
    rows = [(name, 0.0, 0.0) for name in names]
    for span in race:
        rows += [(name, span.start, share) for name, share in zip(names, span.right, strict=True)]
    rows += [(name, end_ms, share) for name, share in zip(names, race[-1].right, strict=True)]
    return pd.DataFrame(rows, columns=["model", "ms", "right"])
