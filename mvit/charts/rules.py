"""Charts of the page on stop rules."""

from __future__ import annotations

from typing import Any

import altair as alt
import pandas as pd

from mvit.charts.kept import kept
from mvit.charts.style import HEAD_COLOURS, title

BLUE, ORANGE, GREEN, GREY, PINK = (
    HEAD_COLOURS[h] for h in ("mlp", "vit", "cnn_add", "final", "cnn_project")
)
PERCENT, FLAT = alt.Axis(format=".0%", tickCount=5), alt.Axis(labelAngle=0, grid=False)


@kept
def leaving(rows: pd.DataFrame, finding: str) -> alt.Chart:
    """Share of pictures that leave at each exit, right and wrong answers stacked. rows: exit,
    right, wrong, share."""
    how = "Each picture leaves once: the bars add up to all pictures."
    return _stacked(rows, "Exit at layer", "Leave here", finding=finding, how=how)


@kept
def depth(rows: pd.DataFrame, finding: str) -> alt.Chart:
    """Share of pictures by prediction depth, right and wrong at the end stacked. rows: layer,
    right, wrong, share."""
    how = "Each picture is settled once: the bars add up to all pictures."
    rows = rows.assign(exit=rows.layer.astype(str))
    return _stacked(rows, "Settled from layer", "Settled here", finding=finding, how=how)


def _stacked(rows: pd.DataFrame, axis: str, whole: str, *, finding: str, how: str) -> alt.Chart:
    long = rows.melt(
        id_vars=["exit", "share"],
        value_vars=["right", "wrong"],
        var_name="answer",
        value_name="part",
    )
    scale = alt.Scale(domain=["right", "wrong"], range=[BLUE, ORANGE])
    return (
        alt.Chart(long)
        .mark_bar(cornerRadiusEnd=2)
        .encode(
            x=alt.X("exit:N", sort=list(rows.exit), title=axis, axis=FLAT),
            y=alt.Y("part:Q", title="Share of pictures", axis=PERCENT),
            color=alt.Color(
                "answer:N", scale=scale, legend=alt.Legend(title="Answer", orient="bottom")
            ),
            tooltip=[
                alt.Tooltip("exit:N", title=axis),
                alt.Tooltip("answer:N", title="Answer"),
                alt.Tooltip("part:Q", title="Of all pictures", format=".1%"),
                alt.Tooltip("share:Q", title=whole, format=".1%"),
            ],
        )
        .properties(title=title(finding, how), height=240)
    )


@kept
def classes(rows: pd.DataFrame, depth: int, finding: str) -> alt.LayerChart:
    """Where each class settles and where the rule lets it go. rows: label, settled, left, accuracy,
    pictures, sorted."""
    y = alt.Y("label:N", sort=list(rows.label), title=None)
    tips = [
        alt.Tooltip("label:N", title="Class"),
        alt.Tooltip("settled:Q", title="Right for good from layer, mean", format=".1f"),
        alt.Tooltip("left:Q", title="Leaves at layer, mean", format=".1f"),
        alt.Tooltip("accuracy:Q", title="Right", format=".1%"),
        alt.Tooltip("pictures:Q", title="Pictures"),
    ]
    # what is never right counts as right from the layer after the last
    end = max(depth, rows[["settled", "left"]].max(axis=None))
    scale = alt.Scale(domain=[0, end], nice=False)
    axis = alt.Axis(values=list(range(0, depth + 1, 2)))
    base = alt.Chart(rows).encode(y=y, tooltip=tips)
    gap = base.mark_rule(color=GREY, strokeWidth=2, opacity=0.6).encode(
        x=alt.X("settled:Q", scale=scale, axis=axis, title="Layer, mean"), x2="left:Q"
    )
    long = rows.melt(
        id_vars=["label", "accuracy", "pictures"],
        value_vars=["settled", "left"],
        var_name="what",
        value_name="layer",
    )
    long["what"] = long.what.map({"settled": "right for good", "left": "leaves"})
    kinds = alt.Scale(domain=["right for good", "leaves"], range=[GREEN, ORANGE])
    shapes = alt.Scale(domain=["right for good", "leaves"], range=["circle", "diamond"])
    legend = alt.Legend(title=None, orient="bottom")
    dots = (
        alt.Chart(long)
        .mark_point(filled=True, size=95, opacity=1)
        .encode(
            y=y,
            x=alt.X("layer:Q", scale=scale, axis=axis),
            color=alt.Color("what:N", scale=kinds, legend=legend),
            shape=alt.Shape("what:N", scale=shapes, legend=legend),
            tooltip=[
                alt.Tooltip("label:N", title="Class"),
                alt.Tooltip("what:N", title="Mark"),
                alt.Tooltip("layer:Q", title="Layer, mean", format=".1f"),
            ],
        )
    )
    how = "Circle: from there on every exit is right. Diamond: where the rule lets the picture go."
    return alt.layer(gap, dots, title=title(finding, how), height=max(110, 21 * len(rows)))


@kept
def reliability(bars: pd.DataFrame, finding: str) -> alt.LayerChart:
    """Accuracy in each band of confidence against the diagonal of perfect calibration. bars: low,
    high, confidence, accuracy, pictures."""
    x = alt.X("low:Q", title="Confidence", scale=alt.Scale(domain=[0, 1], nice=False), axis=PERCENT)
    y = alt.Y(
        "accuracy:Q",
        title="Share that is right",
        scale=alt.Scale(domain=[0, 1], nice=False),
        axis=PERCENT,
    )
    tips = [
        alt.Tooltip("confidence:Q", title="Mean confidence", format=".1%"),
        alt.Tooltip("accuracy:Q", title="Right", format=".1%"),
        alt.Tooltip("pictures:Q", title="Pictures", format=","),
    ]
    columns = (
        alt.Chart(bars)
        .mark_rect(color=BLUE, opacity=0.55, stroke=BLUE)
        .encode(x=x, x2="high:Q", y=y, y2=alt.Y2Datum(0), tooltip=tips)
    )
    dots = (
        alt.Chart(bars)
        .mark_point(filled=True, size=70, color=ORANGE, opacity=1)
        .encode(x=alt.X("confidence:Q"), y=y, tooltip=tips)
    )
    ideal = alt.Chart(pd.DataFrame({"confidence": [0, 1], "accuracy": [0, 1]})).mark_line(
        color=GREY, strokeDash=[6, 4]
    )
    how = (
        "On the dashed line confidence is exactly the chance to be right; "
        "below it the exit is too sure."
    )
    return alt.layer(
        columns,
        ideal.encode(x="confidence:Q", y="accuracy:Q"),
        dots,
        title=title(finding, how),
        height=240,
    )


@kept
def quality(rows: pd.DataFrame, finding: str) -> alt.Chart:
    """Calibration error and failure AUROC by exit, one above the other. rows: exit, ece, auroc."""
    return _by_exit(
        rows,
        {"auroc": "AUROC (right surer than wrong)", "ece": "Calibration error"},
        [BLUE, ORANGE],
        finding=finding,
        how="AUROC: 0.5 means that confidence says nothing about being right, 1 that it says all. "
        "Calibration error: how far confidence and accuracy lie apart; 0 is perfect.",
        shown=".3f",
        axis=alt.Undefined,
    )


@kept
def overthinking(rows: pd.DataFrame, finding: str) -> alt.Chart:
    """Shares right here but wrong at the end, and the other way round, by exit. rows: exit,
    overthought, mended."""
    return _by_exit(
        rows,
        {"mended": "wrong here, right at the end", "overthought": "right here, wrong at the end"},
        [GREEN, PINK],
        finding=finding,
        how="What running to the end would change, exit by exit.",
        shown=".2%",
        axis=".0%",
    )


def _by_exit(
    rows: pd.DataFrame,
    names: dict[str, str],
    colours: list[str],
    finding: str,
    how: str,
    shown: str,
    axis: Any,
) -> alt.Chart:
    long = rows.melt(
        id_vars=["exit"], value_vars=list(names), var_name="key", value_name="value"
    ).dropna()
    long["what"] = long.key.map(names)
    kinds = list(names.values())
    legend = alt.Legend(title=None, orient="bottom", columns=1, labelLimit=300)
    return (
        alt.Chart(long)
        .mark_line(point=alt.OverlayMarkDef(size=60, filled=True), strokeWidth=2)
        .encode(
            x=alt.X("exit:N", sort=list(rows.exit), title="Exit at layer", axis=FLAT),
            y=alt.Y("value:Q", title=None, axis=alt.Axis(format=axis, tickCount=5)),
            color=alt.Color("what:N", scale=alt.Scale(domain=kinds, range=colours), legend=legend),
            shape=alt.Shape(
                "what:N", scale=alt.Scale(domain=kinds, range=["circle", "diamond"]), legend=legend
            ),
            tooltip=[
                alt.Tooltip("exit:N", title="Exit"),
                alt.Tooltip("what:N", title="Measure"),
                alt.Tooltip("value:Q", title="Value", format=shown),
            ],
        )
        .properties(title=title(finding, how), height=240)
    )
