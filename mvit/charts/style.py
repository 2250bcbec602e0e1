"""Altair charts from data frames: one palette, one look, and titles that state what the data says.

Charts that belong to one page live in a module of their own (charts_<page>.py) and take palette and
style from here.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

import altair as alt
import pandas as pd

from mvit.charts.kept import kept
from mvit.charts.text import CIVIDIS, confidence_colour, macs_text, plain_label
from mvit.charts.text import short_names as short_names  # pages take all of these from here
from mvit.charts.text import sure_text as sure_text

# Okabe and Ito's colour-blind-safe palette, its light tones darkened until they read on white as
# well as on a dark page.
HEAD_COLOURS = {
    "mlp": "#0072B2",
    "vit": "#D55E00",
    "cnn_add": "#009E73",
    "cnn_project": "#C4679A",
    "cnn_ignore": "#3A97D4",
    "mixer": "#C27D00",
    "resmlp": "#7A68D8",
    "gmlp": "#8C7A2E",
    "fnet": "#5F8A8B",
    "perceiver": "#B5536B",
    "mlp_mean": "#4F7FB8",
    "lens": "#A0562D",
    "final": "#77849A",
}
RIGHT, WRONG, UNKNOWN = "right", "wrong", "no truth known"


def verdicts(labels: Sequence[str], truth: str | None) -> list[str]:
    """Whether each answer is RIGHT or WRONG, or UNKNOWN where nobody has told the truth."""
    return [UNKNOWN if truth is None else RIGHT if label == truth else WRONG for label in labels]


# readable on a cell; `light` comes from `light_cells`
_BLACK_ON_LIGHT = {"value": "#ffffff", "condition": {"test": "datum.light", "value": "#000000"}}
INK, OUTLINE = alt.ColorValue(**_BLACK_ON_LIGHT), alt.StrokeValue(**_BLACK_ON_LIGHT)


def shades(top: float = 1.0) -> alt.Scale:
    """CIVIDIS as a chart's colour scale from 0 to `top`; beyond, the last colour."""
    steps = len(CIVIDIS) - 1
    colours = ["#{:02x}{:02x}{:02x}".format(*c) for c in CIVIDIS]
    return alt.Scale(
        domain=[i * top / steps for i in range(steps + 1)],
        range=colours,
        interpolate="rgb",
        clamp=True,
    )


def light_cells(values: Sequence[float], top: float = 1.0) -> list[bool]:
    """Whether each value's cell on `shades(top)` is light, so that dark ink reads on it."""
    return [confidence_colour(v / top)[1] == "#000000" for v in values]


def heat_cells(
    rows: pd.DataFrame, shade: str, number: str, tips: list[alt.Tooltip], top: float = 1.0
) -> list[alt.Chart]:
    """The layers of a heat map by head and layer: cells coloured by `shade` (0..top), rings on
    practical exits, `number` in whole figures.

    rows: head, layer, practical, and the columns named.
    """
    heads, depth = list(dict.fromkeys(rows["head"])), int(rows.layer.max())
    base = alt.Chart(rows.assign(light=light_cells(rows[shade], top)))
    base = base.encode(x=layer_axis(depth), y=alt.Y("head:N", sort=heads, title=None), tooltip=tips)
    ring = alt.ExprRef(f"pow(min(18, width / {depth} - 1), 2)")  # no wider than its cell
    cells = base.mark_rect(cornerRadius=3, stroke=None).encode(
        color=alt.Color(f"{shade}:Q", scale=shades(top), legend=None)
    )
    rings = (
        base.transform_filter("datum.practical")
        .mark_point(size=ring, strokeWidth=1.5, shape="circle")
        .encode(color=INK)
    )
    numbers = base.mark_text(fontSize=alt.ExprRef("width < 400 ? 9 : 11")).encode(
        text=alt.Text(f"{number}:Q", format=".0f"), color=INK
    )
    return [cells, rings, numbers]


def title(finding: str, how_to_read: str = "", width: int = 40) -> alt.TitleParams:
    """A title that states the finding, wrapped so that a phone shows it whole; the subtitle says
    how to read the chart."""
    return alt.TitleParams(
        textwrap.wrap(finding, width),
        subtitle=textwrap.wrap(how_to_read, width + 8),
        anchor="start",
        offset=12,
        fontSize=14,
        subtitleFontSize=12,
        subtitlePadding=4,
    )


def themed(figure: alt.TopLevelMixin, dark: bool) -> alt.TopLevelMixin:
    """The chart with the ink of a light or a dark page, and its height counted without title and
    legend; for drawing on a page."""
    quiet, ink = ("#a9b6c4", "#e8eef5") if dark else ("#5a6878", "#17212e")
    config = alt.Config(
        title=alt.TitleConfig(color=ink, subtitleColor=quiet),
        # a number stands where it is on the axis, also at the ends
        axis=alt.AxisConfig(labelColor=quiet, titleColor=quiet, labelFlush=False),
        legend=alt.LegendConfig(
            labelColor=quiet,
            titleColor=quiet,
            symbolOpacity=1,
            symbolBaseFillColor=quiet,
            symbolBaseStrokeColor=quiet,
        ),
        text=alt.MarkConfig(color=quiet),
    )
    figure = figure.copy(deep=False)  # `properties` would compare all this with the schema
    figure.autosize, figure.config = alt.AutoSizeParams(type="fit-x", contains="padding"), config
    return figure


def head_colour(heads: Sequence[str], legend: bool = True) -> alt.Color:
    """Colour by head; the same head has the same colour on every page."""
    scale = alt.Scale(domain=list(heads), range=[HEAD_COLOURS.get(h, "#77849A") for h in heads])
    return alt.Color(
        "head:N",
        scale=scale,
        legend=alt.Legend(title="Head", orient="bottom", columns=3) if legend else None,
    )


def layer_axis(depth: int, named: bool = False) -> alt.X:
    """The layers 1..depth along x; named: where there is room the first label says what they are,
    to save the height of a title."""
    axis = alt.Axis(labelAngle=0, grid=False)
    if named:
        axis.labelExpr = "datum.value == 1 && width > 640 ? 'layer 1' : datum.label"
    return alt.X(
        "layer:O",
        title=None if named else "Layer",
        scale=alt.Scale(domain=list(range(1, depth + 1))),
        axis=axis,
    )


def _tooltip() -> list[alt.Tooltip]:
    return [
        alt.Tooltip("head:N", title="Head"),
        alt.Tooltip("layer:O", title="Layer"),
        alt.Tooltip("label:N", title="Answer"),
        alt.Tooltip("verdict:N", title="The answer is"),
        alt.Tooltip("confidence:Q", title="Confidence", format=".1%"),
        alt.Tooltip("elapsed_ms:Q", title="Elapsed, ms", format=".1f"),
        alt.Tooltip("ms:Q", title="This exit alone, ms", format=".1f"),
        alt.Tooltip("macs_text:N", title="MACs"),
        alt.Tooltip("practical:N", title="Practical exit"),
    ]


@kept
def confidence_by_layer(rows: pd.DataFrame, finding: str) -> alt.LayerChart:
    """Confidence of each exit, the final one included.

    rows: head, layer, label, confidence, verdict (RIGHT, WRONG or UNKNOWN), practical, elapsed_ms,
    ms, macs, macs_text.
    """
    depth, heads = int(rows.layer.max()), list(dict.fromkeys(rows["head"]))
    room = alt.Scale(domain=[0, 1.12], nice=False)  # above 100 % there is only room for the words
    y = alt.Y(
        "confidence:Q",
        title="Confidence",
        scale=room,
        axis=alt.Axis(format=".0%", values=[0, 0.25, 0.5, 0.75, 1]),
    )
    x, colour = layer_axis(depth), head_colour(heads)
    shape = alt.Shape(
        "verdict:N",
        scale=alt.Scale(domain=[RIGHT, WRONG, UNKNOWN], range=["circle", "cross", "diamond"]),
        # the line below the title says what a wrong answer looks like
        legend=None
        if set(rows.verdict) == {RIGHT}
        else alt.Legend(title=None, orient="top", offset=2, values=sorted(set(rows.verdict))),
    )
    base = alt.Chart(rows).encode(x=x, y=y, color=colour, tooltip=_tooltip())
    exits = base.transform_filter("datum.head != 'final'")
    line = exits.mark_line(strokeWidth=2, opacity=0.75)
    rings = base.transform_filter("datum.practical").mark_point(
        size=260, strokeWidth=1.6, shape="circle"
    )
    dots = base.mark_point(filled=True, size=95, opacity=1).encode(shape=shape)
    how = "✚: a wrong answer. A ring: a practical exit. final: the answer after the last layer."
    words = _words(rows).encode(x=x, y=y, text="label:N")
    return alt.layer(line, rings, dots, words, title=title(finding, how), height=300)


def _words(rows: pd.DataFrame) -> alt.Chart:
    """Answers written upwards from their dots, or downwards where the dot is in the upper half, so
    that they stay within the chart."""
    up = "datum.confidence < 0.5"
    ends = {"align": alt.ExprRef(f"{up} ? 'left' : 'right'"), "dx": alt.ExprRef(f"{up} ? 14 : -14")}
    return alt.Chart(_changes(rows)).mark_text(angle=270, fontSize=12, **ends)


def _changes(rows: pd.DataFrame) -> pd.DataFrame:
    """The exits of the first head at which its answer changes; the first exit counts as a
    change."""
    own = rows[rows["head"] == rows["head"].iloc[0]]
    return own[own.label != own.label.shift()].assign(label=lambda t: t.label.map(plain_label))[
        ["layer", "confidence", "label"]
    ]


@kept
def time_by_layer(rows: pd.DataFrame, plain_ms: float, finding: str) -> alt.LayerChart:
    """Elapsed milliseconds when each exit fired, with the plain network's time as a line across.
    rows: as confidence_by_layer."""
    depth, heads = int(rows.layer.max()), list(dict.fromkeys(rows["head"]))
    top = max(float(rows.elapsed_ms.max()), plain_ms) * 1.12
    scale = alt.Scale(domain=[0, top], nice=False)
    y = alt.Y(
        "elapsed_ms:Q",
        title="Milliseconds since the start",
        scale=scale,
        axis=alt.Axis(tickCount=5),
    )
    base = alt.Chart(rows).encode(
        x=layer_axis(depth), y=y, color=head_colour(heads, legend=False), tooltip=_tooltip()
    )
    line = base.transform_filter("datum.head != 'final'").mark_line(strokeWidth=2, opacity=0.75)
    rings = base.transform_filter("datum.practical").mark_point(size=220, strokeWidth=1.6)
    dots = base.mark_point(filled=True, size=70, opacity=1)
    plain = pd.DataFrame(
        {"ms": [plain_ms], "text": [f"plain network: {plain_ms:.1f} ms"], "layer": [1]}
    )
    rule = (
        alt.Chart(plain)
        .mark_rule(strokeDash=[6, 4], strokeWidth=1.6, color=HEAD_COLOURS["final"])
        .encode(y="ms:Q")
    )
    text = alt.Chart(plain).mark_text(align="left", baseline="bottom", dx=-10, dy=-5, fontSize=12)
    text = text.encode(x=layer_axis(depth), y="ms:Q", text="text:N")
    how = "Dashed: the plain network, the same one run without early exits."
    return alt.layer(rule, text, line, rings, dots, title=title(finding, how), height=190)


@kept
def macs_by_layer(rows: pd.DataFrame, finding: str) -> alt.Chart:
    """Multiply-accumulates of each exit alone, its head included. rows: as confidence_by_layer, one
    head's are enough."""
    depth, heads = int(rows.layer.max()), list(dict.fromkeys(rows["head"]))
    room = alt.Scale(domain=[0, 1.08 * rows.macs.max() / 1e9], nice=False)
    y = alt.Y("giga:Q", title="G MACs, alone", scale=room, axis=alt.Axis(tickCount=3))
    bars = alt.Chart(rows.assign(giga=rows.macs / 1e9)).mark_bar(cornerRadiusEnd=2)
    bars = bars.encode(
        x=layer_axis(depth), y=y, color=head_colour(heads, legend=False), tooltip=_tooltip()
    )
    if rows.layer.duplicated().any():
        bars = bars.encode(xOffset="head:N")
    how = "Each bar: the network up to that exit alone, without the other exits before it."
    return bars.properties(title=title(finding, how), height=90)


@kept
def accuracy_map(exits: pd.DataFrame, finding: str) -> alt.LayerChart:
    """Heat map of accuracy by head and layer, practical exits ringed. exits: head, layer, accuracy,
    practical, macs."""
    rows = exits.assign(percent=100 * exits.accuracy, macs_text=exits.macs.map(macs_text))
    tips = [
        alt.Tooltip("head:N", title="Head"),
        alt.Tooltip("layer:O", title="Layer"),
        alt.Tooltip("accuracy:Q", title="Accuracy", format=".2%"),
        alt.Tooltip("macs_text:N", title="MACs"),
        alt.Tooltip("practical:N", title="Practical exit"),
    ]
    how = "Percent right; a ring marks a practical exit."
    cells = heat_cells(rows, "accuracy", "percent", tips=tips)
    return alt.layer(*cells, title=title(finding, how), height=32 * rows["head"].nunique())
