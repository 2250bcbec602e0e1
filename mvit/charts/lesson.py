"""Charts of the lesson: a guess beside the answer, and few bars with the answer marked."""

from __future__ import annotations

import altair as alt
import pandas as pd

from mvit.charts.kept import kept
from mvit.charts.style import HEAD_COLOURS, confidence_colour, head_colour, macs_text, title

BLUE, ORANGE, GREY = (HEAD_COLOURS[h] for h in ("mlp", "vit", "final"))
GUESS, ANSWER = "your guess", "the answer"


@kept
def guess_line(
    guess: float | None,
    answer: float,
    near: float,
    low: float,
    high: float,
    unit: str,
    finding: str,
) -> alt.LayerChart:
    """Guess and answer on one scale; the band is what counts as right. guess: None if there was
    none. near: half the band's width."""
    marks = [(GUESS, guess)] * (guess is not None) + [(ANSWER, answer)]
    rows = pd.DataFrame(marks, columns=["what", "value"])
    x = alt.X(
        "value:Q",
        title=unit,
        scale=alt.Scale(domain=[min(low, answer), max(high, answer)], nice=False),
        axis=alt.Axis(tickCount=6),
    )
    band = pd.DataFrame(
        {"value": [max(low, answer - near)], "end": [min(max(high, answer), answer + near)]}
    )
    area = alt.Chart(band).mark_rect(color=BLUE, opacity=0.22).encode(x=x, x2="end:Q")
    line = alt.Chart(pd.DataFrame({"value": [min(low, answer)], "end": [max(high, answer)]}))
    line = line.mark_rule(color=GREY, strokeWidth=2).encode(x=x, x2="end:Q")
    dots = _marked(rows, unit).encode(x=x)
    return alt.layer(
        area, line, dots, title=title(finding, "The blue band counts as right."), height=64
    )


def _marked(rows: pd.DataFrame, unit: str) -> alt.Chart:
    """Guess and answer as large points, different in shape and colour. rows: what, value."""
    kinds = list(rows.what)
    looks = {GUESS: (ORANGE, "diamond"), ANSWER: (BLUE, "circle")}
    colour, shape = (alt.Scale(domain=kinds, range=[looks[k][i] for k in kinds]) for i in (0, 1))
    legend = alt.Legend(title=None, orient="bottom", symbolSize=140)
    return (
        alt.Chart(rows)
        .mark_point(filled=True, size=340, opacity=1)
        .encode(
            color=alt.Color("what:N", scale=colour, legend=legend),
            shape=alt.Shape("what:N", scale=shape, legend=legend),
            tooltip=[
                alt.Tooltip("what:N", title="Mark"),
                alt.Tooltip("value:Q", title=unit, format=".1f"),
            ],
        )
    )


@kept
def bars(rows: pd.DataFrame, measure: str, finding: str, top: float = 1.0) -> alt.LayerChart:
    """Shares as bars, in the rows' order. rows: name, value (0..1), mark (a word set behind the
    number, may be empty)."""
    shown = rows.assign(
        text=[f"{100 * v:.0f} % {m}".strip() for v, m in zip(rows.value, rows.mark, strict=True)],
        kind=["marked" if m else "plain" for m in rows.mark],
    )
    y = alt.Y("name:N", sort=list(rows.name), title=None, axis=alt.Axis(labelLimit=150))
    scale = alt.Scale(domain=[0, 1.45 * top], nice=False)  # room for the words
    ticks = alt.Axis(format=".0%", tickCount=4)
    x = alt.X("value:Q", title=measure, scale=scale, axis=ticks)
    colour = alt.Color(
        "kind:N", scale=alt.Scale(domain=["plain", "marked"], range=[GREY, BLUE]), legend=None
    )
    tips = [
        alt.Tooltip("name:N", title="What"),
        alt.Tooltip("value:Q", title=measure, format=".1%"),
    ]
    base = alt.Chart(shown).encode(x=x, y=y, tooltip=tips)
    words = base.mark_text(align="left", dx=5, fontSize=12).encode(text="text:N")
    return alt.layer(
        base.mark_bar(cornerRadiusEnd=3).encode(color=colour),
        words,
        title=title(finding),
        height=30 * len(rows),
    )


@kept
def answers(rows: pd.DataFrame, depth: int, finding: str) -> alt.LayerChart:
    """Answers of one head layer by layer, one row a picture. rows: picture, layer (depth + 1: the
    final exit), label, confidence, settled (bool: the final answer, from here on)."""
    fills, inks = zip(*(confidence_colour(c) for c in rows.confidence), strict=True)
    shown = rows.assign(
        where=[str(b) if b <= depth else "final" for b in rows.layer],
        fill=fills,
        ink=inks,
        state=rows.settled.map({True: "settled", False: "not yet"}),
    )
    order = [*(str(b) for b in range(1, depth + 1)), "final"]
    x = alt.X("where:N", sort=order, title="Layer", axis=alt.Axis(labelAngle=0, grid=False))
    y = alt.Y(
        "picture:N",
        sort=list(dict.fromkeys(rows.picture)),
        title=None,
        axis=alt.Axis(labelLimit=120, grid=False),
    )
    tips = [
        alt.Tooltip("picture:N", title="Picture"),
        alt.Tooltip("where:N", title="Layer"),
        alt.Tooltip("label:N", title="Answer"),
        alt.Tooltip("confidence:Q", title="Confidence", format=".0%"),
        alt.Tooltip("state:N", title="State"),
    ]
    base = alt.Chart(shown).encode(x=x, y=y, tooltip=tips)
    cells = base.mark_rect(cornerRadius=3, stroke=None).encode(
        color=alt.Color("fill:N", scale=None)
    )
    frames = base.transform_filter("datum.settled").mark_rect(
        fill=None, stroke=ORANGE, strokeWidth=2.5, cornerRadius=3
    )
    # whole words: upright where the cells are narrow
    words = base.mark_text(
        fontSize=10.5, angle=alt.ExprRef("width > 620 ? 0 : 270"), limit=62
    ).encode(text="label:N", color=alt.Color("ink:N", scale=None))
    how = "Each cell is the answer after that layer; brighter is surer. Framed: settled."
    return alt.layer(
        cells, frames, words, title=title(finding, how), height=66 * rows.picture.nunique()
    )


@kept
def choice(
    exits: pd.DataFrame, final: dict, points: float, best: tuple[int, str] | None, finding: str
) -> alt.LayerChart:
    """Accuracy against MACs of every exit, the band that loses at most `points`, and the cheapest
    exit in it.

    exits: layer, head, accuracy, macs, as `paper.exits_of` gives them. final: accuracy, macs. best:
    the exit to ring, if there is one.
    """
    rows = exits.assign(giga=exits.macs / 1e9, macs_text=exits.macs.map(macs_text))
    low = max(0.0, float(rows.accuracy.min()) - 0.02)
    top = min(1.0, max(float(rows.accuracy.max()), final["accuracy"]) + 0.02)
    y = alt.Y(
        "accuracy:Q",
        title="Accuracy on test",
        scale=alt.Scale(domain=[low, top], nice=False),
        axis=alt.Axis(format=".0%", tickCount=5),
    )
    x = alt.X(
        "giga:Q",
        title="G MACs of one picture",
        scale=alt.Scale(zero=True),
        axis=alt.Axis(tickCount=5),
    )
    enough = {"accuracy": [max(low, final["accuracy"] - points / 100)], "end": [final["accuracy"]]}
    area = alt.Chart(pd.DataFrame(enough)).mark_rect(color=BLUE, opacity=0.18)
    end = pd.DataFrame({"accuracy": [final["accuracy"]], "giga": [final["macs"] / 1e9]})
    last = alt.Chart(end).mark_point(shape="square", filled=True, size=110, color=GREY, opacity=1)
    layers = [
        area.encode(y=y, y2="end:Q"),
        *(mark.encode(x=x, y=y) for mark in (last, _exits(rows))),
    ]
    if best is not None:
        own = rows[(rows.layer == best[0]) & (rows["head"] == best[1])]
        ring = alt.Chart(own).mark_point(size=420, strokeWidth=3, color=ORANGE)
        layers.append(ring.encode(x=x, y=y))
    how = (
        "A dot is an exit, the square is the final exit. Blue band: close enough. Ring: the "
        "cheapest exit in the band."
    )
    return alt.layer(*layers, title=title(finding, how), height=280)


def _exits(rows: pd.DataFrame) -> alt.Chart:
    """A dot with its numbers for each exit, coloured by head."""
    return (
        alt.Chart(rows)
        .mark_point(filled=True, size=55, opacity=1)
        .encode(
            color=head_colour(list(dict.fromkeys(rows["head"]))),
            tooltip=[
                alt.Tooltip("head:N", title="Head"),
                alt.Tooltip("layer:O", title="Layer"),
                alt.Tooltip("macs_text:N", title="MACs"),
                alt.Tooltip("accuracy:Q", title="Accuracy", format=".1%"),
            ],
        )
    )
