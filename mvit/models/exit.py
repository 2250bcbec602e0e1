"""What one exit says about one picture: a class with a confidence, or a count of people."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass, field
from functools import cached_property
from typing import ClassVar

FINAL = "final"  # the head name of the backbone's own exit
Plan = Sequence[tuple[int, str]]


@dataclass(frozen=True)
class AnyExit:
    """What all exits share.

    scores: what the task reads from the logits. elapsed_ms: since the run began, other exits
    included; ms: what this exit alone costs, the backbone up to its layer and its head. macs:
    multiply-accumulates of the same.
    """

    layer: int
    head: str
    _: KW_ONLY
    scores: list[float] = field(repr=False)
    labels: tuple[str, ...] = field(repr=False)
    elapsed_ms: float
    head_ms: float
    ms: float
    macs: int
    practical: bool = False

    # of a trace
    columns: ClassVar[tuple[str, ...]] = ("layer", "head", "ms", "head_ms", "macs", "practical")


@dataclass(frozen=True)
class Exit(AnyExit):
    """A class. scores: (out,) class probabilities."""

    columns: ClassVar = (
        "layer",
        "head",
        "prediction",
        "label",
        "confidence",
        "entropy",
        "margin",
        "ms",
        "head_ms",
        "macs",
        "practical",
    )

    @cached_property
    def prediction(self) -> int:
        """Index of the most probable class."""
        return self.scores.index(max(self.scores))

    @property
    def label(self) -> str:
        """What it says."""
        return self.labels[self.prediction]

    @property
    def guess(self) -> str:
        """The most probable class, where the exit says less than that."""
        return ""

    @property
    def unsure(self) -> bool:
        """Whether it says nothing, since it is not sure enough of any kind of thing."""
        return False

    def right(self, truth: str | None) -> bool | None:
        """Whether what it says is true of a picture of that class; None if nobody knows, or if it
        says nothing."""
        return None if truth is None else self.label == truth

    def fits(self, other: Exit) -> bool:
        """Whether what both say can be true of one picture."""
        return self.label == other.label

    @cached_property
    def confidence(self) -> float:
        """Probability of the predicted class, 0..1."""
        return max(self.scores)

    @cached_property
    def margin(self) -> float:
        """Distance of the two highest probabilities."""
        second, first = sorted(self.scores)[-2:]
        return first - second

    @cached_property
    def entropy(self) -> float:
        """Entropy of the probabilities, in nats."""
        return -sum(p * math.log(p) for p in self.scores if p > 0)


@dataclass(frozen=True)
class CountExit(AnyExit):
    """A count of people. scores: (tiles,) people in each tile of the picture; a regressor may go
    below zero."""

    columns: ClassVar = (
        "layer",
        "head",
        "count",
        "label",
        "tiles",
        "ms",
        "head_ms",
        "macs",
        "practical",
    )

    @property
    def tiles(self) -> list[float]:
        """People in each tile, in the order of `mvit.tasks.tile_boxes`."""
        return self.scores

    @cached_property
    def count(self) -> float:
        """People in the whole picture."""
        return sum(self.scores)

    @property
    def prediction(self) -> int:
        """The count as a whole number."""
        return round(self.count)

    @property
    def label(self) -> str:
        return str(self.prediction)


KINDS = {"accuracy": Exit, "mae": CountExit}  # by the task's metric


def settled(answers: Sequence) -> int:
    """Index of the first answer from which all later ones are the same; raises ValueError if there
    is none at all."""
    if not len(answers):
        raise ValueError("there are no answers")
    start = len(answers) - 1
    while start > 0 and answers[start - 1] == answers[-1]:
        start -= 1
    return start
