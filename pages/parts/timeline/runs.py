"""What the timeline shows: a measured run, and real runs that were interrupted, held against it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mvit.charts.text import how_sure, plain_label
from mvit.models.exit import FINAL, Exit, settled

if TYPE_CHECKING:
    from mvit.inference.deadline import Answer

WORTH = 1.1  # times as long, and more, are told
SURE = 0.9  # an answer that stays is better told from an exit that believes it


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

    def beyond(self, measured: Measured) -> int:
        """By how many exits it got further than the replay did by the same deadline; below 0 if not
        as far."""
        places = [None, *map(_place, measured.exits)]
        replayed = measured.at(self.answer.deadline_ms)
        return places.index(_place(self.answer.exit)) - places.index(_place(replayed))

    def within(self, reach: float) -> bool:
        """Whether it had its answer before the end of the time axis."""
        return self.answer.answered_ms <= reach

    def told(self, measured: Measured) -> str:
        """The run in one or two sentences."""
        return real_text(self.answer) + against_replay(self.beyond(measured))


def against_replay(beyond: int) -> str:
    """How the end of a sentence on a real run holds it against the replay, and why they differ.
    beyond: as of `Interrupted`."""
    if beyond == 0:
        return "; as in the replay."
    if beyond > 0:
        return ". Further than the replay: the machine was less busy."
    return ". Less far than the replay: the machine was busier."


def contradicted(measured: Measured, runs: Sequence[Interrupted]) -> str:
    """How many real runs at one deadline got less far than the replay, or further; nothing if all
    got as far. runs: at least one."""
    ways = [r.beyond(measured) for r in runs]
    less, more = sum(w < 0 for w in ways), sum(w > 0 for w in ways)
    if not less + more:
        return ""
    at = runs[0].answer.deadline_ms
    replayed = measured.at(at)
    has = in_words(replayed) if replayed else "no answer yet"
    parts = [(less, "got less far"), (more, "got further"), (len(runs) - less - more, "as far")]
    told = ", ".join(f"{n} {what}" for n, what in parts if n)
    many = f"Of {len(runs)} real runs {told}" if len(runs) > 1 else f"The real run {parts[more][1]}"
    state = "busier" if less >= more else "less busy"
    return (
        f"At {at:g} ms the replay has {has}. {many}: the machine is {state} than it was during the "
        "replayed run."
    )


def real_text(a: Answer) -> str:
    """What a real run had in hand, and how late."""
    found, late = "no answer yet", f"; it stopped {a.overshoot_ms:.2f} ms after that"
    if a.exit is not None:
        found = f"{plain_label(a.exit.label)} from {place_name(a.exit.layer, a.exit.head)}"
    if a.overshoot_ms == 0:
        late = f", finished after {a.answered_ms:.1f} ms"
    return f"Real run, told to stop at {a.deadline_ms:.1f} ms: {found}{late}"


def in_words(e: Exit) -> str:
    """An exit's answer as a person says it."""
    return f"{plain_label(e.label)} from {place_name(e.layer, e.head)}, {how_sure(e)}"


def place_name(layer: int, head: str) -> str:
    """An exit's place as a person calls it."""
    return "the final exit" if head == FINAL else f"layer {layer}"


def _place(e: Exit | None) -> tuple[int, str] | None:
    return e and (e.layer, e.head)


def settled_exit(exits: Sequence[Exit], head: str) -> Exit:
    """The first exit from which this head and the final exit keep the final answer; see the word
    `settled`."""
    own = [e for e in exits if e.head in (head, FINAL)]
    return own[settled([e.label for e in own])]


def told_exit(exits: Sequence[Exit], head: str) -> Exit:
    """The exit that a headline names: of those that keep the final answer the first that is at
    least `SURE`, or the first of all if none is."""
    own = [e for e in exits if e.head in (head, FINAL)]
    kept = own[settled([e.label for e in own]) :]
    return next((e for e in kept if e.confidence >= SURE), kept[0])


def found(measured: Measured, heads: Sequence[str]) -> str:
    """What a user would run, with exits and without, in one sentence."""
    known, final = told_exit(measured.exits, heads[0]), measured.exits[-1]
    said = f"{plain_label(final.label)} from {place_name(known.layer, known.head)}"
    if final.right(measured.truth) is False:
        said += f" (wrong: the right answer is {plain_label(measured.truth)})"
    said += f", {how_sure(known)}, ready after {known.elapsed_ms:.1f} ms"
    head = f"{heads[0]}: " if len(heads) > 1 else ""
    said = f"{head}{said}; the plain network needs {measured.plain_ms:.1f} ms"
    times = measured.plain_ms / known.elapsed_ms
    return said if times < WORTH else f"{said}, {times:.1f} times as long"
