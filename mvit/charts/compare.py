"""Charts of the page "Compare heads": every head at every layer on one picture, and two of them
side by side."""

from __future__ import annotations

from collections.abc import Callable

import altair as alt
import pandas as pd

from mvit.charts.compared import AGREES, DIFFERS, FITS
from mvit.charts.kept import kept
from mvit.charts.style import (
    HEAD_COLOURS,
    INK,
    OUTLINE,
    RIGHT,
    UNKNOWN,
    WRONG,
    layer_axis,
    shades,
    sure_text,
    title,
)
from mvit.charts.text import cell_lines, short_names
from mvit.models.multi_exit import FINAL

# names of the chart's selection and of its field that the page reads
CELL, PICKED = "cell", "layer"
# of the map: pixels of a row of short answers, and of one in which long answers wrap; how many
# letters are short; whether its cells are wide enough for percentages
ROW, TALL, SHORT, WIDE = 32, 58, 10, "width > 640"
LEGEND = (
    "Each row is one kind of head, each cell the answer of one exit. A brighter cell is a surer "
    "answer; wide cells say how sure in percent. ● right, ✚ wrong, where that is known. A dashed "
    "edge: the final exit contradicts it. Hover over a cell for its whole answer, time and work; "
    "click it to look closer."
)


def legend(rows: pd.DataFrame) -> str:
    """What the map's signs mean, and its short words. rows: as `comparison` gives them."""
    short = {} if _long(rows) else short_names(rows.answer)
    words = [f"{cut} is {whole}" for whole, cut in short.items() if cut != whole]
    return LEGEND + (f" In narrow cells {', '.join(words)}." if words else "")


def _long(rows: pd.DataFrame) -> bool:
    """Whether some answer must wrap, so that all rows of the map are tall."""
    return bool((rows.answer.str.len() > SHORT).any())


def _tooltips(rows: pd.DataFrame) -> list[alt.Tooltip]:
    guess = [alt.Tooltip("guess:N", title="Best guess")] if rows.guess.any() else []
    return [
        alt.Tooltip("head:N", title="Head"),
        alt.Tooltip("layer:O", title="Layer"),
        alt.Tooltip("answer:N", title="Answer"),
        *guess,
        alt.Tooltip("verdict:N", title="The answer is"),
        alt.Tooltip("agreement:N", title="Gives"),
        alt.Tooltip("confidence:Q", title="Confidence", format=".1%"),
        alt.Tooltip("ms:Q", title="This exit alone, ms", format=".2f"),
        alt.Tooltip("head_ms:Q", title="Its head, ms", format=".2f"),
        alt.Tooltip("macs_text:N", title="MACs"),
        alt.Tooltip("practical:N", title="Practical exit"),
    ]


@kept
def answer_map(rows: pd.DataFrame, layer: int, finding: str) -> alt.LayerChart:
    """Every head at every layer: answer and confidence, right or wrong by shape, dashed where the
    final exit contradicts it; the chosen layer is framed, and a click picks a cell.

    rows: as `comparison` gives them. Long answers wrap, and are written upwards where cells are
    narrow; a narrow cell in which no answer is long shows a short word, see `legend`.
    """
    depth, heads = int(rows.layer.max()), list(dict.fromkeys(rows["head"]))
    heads = [h for h in heads if h != FINAL] + [FINAL]
    y = alt.Y("head:N", sort=heads, title=None, axis=alt.Axis(labelLimit=90, grid=False))
    base = alt.Chart(rows.assign(percent=rows.confidence.map(_percent)))
    x = layer_axis(depth, named=True)
    base = base.encode(x=x, y=y, tooltip=_tooltips(rows))
    pick = alt.selection_point(name=CELL, fields=[PICKED, "head"], on="click", toggle=False)
    cells = base.mark_rect(cornerRadius=3, stroke=None, cursor="pointer").encode(
        color=alt.Color("confidence:Q", scale=shades(), legend=None)
    )
    row, words = (TALL, _wrapped) if _long(rows) else (ROW, _in_one_line)
    low = row // 2 - 8
    answers = words(base.encode(color=INK), f"width / {depth}")
    percents = base.mark_text(fontSize=alt.ExprRef(f"{WIDE} ? 11 : 0"), dx=5, dy=low)
    frame = (
        alt.Chart(pd.DataFrame({"layer": [layer]}))
        .mark_rect(fill=None, stroke="#D55E00", strokeWidth=3, cornerRadius=4)
        .encode(x=x)
    )
    figure = cells.add_params(pick) + answers + percents.encode(text="percent:N", color=INK)
    figure += _verdicts(base, low) + frame
    return figure.properties(title=title(finding), height=row * len(heads))


def _in_one_line(base: alt.Chart, cell: str) -> alt.Chart:
    """The answers, or in cells too narrow for them short words. cell: its width, an expression."""
    fits = f"length(datum.answer) * ({WIDE} ? 6.2 : 5) < {cell} - 2"
    word = f"{fits} ? datum.answer : ({short_names(base.data.answer)})[datum.answer]"
    size = alt.ExprRef(f"{WIDE} ? 12 : 10")
    return base.mark_text(fontSize=size, dy=-7, text=alt.ExprRef(word))


def _wrapped(base: alt.Chart, cell: str) -> alt.LayerChart:
    """The answers in whole words: in up to three lines, or in narrow cells in two that run upwards;
    as large as the longest line allows. cell: its width, an expression."""
    across = f"{WIDE} ? min(12, ({cell} - 4) / (0.55 * datum.longest)) : 0"
    upwards = f"{WIDE} ? 0 : min(10, {TALL - 15} / (0.55 * datum.longest))"
    wide = _in_lines(base, 10, 3, size=across, lead=12, dy=-7)
    return wide + _in_lines(base, 9, 2, size=upwards, lead=10, dy=0, dx=6, angle=270)


def _in_lines(
    base: alt.Chart, letters: int, most: int, *, size: str, lead: int, dy: int, **where: float
) -> alt.Chart:
    """The answers in lines, see `cell_lines`. size: of a letter, an expression; lead: pixels from
    line to line; dy: of the middle of all lines; where: more of Vega's properties."""
    lines = [cell_lines(answer, letters, most) for answer in base.data.answer]
    own = base.data.assign(
        words=["\n".join(words) for words in lines],
        lines=[len(words) for words in lines],
        longest=[max(map(len, words)) for words in lines],
    )
    first = alt.ExprRef(f"{dy} - {lead / 2} * (datum.lines - 1)")
    text = {"fontSize": alt.ExprRef(size), "lineHeight": lead, "lineBreak": "\n", "dy": first}
    return base.properties(data=own).mark_text(**text, **where).encode(text="words:N")


def _percent(confidence: float) -> str:
    return sure_text(confidence).removesuffix("\u00a0%").replace("> ", ">")


def _verdicts(base: alt.Chart, low: int) -> alt.LayerChart:
    """Right or wrong by shape before each number, where the truth is known; a dashed edge where the
    final exit contradicts the answer. low: pixels from a cell's middle down to its number."""
    edges = base.transform_filter(f"datum.agreement == '{DIFFERS}'").mark_rect(
        filled=False, strokeWidth=2, strokeDash=[5, 4], cornerRadius=3
    )
    marks = base.transform_filter(f"datum.verdict != '{UNKNOWN}'").mark_point(
        filled=True,
        size=alt.ExprRef(f"datum.verdict == '{WRONG}' ? 80 : 30"),
        xOffset=alt.ExprRef(f"{WIDE} ? -11 : 0"),
        yOffset=low,
        opacity=1,
    )
    shapes = alt.Scale(domain=[RIGHT, WRONG], range=["circle", "cross"])
    return edges.encode(stroke=OUTLINE) + marks.encode(
        color=INK, shape=alt.Shape("verdict:N", scale=shapes, legend=None)
    )


@kept
def pane_line(rows: pd.DataFrame, head: str, layer: int, finding: str) -> alt.LayerChart:
    """One head's confidence by layer with the chosen layer marked; a click anywhere picks a layer.
    rows: as `comparison` gives them."""
    own = rows[rows["head"] == head]
    depth = int(rows.layer.max())
    x = layer_axis(depth)
    room, ticks = (
        alt.Scale(domain=[0, 1.05], nice=False),
        alt.Axis(format=".0%", values=[0, 0.5, 1]),
    )
    y = alt.Y("confidence:Q", title="Confidence", scale=room, axis=ticks)
    base = alt.Chart(own).encode(x=x, y=y, tooltip=_tooltips(rows))
    colour = HEAD_COLOURS.get(head, HEAD_COLOURS[FINAL])
    shape = alt.Shape(
        "agreement:N",
        scale=alt.Scale(domain=[AGREES, FITS, DIFFERS], range=["circle", "triangle", "cross"]),
        legend=alt.Legend(title=None, orient="bottom", values=sorted(set(own.agreement))),
    )
    pick = alt.selection_point(name=CELL, fields=[PICKED], on="click", toggle=False)
    target = (
        alt.Chart(own)
        .mark_bar(opacity=0.001, cursor="pointer", width={"band": 1})
        .encode(x=x, y=alt.value(0), y2=alt.value(170), tooltip=_tooltips(rows))
    )
    frame = (
        alt.Chart(pd.DataFrame({"layer": [layer]}))
        .mark_rect(fill=None, stroke="#D55E00", strokeWidth=2.5, cornerRadius=4)
        .encode(x=x)
    )
    line = base.mark_line(strokeWidth=2, opacity=0.7, color=colour)
    rings = base.transform_filter("datum.practical").mark_point(
        size=240, strokeWidth=1.5, color=colour
    )
    dots = base.mark_point(filled=True, size=90, opacity=1, color=colour).encode(shape=shape)
    return alt.layer(
        frame, line, rings, dots, target.add_params(pick), title=title(finding), height=170
    )


@kept
def cost_bars(rows: pd.DataFrame, layer: int, what: str, finding: str) -> alt.LayerChart:
    """What each head at one layer costs: its share on top of the share of the layers. what: "ms" or
    "macs"; rows as `comparison` gives."""
    own = rows[(rows.layer == layer) & (rows["head"] != FINAL)]
    parts, total, form, axis = _PARTS[what]
    long = pd.concat(
        [
            own.assign(part=name, cost=make(own), order=i)
            for i, (name, make) in enumerate(parts.items())
        ]
    )
    heads = list(own.sort_values("own_macs")["head"])
    y = alt.Y("head:N", sort=heads, title=None)
    colour = alt.Color(
        "head:N",
        scale=alt.Scale(domain=heads, range=[HEAD_COLOURS.get(h, "#77849A") for h in heads]),
        legend=None,
    )
    faint = alt.Opacity(
        "part:O",
        sort=list(parts),
        scale=alt.Scale(domain=list(parts), range=[0.3, 1]),
        legend=alt.Legend(title=None, orient="bottom"),
    )
    bars = (
        alt.Chart(long)
        .mark_bar()
        .encode(
            x=alt.X("cost:Q", title=axis, stack="zero", axis=alt.Axis(tickCount=4)),
            y=y,
            color=colour,
            opacity=faint,
            order="order:O",
            tooltip=_tooltips(rows),
        )
    )
    room = alt.Scale(domain=[0, float(total(own).max()) * 1.25], nice=False)
    text = (
        alt.Chart(own.assign(total=total(own)))
        .mark_text(align="left", dx=4)
        .encode(x=alt.X("total:Q", scale=room), y=y, text=alt.Text("total:Q", format=form))
    )
    return alt.layer(bars, text, title=title(finding), height=30 * len(heads))


_PARTS: dict[str, tuple[dict[str, Callable], Callable, str, str]] = {
    "ms": (
        {"the layers before it": lambda t: t.ms - t.head_ms, "its head": lambda t: t.head_ms},
        lambda t: t.ms,
        ".1f",
        "Milliseconds",
    ),
    "macs": (
        {
            "the layers before it": lambda t: (t.macs - t.own_macs) / 1e6,
            "its head": lambda t: t.own_macs / 1e6,
        },
        lambda t: t.macs / 1e6,
        ",.0f",
        "Million MACs",
    ),
}
