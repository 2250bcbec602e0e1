"""What the timeline shows: a measured run, and real runs that were interrupted, held against it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mvit.charts.style import plain_label, sure_text
from mvit.inference.deadline import Answer
from mvit.models.multi_exit import FINAL, Exit


@dataclass(frozen=True, kw_only=True)
class Measured:
    """An uninterrupted run. exits: in the order they fired; macs: run until each of them, earlier
    heads included; plain_ms: of the plain network; truth: the right label, if known."""

    exits: Sequence[Exit]
    macs: Sequence[float]
    plain_ms: float
    truth: str | None

    @property
    def reach(self) -> float:
        """How far the time axis goes, in ms."""
        return round(1.12 * max(self.exits[-1].elapsed_ms, self.plain_ms), 1)

    def at(self, deadline_ms: float) -> Exit | None:
        """The latest exit that had finished by a deadline; None if none had."""
        return next((e for e in reversed(self.exits) if e.elapsed_ms <= deadline_ms), None)


@dataclass(frozen=True)
class Interrupted:
    """A real run. number: which one on this picture; answer: what it had in hand."""

    number: int
    answer: Answer

    def agrees(self, measured: Measured) -> bool:
        """Whether the exit that answered is the one that the replay names for this deadline."""
        return _place(self.answer.exit) == _place(measured.at(self.answer.deadline_ms))

    def told(self, measured: Measured) -> str:
        """The run in one sentence."""
        said = "as in the replay" if self.agrees(measured) else "unlike the replay"
        return f"{real_text(self.answer)}, {said}"


def real_text(a: Answer) -> str:
    """What a real run had in hand, and how late."""
    found, late = "no answer yet", f"{a.overshoot_ms:.2f} ms late"
    if a.exit is not None:
        found = f"{plain_label(a.exit.label)} from {place_name(a.exit.layer, a.exit.head)}"
    if a.overshoot_ms == 0:
        late = f"finished after {a.answered_ms:.1f} ms"
    return f"Real run at {a.deadline_ms:.1f} ms: {found}, {late}"


def in_words(e: Exit) -> str:
    """An exit's answer as a person says it."""
    return (
        f"{plain_label(e.label)} from {place_name(e.layer, e.head)}, {sure_text(e.confidence)} sure"
    )


def place_name(layer: int, head: str) -> str:
    """An exit's place as a person calls it."""
    return "the final exit" if head == FINAL else f"layer {layer}"


def _place(e: Exit | None) -> tuple[int, str] | None:
    return e and (e.layer, e.head)
