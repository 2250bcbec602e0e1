"""Charts and tables of the page "Compare heads": every head at every layer on one picture, and two
of them side by side."""

from __future__ import annotations

from collections.abc import Callable

import altair as alt
import pandas as pd

from mvit.charts.kept import kept
from mvit.charts.style import (
    HEAD_COLOURS,
    INK,
    OUTLINE,
    RIGHT,
    UNKNOWN,
    WRONG,
    layer_axis,
    light_cells,
    macs_text,
    plain_label,
    shades,
    short_names,
    sure_text,
    title,
    verdicts,
)
from mvit.models.multi_exit import FINAL, MultiExitViT

AGREES, DIFFERS = "the final answer", "another answer"
# names of the chart's selection and of its field that the page reads
CELL, PICKED = "cell", "layer"
# of the map: pixels of a row, and whether its cells are wide enough for percentages
ROW, WIDE = 32, "width > 640"
LEGEND = (
    "Each row is one kind of head, each cell the answer of one exit. A brighter cell is a surer "
    "answer; wide cells say how sure in percent. ● right, ✚ wrong, where that is known. A dashed "
    "edge: the final exit says something else. Hover over a cell for time and work; click it to "
    "look closer."
)


def comparison(model: MultiExitViT, traces: list[pd.DataFrame], truth: str | None) -> pd.DataFrame:
    """A trace made ready for these charts: what `MultiExitViT.trace` gives, and verdict, agrees,
    agreement, answer, short (for a narrow cell), light, own_macs, macs_text.

    traces: of the same picture; all but the times is the first one's. ms: the layers before an exit
    and its own head, each by its median over the traces, so that heads behind one layer differ by
    their own times only. agrees: whether it is the final exit's answer. own_macs: of the head
    alone.
    """
    rows = traces[0].copy()
    layers = pd.concat([(t.ms - t.head_ms).groupby(t.layer).median() for t in traces], axis=1)
    rows["head_ms"] = pd.concat([t.head_ms for t in traces], axis=1).median(axis=1)
    rows["ms"] = rows.layer.map(layers.median(axis=1)) + rows.head_ms
    final = rows[rows["head"] == FINAL].iloc[0]
    rows["agrees"] = rows.label == final.label
    rows["agreement"] = rows.agrees.map({True: AGREES, False: DIFFERS})
    rows["verdict"] = verdicts(rows.label, truth)
    rows["answer"] = rows.label.map(plain_label)
    rows["short"] = rows.answer.map(short_names(rows.answer))
    rows["light"] = light_cells(rows.confidence)
    rows["own_macs"] = [
        model.head_macs(*place) for place in zip(rows.layer, rows["head"], strict=True)
    ]
    rows["macs_text"] = rows.macs.map(macs_text)
    return rows


def keeps(rows: pd.DataFrame, head: str) -> int | None:
    """The first layer from which on this head gives the final answer at every layer; None if it
    does not end with it. rows: as `comparison` gives them."""
    own, since = rows[rows["head"] == head], None
    for layer, agrees in zip(own.layer, own.agrees, strict=True):
        since = (since or int(layer)) if agrees else None
    return since


def agreement(rows: pd.DataFrame) -> str:
    """The heat map's finding in one sentence. rows: as `comparison` gives them."""
    final, exits = rows[rows["head"] == FINAL].iloc[0], rows[rows["head"] != FINAL]
    if not exits.agrees.any():
        return f"No exit says '{final.answer}', as the final exit does"
    share = f"{int(exits.agrees.sum())} of {len(exits)} exits say '{final.answer}', as the final"
    since = {h: keeps(rows, h) for h in dict.fromkeys(exits["head"])}
    known = [b for b in since.values() if b is not None]
    if not known:
        return f"{share} exit does; no head says so until the end"
    first = [h for h, b in since.items() if b == min(known)]
    who = " and ".join(first) if len(first) < 3 else f"{len(first)} of {len(since)} heads"
    verb = "settles" if len(first) == 1 else "settle"
    when = " first," if len(since) > 1 else ""
    return f"{share} exit does; {who} {verb} on it{when} from layer {min(known)} on"


def legend(rows: pd.DataFrame) -> str:
    """What the map's signs mean, and its short words. rows: as `comparison` gives them."""
    cut = rows[rows.short != rows.answer].drop_duplicates("answer")
    words = [f"{r.short} is {r.answer}" for r in cut.itertuples()]
    return LEGEND + (f" In narrow cells {', '.join(words)}." if words else "")


def _tooltips() -> list[alt.Tooltip]:
    return [
        alt.Tooltip("head:N", title="Head"),
        alt.Tooltip("layer:O", title="Layer"),
        alt.Tooltip("answer:N", title="Answer"),
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
    final exit says something else; the chosen layer is framed, and a click picks a cell.

    rows: as `comparison` gives them. A cell too narrow for its answer shows the short word, see
    `legend`.
    """
    depth, heads = int(rows.layer.max()), list(dict.fromkeys(rows["head"]))
    heads = [h for h in heads if h != FINAL] + [FINAL]
    y = alt.Y("head:N", sort=heads, title=None, axis=alt.Axis(labelLimit=90, grid=False))
    base = alt.Chart(rows.assign(percent=rows.confidence.map(_percent)))
    x = layer_axis(depth, named=True)
    base = base.encode(x=x, y=y, tooltip=_tooltips())
    pick = alt.selection_point(name=CELL, fields=[PICKED, "head"], on="click", toggle=False)
    cells = base.mark_rect(cornerRadius=3, stroke=None, cursor="pointer").encode(
        color=alt.Color("confidence:Q", scale=shades(), legend=None)
    )
    texts = base.encode(color=INK)
    fits = f"length(datum.answer) * ({WIDE} ? 6.2 : 5) < width / {depth} - 2"
    word = alt.ExprRef(f"{fits} ? datum.answer : datum.short")
    answers = texts.mark_text(fontSize=alt.ExprRef(f"{WIDE} ? 12 : 10"), dy=-7, text=word)
    percents = texts.mark_text(fontSize=alt.ExprRef(f"{WIDE} ? 11 : 0"), dx=5, dy=8)
    frame = (
        alt.Chart(pd.DataFrame({"layer": [layer]}))
        .mark_rect(fill=None, stroke="#D55E00", strokeWidth=3, cornerRadius=4)
        .encode(x=x)
    )
    figure = cells.add_params(pick) + answers + percents.encode(text="percent:N")
    figure += _verdicts(base) + frame
    return figure.properties(title=title(finding), height=ROW * len(heads))


def _percent(confidence: float) -> str:
    return sure_text(confidence).removesuffix("\u00a0%").replace("> ", ">")


def _verdicts(base: alt.Chart) -> alt.LayerChart:
    """Right or wrong by shape before each number, where the truth is known; a dashed edge where the
    final exit gives another answer."""
    edges = base.transform_filter("!datum.agrees").mark_rect(
        filled=False, strokeWidth=2, strokeDash=[5, 4], cornerRadius=3
    )
    marks = base.transform_filter(f"datum.verdict != '{UNKNOWN}'").mark_point(
        filled=True,
        size=alt.ExprRef(f"datum.verdict == '{WRONG}' ? 80 : 30"),
        xOffset=alt.ExprRef(f"{WIDE} ? -11 : 0"),
        yOffset=8,
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
    base = alt.Chart(own).encode(x=x, y=y, tooltip=_tooltips())
    colour = HEAD_COLOURS.get(head, HEAD_COLOURS[FINAL])
    shape = alt.Shape(
        "agreement:N",
        scale=alt.Scale(domain=[AGREES, DIFFERS], range=["circle", "cross"]),
        legend=alt.Legend(title=None, orient="bottom", values=sorted(set(own.agreement))),
    )
    pick = alt.selection_point(name=CELL, fields=[PICKED], on="click", toggle=False)
    target = (
        alt.Chart(own)
        .mark_bar(opacity=0.001, cursor="pointer", width={"band": 1})
        .encode(x=x, y=alt.value(0), y2=alt.value(170), tooltip=_tooltips())
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
            tooltip=_tooltips(),
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


def _work(macs: float) -> str:
    if macs >= 1e8:  # of a large network's head
        return f"{macs / 1e6:,.0f} million MACs"
    return f"{macs / 1e6:.3g} million MACs" if macs >= 1e6 else f"{macs / 1e3:.3g} thousand MACs"


def dearest(rows: pd.DataFrame, layer: int, what: str) -> str:
    """The cost chart's finding: the cheapest and the dearest head after one layer, which have the
    shortest and the longest bar, or the only one. what: "ms" or "macs"."""
    own = rows[(rows.layer == layer) & (rows["head"] != FINAL)]
    column = {"ms": "head_ms", "macs": "own_macs"}[what]
    low, high = own.loc[own[column].idxmin()], own.loc[own[column].idxmax()]
    show = {"ms": lambda ms: f"{ms:.2f} ms", "macs": _work}[what]
    least, most = show(low[column]), show(high[column])
    if len(own) == 1:
        return f"After layer {layer} the head {low['head']} adds {least} to the layers before it"
    return (
        f"After layer {layer} the cheapest head is {low['head']}, which adds {least} to the layers "
        f"before it; the dearest is {high['head']}, which adds {most}"
    )
