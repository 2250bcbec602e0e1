"""The row of lamps: one for each exit, lit when it fires. Python writes the markup once; a few
lines of script only switch lamps on.

The same markup serves the live run (streamed through `st.html` as exits fire) and the replay
(`replay`, a component without network).
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path

import streamlit as st

from mvit.charts.style import confidence_colour, macs_text, plain_label, sure_text
from mvit.models.multi_exit import FINAL, Exit

ASSETS = Path(__file__).resolve().parent / "assets"
CSS, JS = (ASSETS / "lamps.css").read_text(), (ASSETS / "lamps.js").read_text()
HTML = """
<div class="lab"><div class="bar"><button type="button">&#9654; Replay</button>
<output aria-live="off"></output></div><div class="stage"></div></div>
"""

_component = st.components.v2.component("mvit_lamps", html=HTML, css=CSS, js=JS)


def rows(exits: Sequence[Exit], plan: Sequence[tuple[int, str]], truth: str | None) -> str:
    """Markup of all lamps of a plan, one list for each head; exits that have not fired yet are
    dark. Labels are escaped."""
    fired = {(e.layer, e.head): e for e in exits}
    final = [p for p in plan if p[1] == FINAL]
    heads = list(dict.fromkeys(h for _, h in plan if h != FINAL)) or [FINAL]
    parts = []
    for head in heads:
        lamps = [
            _lamp(place, fired.get(place), truth)
            for place in [p for p in plan if p[1] == head and head != FINAL] + final
        ]
        name = f"{escape(head)} head"
        parts.append(
            f'<h3>{name}</h3><ol role="list" aria-label="Exits of the {name}, in order">{"".join(lamps)}</ol>'
        )
    return "".join(parts)


def _lamp(place: tuple[int, str], fired: Exit | None, truth: str | None) -> str:
    where = "Final" if place[1] == FINAL else f"Layer {place[0]}"
    if fired is None:
        return (
            f'<li class="lamp off" aria-label="{where}, not fired yet"><span class="where">{where}</span><div class="bulb"></div>'
            '<span class="what">-</span><span class="more">-</span><span class="more">-</span></li>'
        )
    label, sure = plain_label(fired.label), escape(sure_text(fired.confidence))
    colour, ink = confidence_colour(fired.confidence)
    verdict = "" if truth is None else ("right" if fired.label == truth else "wrong")
    mark = {"right": '<b class="ok">✓</b>', "wrong": '<b class="no">✗</b>', "": ""}[verdict]
    kinds = " ".join(
        k
        for k, on in (("lamp", True), ("practical", fired.practical), ("final", place[1] == FINAL))
        if on
    )
    facts = [
        where,
        label,
        verdict,
        f"{sure_text(fired.confidence)} sure",
        f"{fired.elapsed_ms:.1f} milliseconds",
    ]
    said = escape(
        ", ".join(
            f
            for f in [
                *facts,
                f"{macs_text(fired.macs)} MACs",
                "practical exit" if fired.practical else "",
            ]
            if f
        )
    )
    return (
        f'<li class="{kinds}" data-ms="{fired.elapsed_ms:.4f}" style="--c:{colour};--t:{ink}" aria-label="{said}" title="{said}">'
        f'<span class="where">{where}</span><div class="bulb"><span>{sure}</span>{mark}</div><span class="what">{escape(label)}</span>'
        f'<span class="more">{fired.elapsed_ms:.1f} ms</span><span class="more">{macs_text(fired.macs)}</span></li>'
    )


def stream(
    place, exits: Sequence[Exit], plan: Sequence[tuple[int, str]], truth: str | None
) -> None:
    """Show in `place` (an st.empty) the lamps that a live run has lit so far."""
    place.html(
        f'<style>{CSS}</style><div class="lab"><div class="bar">Running now …</div>{rows(exits, plan, truth)}</div>'
    )


def replay(
    exits: Sequence[Exit], plan: Sequence[tuple[int, str]], truth: str | None, run: str, slower: int
) -> None:
    """Light the lamps again at the measured times, `slower` times slower; `run` names the run, and
    a new one starts the replay anew."""
    times = [e.elapsed_ms for e in exits]
    _component(
        key="lamps",
        data={"html": rows(exits, plan, truth), "times": times, "run": run, "slower": slower},
    )
