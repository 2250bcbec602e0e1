"""The row of lamps: one for each exit, lit when it fires; and the picture beside them.

The same markup serves the live run (streamed through `st.html` as exits fire) and the timeline.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path

from mvit.charts.text import confidence_colour, how_sure, macs_text, plain_label, sure_text
from mvit.models.exit import FINAL, Exit, Plan

CSS = (Path(__file__).resolve().parent / "timeline" / "timeline.css").read_text()
SEEN = "What the model sees"  # caption of the picture as it is handed to the network
FEW = 5  # lamps so wide that their words stand beside the bulb
DARK = '<span class="what">-</span><span class="more">-</span>'


def rows(exits: Sequence[Exit], *, plan: Plan, macs: Sequence[float], truth: str | None) -> str:
    """Markup of all lamps of a plan, one list for each head; exits that have not fired yet are
    dark. macs: run by the time each exit of the plan has answered. Labels are escaped."""
    fired = {(e.layer, e.head): e for e in exits}
    spent = dict(zip(plan, macs, strict=True))
    final = [p for p in plan if p[1] == FINAL]
    heads = list(dict.fromkeys(h for _, h in plan if h != FINAL)) or [FINAL]
    parts = []
    for head in heads:
        lamps = [
            _lamp(place, fired.get(place), spent[place], truth=truth)
            for place in [p for p in plan if p[1] == head and head != FINAL] + final
        ]
        name = f"{escape(head)} head"
        parts.append(f'<h3 class="head">{name}</h3>' if len(heads) > 1 else "")
        few = ' class="few"' if len(lamps) <= FEW else ""
        parts.append(
            f'<ol role="list"{few} aria-label="Exits of the {name}, in order">{"".join(lamps)}</ol>'
        )
    return "".join(parts)


def _lamp(place: tuple[int, str], fired: Exit | None, macs: float, *, truth: str | None) -> str:
    where = "Final" if place[1] == FINAL else f"Layer {place[0]}"
    if fired is None:
        return (
            f'<li class="lamp off" aria-label="{where}, not fired yet"><span class="where">{where}'
            f'</span><div class="bulb"></div>{DARK}</li>'
        )
    label, sure = plain_label(fired.label), sure_text(fired.confidence)
    colour, ink = confidence_colour(fired.confidence)
    verdict = {None: "", True: "right", False: "wrong"}[fired.right(truth)]
    mark = {"right": '<b class="ok">✓</b>', "wrong": '<b class="no">✗</b>', "": ""}[verdict]
    on = (True, fired.practical, place[1] == FINAL)
    kinds = " ".join(
        k for k, is_so in zip(("lamp", "practical", "final"), on, strict=True) if is_so
    )
    ms, work = fired.elapsed_ms, macs_text(macs)
    facts = [where, label, verdict, how_sure(fired), f"{ms:.1f} milliseconds", f"{work} MACs"]
    guess = f"best guess: {plain_label(fired.guess)}" if fired.guess else ""
    facts += [guess, "practical exit" if fired.practical else ""]
    said = escape(", ".join(f for f in facts if f))
    return (
        f'<li class="{kinds}" data-ms="{ms:.4f}" style="--c:{colour};--t:{ink}" '
        f'aria-label="{said}" title="{said}"><span class="where">{where}</span>'
        f'<div class="bulb"><span>{escape(sure)}</span>{mark}</div>'
        f'<span class="what">{escape(label)}</span><span class="guess">{escape(guess)}</span>'
        f'<span class="more">{ms:.1f} ms <i>{work}</i> <i>MACs</i></span></li>'
    )


def stream(place, exits: Sequence[Exit], *, plan: Plan, macs: Sequence[float], truth: str | None):
    """Show in `place` (an st.empty) the lamps that a live run has lit so far."""
    lit = rows(exits, plan=plan, macs=macs, truth=truth)
    place.html(f'<style>{CSS}</style><div class="lab"><p>Running now …</p>{lit}</div>')


def pictures(shown: dict[str, str]) -> str:
    """Markup of small pictures, as `mvit.images.draw.data_url` writes them, by their captions."""
    return "".join(
        f'<figure><img alt="{escape(caption)}" src="{escape(url)}">'
        f"<figcaption>{escape(caption)}</figcaption></figure>"
        for caption, url in shown.items()
    )
