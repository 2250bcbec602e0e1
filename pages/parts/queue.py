"""One inference at a time in the whole process, first come first served, so that measured times are
not spoilt by a neighbour."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from uuid import uuid4

import streamlit as st

BLINK_S = 0.4
LIMIT = 64  # twice a class; what comes on top is turned away at once instead of waiting for minutes


class BusyError(RuntimeError):
    """Too many visitors are waiting already."""


class ReplacedError(RuntimeError):
    """The visitor asked for something newer while waiting, which now stands at this place."""


class Queue:
    """A bounded first-come-first-served lock that can say how many are before you. Whoever is first
    in the line is being served."""

    def __init__(self, limit: int = LIMIT):
        self._limit, self._line, self._changed = limit, [], threading.Condition()

    def __len__(self) -> int:
        """How many are being served or wait."""
        return len(self._line)

    @contextmanager
    def turn(self, say: Callable[[int], None], visitor: str | None = None) -> Iterator[None]:
        """Wait for the turn and hold it; `say(n)` hears how many are before, at least twice a
        second, and may raise to leave the line.

        visitor: who asks; a visitor has one waiting place, which a newer request takes over. Raises
        BusyError if the line is full, ReplacedError if this place was taken over.
        """
        me = (object(), visitor)
        self._join(me)
        try:
            told = -1
            while (before := self._before(me, told)) > 0:
                say(before)
                told = before
            yield
        finally:
            with self._changed:
                if me in self._line:
                    self._line.remove(me)
                self._changed.notify_all()

    def _join(self, me: tuple[object, str | None]) -> None:
        with self._changed:
            own = [
                i
                for i, (_, visitor) in enumerate(self._line)
                if i > 0 and visitor is not None and visitor == me[1]
            ]
            if own:
                self._line[own[0]] = me
                self._changed.notify_all()
            elif len(self._line) >= self._limit:
                raise BusyError(
                    f"{self._limit} runs are waiting already; please try again in a few seconds"
                )
            else:
                self._line.append(me)

    def _before(self, me: tuple[object, str | None], told: int) -> int:
        """How many are before me, as soon as that differs from what was told (or after half a
        second)."""
        with self._changed:
            self._changed.wait_for(
                lambda: me not in self._line or self._line.index(me) != told, 0.5
            )
            if me not in self._line:
                raise ReplacedError("a newer request of the same visitor took this place")
            return self._line.index(me)


QUEUE = Queue()  # not a cached resource: any visitor may clear those


@contextmanager
def turn() -> Iterator[None]:
    """`with turn(): ...` around every inference: one at a time, and an honest "2 before you" while
    waiting.

    A visitor who leaves, or changes a setting, gives the place back: Streamlit ends the script
    where it next speaks, and that is here.
    """
    visitor, place = st.session_state.setdefault("_visitor", uuid4().hex), st.empty()
    since = time.monotonic()

    def say(before: int) -> None:
        # a wait of a blink needs no words, but the script must speak for Streamlit to end it
        if time.monotonic() - since < BLINK_S:
            place.empty()
            return
        place.info(
            f"{before} before you: this machine runs one picture at a time.",
            icon=":material/hourglass_top:",
        )

    try:
        with QUEUE.turn(say, visitor):
            place.empty()
            try:
                yield
            finally:
                from mvit.models.helpers import dismiss  # here: it imports torch

                dismiss()
    except ReplacedError:
        st.stop()
