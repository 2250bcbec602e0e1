"""Charts of the page on moving budgets."""

from __future__ import annotations

import math

import altair as alt
import pandas as pd

from mvit.charts.kept import kept
from mvit.charts.style import HEAD_COLOURS, title

BLUE, ORANGE, GREEN, GREY = (HEAD_COLOURS[h] for h in ("mlp", "vit", "cnn_add", "final"))
NAMES = ANYTIME, STATIC, CUT = "anytime exits", "plain network", "fixed early cut"
WAYS = alt.Scale(domain=NAMES, range=[BLUE, ORANGE, GREEN])
DASHES = alt.Scale(domain=NAMES, range=[[1, 0], [7, 4], [2, 3]])
WIDE = 8  # times: from there on a chart of times is logarithmic
MEASURES = {"answered": "answered in time", "right": "right", "wasted": "work wasted"}


@kept
def budgets(rows: pd.DataFrame, levels: pd.DataFrame, finding: str) -> alt.LayerChart:
    """The budget over time and the times the ways need. rows: picture, ms. levels: way, ms."""
    top = max(rows.ms.max(), levels.ms.max()) * 1.05
    y = alt.Y(
        "ms:Q",
        title="Budget, ms",
        scale=alt.Scale(domain=[0, top], nice=False),
        axis=alt.Axis(tickCount=5),
    )
    x = alt.X("picture:Q", title="Picture", scale=alt.Scale(nice=False), axis=alt.Axis(tickCount=6))
    tips = [
        alt.Tooltip("picture:Q", title="Picture"),
        alt.Tooltip("ms:Q", title="Budget, ms", format=".1f"),
    ]
    area = alt.Chart(rows).mark_area(
        interpolate="step-after", color=GREY, opacity=0.3, line={"color": GREY, "strokeWidth": 1.2}
    )
    legend = alt.Legend(title="First answer after", orient="bottom", columns=1, symbolSize=500)
    lines = (
        alt.Chart(levels)
        .mark_rule(strokeWidth=2)
        .encode(
            y=y,
            color=alt.Color("way:N", scale=WAYS, legend=legend),
            strokeDash=alt.StrokeDash("way:N", scale=DASHES, legend=legend),
            tooltip=[
                alt.Tooltip("way:N", title="Way"),
                alt.Tooltip("ms:Q", title="First answer after, ms", format=".1f"),
            ],
        )
    )
    how = (
        "Grey: the time that each picture gets. Lines: when each way has its first answer, in the "
        "run of middle length. Where the grey stays well below a line, that way has no answer; "
        "near it, that depends on the run."
    )
    return alt.layer(
        area.encode(x=x, y=y, tooltip=tips), lines, title=title(finding, how), height=230
    )


@kept
def over_time(rows: pd.DataFrame, window: int, finding: str) -> alt.Chart:
    """Moving share of right answers. rows: way, picture, right."""
    legend = alt.Legend(title=None, orient="bottom", columns=1, symbolSize=500)
    return (
        alt.Chart(rows)
        .mark_line(strokeWidth=2)
        .encode(
            x=alt.X(
                "picture:Q",
                title="Picture",
                scale=alt.Scale(nice=False),
                axis=alt.Axis(tickCount=6),
            ),
            y=alt.Y(
                "right:Q",
                title="Right",
                scale=alt.Scale(domain=[0, 1], nice=False),
                axis=alt.Axis(format=".0%", tickCount=5),
            ),
            color=alt.Color("way:N", scale=WAYS, legend=legend),
            strokeDash=alt.StrokeDash("way:N", scale=DASHES, legend=legend),
            tooltip=[
                alt.Tooltip("way:N", title="Way"),
                alt.Tooltip("picture:Q", title="Picture"),
                alt.Tooltip("right:Q", title="Right", format=".0%"),
            ],
        )
        .properties(
            title=title(finding, f"Mean of the last {window} pictures; no answer counts as wrong."),
            height=230,
        )
    )


@kept
def compared(rows: pd.DataFrame, finding: str) -> alt.LayerChart:
    """Answered, right and wasted for every way, as bars. rows: way, answered, right, wasted."""
    long = rows.melt(id_vars=["way"], value_vars=list(MEASURES), var_name="key", value_name="share")
    long["measure"] = long.key.map(MEASURES)
    base = alt.Chart(long).encode(
        y=alt.Y("measure:N", sort=list(MEASURES.values()), title=None),
        yOffset=alt.YOffset("way:N", sort=list(NAMES)),
        x=alt.X(
            "share:Q",
            title="Share",
            scale=alt.Scale(domain=[0, 1.12], nice=False),
            axis=alt.Axis(format=".0%", values=[0, 0.5, 1]),
        ),
        tooltip=[
            alt.Tooltip("way:N", title="Way"),
            alt.Tooltip("measure:N", title="Measure"),
            alt.Tooltip("share:Q", title="Share", format=".1%"),
        ],
    )
    bars = base.mark_bar(cornerRadiusEnd=2).encode(
        color=alt.Color(
            "way:N", scale=WAYS, legend=alt.Legend(title=None, orient="bottom", columns=1)
        )
    )
    words = base.mark_text(align="left", dx=3, fontSize=11).encode(
        text=alt.Text("share:Q", format=".0%")
    )
    how = (
        "Answered in time, and right: shares of all pictures. Work wasted: a share of the time "
        "computed."
    )
    return alt.layer(bars, words, title=title(finding, how), height=230)


@kept
def split(
    rows: pd.DataFrame, *, device_ms: float, server_ms: float, picked: int, finding: str
) -> alt.LayerChart:
    """Mean time of an answer by the layer of the split. rows: sent, layer, ms, offloaded, accuracy.
    Across: device or server alone. Where the slowest takes many times as long as the quickest, the
    scale is logarithmic: on another the quick ones could not be told apart."""
    x = alt.X(
        "layer:O", title="Exit on the device, at layer", axis=alt.Axis(labelAngle=0, grid=False)
    )
    ends = [0.8 * min(rows.ms.min(), device_ms, server_ms), 1.2 * rows.ms.max()]
    wide = ends[1] > WIDE * ends[0] > 0
    y = alt.Y(
        "ms:Q",
        title=f"Mean time of an answer, ms{' (logarithmic)' if wide else ''}",
        scale=alt.Scale(type="log", domain=ends, nice=False) if wide else alt.Scale(zero=True),
        axis=alt.Axis(values=_labelled(*ends), format=",") if wide else alt.Axis(tickCount=5),
    )
    ring = alt.Chart(rows[rows.layer == picked]).mark_point(size=260, strokeWidth=2, color=ORANGE)
    across = [
        _alone("plain network on the device", device_ms, dash=[6, 4]).encode(y=y),
        _alone("plain network on the server", server_ms, dash=[2, 3]).encode(y=y),
    ]
    how = (
        "Ringed: the layer chosen above. Dashed: the plain network on the device, "
        f"{device_ms:.1f} ms. Dotted: the plain network on the server, with every picture sent, "
        f"{server_ms:.1f} ms."
    )
    marks = [mark.encode(x=x, y=y) for mark in (_sent(rows), ring)]
    return alt.layer(*across, *marks, title=title(finding, how), height=280)


def _labelled(low: float, high: float) -> list[float]:
    """What to label on a logarithmic axis: 1, 2 and 5 times the powers of ten between its ends."""
    powers = range(math.floor(math.log10(low)), math.floor(math.log10(high)) + 1)
    return [v for p in powers for v in (10.0**p, 2 * 10.0**p, 5 * 10.0**p) if low <= v <= high]


def _sent(rows: pd.DataFrame) -> alt.Chart:
    """A line for each kind of thing that is sent to the server, with the numbers of each split."""
    legend = alt.Legend(title="Sent to the server", orient="bottom")
    colour, shape = (
        alt.Scale(domain=["tokens", "picture"], range=looks)
        for looks in ([BLUE, GREEN], ["circle", "square"])
    )
    return (
        alt.Chart(rows)
        .mark_line(strokeWidth=2, point=alt.OverlayMarkDef(size=70, filled=True))
        .encode(
            color=alt.Color("sent:N", scale=colour, legend=legend),
            shape=alt.Shape("sent:N", scale=shape, legend=legend),
            tooltip=[
                alt.Tooltip("sent:N", title="Sent"),
                alt.Tooltip("layer:O", title="Layer"),
                alt.Tooltip("ms:Q", title="Mean time, ms", format=".1f"),
                alt.Tooltip("slowest_ms:Q", title="An offloaded picture, ms", format=".1f"),
                alt.Tooltip("offloaded:Q", title="Offloaded", format=".1%"),
                alt.Tooltip("accuracy:Q", title="Right", format=".2%"),
            ],
        )
    )


def _alone(name: str, ms: float, dash: list[int]) -> alt.Chart:
    """A line across at the time of a network that nothing is split from."""
    line = alt.Chart(pd.DataFrame({"ms": [ms], "text": [f"{name}: {ms:.1f} ms"]}))
    line = line.mark_rule(strokeDash=dash, strokeWidth=1.6, color=GREY)
    return line.encode(tooltip=alt.Tooltip("text:N", title="Always"))
