"""One time axis for a run with exits and the plain network beside it: lamps, staircase, a handle.

The handle is either the moment of a slowed-down replay, or a deadline that the visitor drags: the
browser re-scores the measured run at frame rate, and letting go asks the server for a real run.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import streamlit as st

from mvit.charts.text import how_sure, plain_label
from mvit.models.exit import FINAL, Exit
from pages.parts import lamps
from pages.parts.timeline.chart import chart
from pages.parts.timeline.runs import (
    Interrupted,
    Measured,
    against_replay,
    contradicted,
    in_words,
    place_name,
    real_text,
)

__all__ = [
    "Interrupted",
    "Measured",
    "against_replay",
    "contradicted",
    "place_name",
    "real_text",
    "released",
    "timeline",
]

HTML = """
<div class="lab">
<div class="top"><div class="picture"></div><div class="told">
<p class="unknown" role="status"></p><h2 class="finding"></h2>
<div class="sides">
<section class="with"><h3>With exits</h3><p class="big answer"></p>
<p class="small how"></p><p class="small real" role="status"></p></section>
<section class="without"><h3>Plain network</h3><p class="big plain-answer"></p>
<p class="small plain-how"></p><p class="small plain-real"></p></section>
</div></div></div>
<div class="axis"><div class="chart"></div>
<button type="button" class="play" aria-label="Replay" title="Replay">&#9654;</button>
<div class="handle" role="slider" tabindex="0" aria-orientation="horizontal">&#8596;</div></div>
<div class="lamps"></div>
</div>
"""
HERE = Path(__file__).resolve().parent
_component = st.components.v2.component(
    "mvit_timeline",
    html=HTML,
    css=(HERE / "timeline.css").read_text(),
    js=(HERE / "timeline.js").read_text(),
)


def timeline(
    measured: Measured,
    *,
    run: str,
    picture: str = "",
    finding: str = "",
    unknown: str = "",
    settled: Exit | None = None,
    slower: int = 1,
    deadline: float | None = None,
    fixed: bool = False,
    runs: Sequence[Interrupted] = (),
    real: tuple[str, str] = ("", ""),
    on_release: Callable[[], None] | None = None,
) -> None:
    """Draw the timeline.

    run: names the measured run; a new one starts the replay anew, or forgets what was asked.
    picture: markup, see `lamps.pictures`. Without a deadline (ms) it replays, `slower` times
    slower, and ends with the finding and the exit that it names, `settled`. unknown: why every
    answer is a guess, if it is. With a deadline,
    `on_release` is called when the handle is let go (`released()` tells where) unless it is fixed;
    runs are drawn as dots, and `real` says what the latest one found, with exits and without.
    """
    reach = measured.reach
    _component(
        key="timeline",
        data={
            "parts": _parts(measured, picture, runs),
            "exits": [_words(e) for e in measured.exits],
            "plain": measured.plain_ms,
            "reach": reach,
            "step": 0.1 if reach <= 100 else 1,
            "run": run,
            "finding": finding,
            "unknown": unknown,
            "settled": None if settled is None else measured.exits.index(settled),
            "slower": slower,
            "deadline": deadline,
            "fixed": fixed,
            "real": real,
        },
        on_release_change=on_release or (lambda: None),
    )


def _parts(measured: Measured, picture: str, runs: Sequence[Interrupted]) -> dict[str, str]:
    """Markup and words, by the name of their place."""
    return {
        "picture": picture,
        "chart": chart(measured, runs),
        "lamps": lamps.rows(
            measured.exits,
            plan=[(e.layer, e.head) for e in measured.exits],
            macs=measured.macs,
            truth=measured.truth,
        ),
        "plain-how": f"ready after {measured.plain_ms:.1f} ms",
    }


def released() -> float | None:
    """Where the handle was let go just now, in ms; for the callback `on_release`."""
    return st.session_state["timeline"].get("release")


def _words(e: Exit) -> dict:
    """What the timeline says when this exit is the latest."""
    where = place_name(e.layer, e.head) + ("" if e.head == FINAL else f" ({e.head} head)")
    guess = f"; best guess: {plain_label(e.guess)}" if e.guess else ""
    return {
        "ms": e.elapsed_ms,
        "answer": plain_label(e.label),
        "unsure": e.unsure,
        "how": f"{how_sure(e)}, {where}, ready after {e.elapsed_ms:.1f} ms{guess}",
        "said": in_words(e),
    }
