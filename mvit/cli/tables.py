"""Results of commands as lines for a person."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mvit.charts.text import macs_text, plain_label, sure_text
from mvit.models.exit import FINAL


def error_or_share(value: float | None, key: str) -> str:
    """An accuracy in percent, or an error in people; nothing for None."""
    if value is None:
        return ""
    return f"{value:.1%}" if key == "accuracy" else f"{value:.1f}"


def by_layer(exits: Sequence[dict], key: str) -> list[str]:
    """What the exits are worth, a line for each layer and a column for each head. key: accuracy or
    mae."""
    heads = list(dict.fromkeys(e["head"] for e in exits))
    found = {(e["layer"], e["head"]): e[key] for e in exits}

    def row(first: str, cells: list[str]) -> str:
        return f"{first:>5}" + "".join(f"{cell:>13}" for cell in cells)

    layers = sorted({layer for layer, _ in found})
    return [
        row("layer", heads),
        *(row(str(b), [error_or_share(found.get((b, h)), key) for h in heads]) for b in layers),
    ]


def answers(exits: Sequence[dict]) -> list[str]:
    """What exits said of one picture, a line each: layer, answer (no more than it is sure of, if it
    may say a kind of thing) or count, ms, MACs; a star marks a practical exit. exits: of one head
    in order, the final one last."""
    counts = "count" in exits[0]
    said = [
        f"{max(e['count'], 0):.0f}" if counts else plain_label(str(e.get("says", e["prediction"])))
        for e in exits
    ]
    wide = max(map(len, [*said, "answer"]))
    sure = "" if counts else f"{'sure':>8}"
    lines = [f"{'layer':>5}  {'people' if counts else 'answer':<{wide}}{sure}{'ms':>9}{'MACs':>9}"]
    for e, word in zip(exits, said, strict=True):
        where = FINAL if e.get("head", FINAL) == FINAL else e["layer"]
        sure = "" if counts else f"{sure_text(e.get('sure', e['confidence'])):>8}"
        star = " *" if e.get("practical") else ""
        cost = f"{e['ms']:>9.1f}{macs_text(e['macs']):>9}"
        lines.append(f"{where:>5}  {word:<{wide}}{sure}{cost}{star}")
    return lines


def in_words(value: Any) -> str:
    """Any value as a person writes it: floats to four digits, names and values instead of brackets
    and quotes."""
    if isinstance(value, dict):
        return ", ".join(f"{name} {in_words(v)}" for name, v in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(map(in_words, value))
    return f"{value:.4g}" if isinstance(value, float) else str(value)
