"""The chart of what a stop rule is worth against what it costs, threshold by threshold."""

from __future__ import annotations

from typing import Any

import altair as alt
import pandas as pd

from mvit.charts.kept import kept
from mvit.charts.style import HEAD_COLOURS, title

BLUE, ORANGE, GREEN, GREY = (HEAD_COLOURS[h] for h in ("mlp", "vit", "cnn_add", "final"))
YOURS, CHOSEN = "your threshold", "chosen on validation"
PERCENT = alt.Axis(format=".0%", tickCount=5)
WORTH = {
    "accuracy": {"title": "Accuracy on test", "axis": PERCENT, "format": ".2%"},
    "mae": {"title": "Off by (people)", "axis": alt.Axis(tickCount=5), "format": ".1f"},
}


@kept
def tradeoff(
    curve: pd.DataFrame,
    fixed: pd.DataFrame,
    points: pd.DataFrame,
    *,
    final: float,
    cost: str,
    rule: Any,
    finding: str,
    worth: str = "accuracy",
) -> alt.LayerChart:
    """What a rule is worth against its mean cost, with single exits and the marked thresholds.

    curve: threshold, worth, macs, ms. fixed: exit, worth, macs, ms. points: what (YOURS or CHOSEN),
    threshold, worth, macs, ms. worth: accuracy, or mae for counts; final: that of the final exit.
    cost: macs or ms. rule: its class or object.
    """
    large = cost == "macs" and float(fixed.macs.max()) >= 1e10
    scale = {"macs": 1e9 if large else 1e6, "ms": 1.0}[cost]
    curve, fixed, points = (t.assign(cost=t[cost] / scale) for t in (curve, fixed, points))
    unit = "billions" if large else "millions"
    name = f"Mean MACs of a picture, {unit}" if cost == "macs" else "Mean time of a picture, ms"
    x = alt.X("cost:Q", title=name, scale=alt.Scale(zero=True), axis=alt.Axis(tickCount=5))
    y = _worth_axis(pd.concat([curve[worth], fixed[worth], pd.Series([final])]), worth)
    named = rule.in_unit(f"Threshold of {rule.title}")
    threshold = alt.Tooltip("threshold:Q", title=named, format=rule.format.lstrip("%"))
    shown = WORTH[worth]
    numbers = [
        alt.Tooltip(f"{worth}:Q", title=shown["title"], format=shown["format"]),
        alt.Tooltip("cost:Q", title=name, format=",.1f"),
    ]
    end = alt.Chart(pd.DataFrame({worth: [final]})).mark_rule(strokeDash=[6, 4], color=GREY)
    line = alt.Chart(curve).mark_line(strokeWidth=2.4, color=BLUE, interpolate="linear")
    marks = [
        line.encode(order="cost:Q"),
        _single_exits(fixed, tips=numbers),
        _thresholds(curve, tips=[threshold, *numbers]),
        _marked_thresholds(points, tips=[threshold, *numbers]),
    ]
    how = (
        "Blue: this rule at every threshold. Grey circles: always leaving at one exit. "
        "Dashed: the final exit."
    )
    layers = [end.encode(y=y), *(mark.encode(x=x, y=y) for mark in marks)]
    return alt.layer(*layers, title=title(finding, how), height=320)


def _worth_axis(every: pd.Series, worth: str) -> alt.Y:
    """The upright axis, from a little below the lowest of all values shown."""
    shown = WORTH[worth]
    low = max(0.0, every.min() - (0.02 if worth == "accuracy" else 0.1 * every.min()))
    top = 1.0 if worth == "accuracy" else every.max()
    scale = alt.Scale(domain=[low, top], nice=False)
    return alt.Y(f"{worth}:Q", title=shown["title"], axis=shown["axis"], scale=scale)


def _thresholds(curve: pd.DataFrame, tips: list[alt.Tooltip]) -> alt.Chart:
    """A dot with its numbers for each threshold."""
    dots = alt.Chart(curve).mark_point(filled=True, size=26, color=BLUE, opacity=0.9)
    return dots.encode(tooltip=tips)


def _single_exits(fixed: pd.DataFrame, tips: list[alt.Tooltip]) -> alt.Chart:
    """A circle for each exit at which every picture would leave."""
    circles = alt.Chart(fixed).mark_point(size=48, color=GREY, strokeWidth=1.5)
    return circles.encode(tooltip=[alt.Tooltip("exit:N", title="Always leave at exit"), *tips])


def _marked_thresholds(points: pd.DataFrame, tips: list[alt.Tooltip]) -> alt.Chart:
    """The visitor's threshold and the one chosen on validation, different in shape and colour."""
    shown = [what for what in (YOURS, CHOSEN) if what in set(points.what)]
    legend = alt.Legend(title=None, orient="bottom", columns=1, values=shown)
    colour, shape = (
        alt.Scale(domain=[YOURS, CHOSEN], range=looks)
        for looks in ([ORANGE, GREEN], ["diamond", "triangle-up"])
    )
    return (
        alt.Chart(points)
        .mark_point(filled=True, size=190, opacity=1)
        .encode(
            color=alt.Color("what:N", scale=colour, legend=legend),
            shape=alt.Shape("what:N", scale=shape, legend=legend),
            tooltip=[alt.Tooltip("what:N", title="Mark"), *tips],
        )
    )
