"""Charts of the page "Crowd": counts by layer and head, and how far each exit is off on the test
pictures."""

from __future__ import annotations

import math
from collections.abc import Sequence

import altair as alt
import pandas as pd

from mvit.charts.kept import kept
from mvit.charts.style import HEAD_COLOURS, head_colour, heat_cells, layer_axis, macs_text, title
from mvit.models.multi_exit import FINAL

SETS = ("#0072B2", "#C27D00", "#117733", "#882255")  # test sets, in their order


def people_text(count: float) -> str:
    """A count as people: never below zero; what the network really gave is said then."""
    return f"{max(count, 0):.0f}" if count > -0.5 else f"0 (the raw output is {count:z.0f})"


def people_words(count: float) -> str:
    """The same as a phrase: `50 people`, `0 people (the raw output is -8)`."""
    number, *raw = people_text(count).split(" ", 1)
    return " ".join([number, "person" if number == "1" else "people", *raw])


def whole_tiles(tiles: Sequence[float]) -> list[int]:
    """The tiles' counts in whole people, which add up to the whole count, as a reader adds them:
    those with the largest remainders are rounded up. If one is below zero, each is rounded by
    itself and shown as 0."""
    if min(tiles) < -0.5:
        return [max(0, round(t)) for t in tiles]
    whole = [max(0, math.floor(t)) for t in tiles]
    order = sorted(range(len(tiles)), key=lambda i: whole[i] - tiles[i])
    for i in order[: max(0, round(float(sum(tiles))) - sum(whole))]:
        whole[i] += 1
    return whole


def finding(own: pd.Series, final: pd.Series, truth: float | None) -> str:
    """What one exit counts beside the final exit and, if known, the truth: which of them is
    nearer."""
    said = f"After layer {own['layer']} {own['head']} counts {people_text(own['count'])}"
    said += f", the final exit {people_text(final['count'])}"
    if truth is None:
        return said
    off, last = (abs(max(row["count"], 0) - truth) for row in (own, final))
    nearer = "the early exit" if off < last else "the final exit" if last < off else "neither"
    there = f"{people_words(truth)} {'is' if f'{truth:.0f}' == '1' else 'are'} there"
    return f"{said}; {there}, and {nearer} is nearer"


def range_finding(ranges: dict[str, list[dict]], name: str) -> str:
    """How far one exit is off in the smallest and the largest crowds of each set. ranges: as
    `error_by_range`."""
    told = [
        f"in {place} by {people_words(own[0]['mae'])} where the crowd is smallest, and by "
        f"{own[-1]['mae']:.0f} where it is largest"
        for place, own in ranges.items()
    ]
    return f"{name} is off {'; '.join(told)}"


def _tooltips() -> list[alt.Tooltip]:
    return [
        alt.Tooltip("head:N", title="Head"),
        alt.Tooltip("layer:O", title="Layer"),
        alt.Tooltip("raw:Q", title="Raw output", format=".1f"),
        alt.Tooltip("ms:Q", title="This exit alone, ms", format=".0f"),
        alt.Tooltip("macs_text:N", title="MACs"),
        alt.Tooltip("practical:N", title="Practical exit"),
    ]


def _shown(rows: pd.DataFrame) -> pd.DataFrame:
    """A trace as the charts show it: no count below zero, what the network gave as `raw`."""
    shown = {"raw": rows["count"], "count": rows["count"].clip(lower=0)}
    return rows.assign(**shown, macs_text=rows.macs.map(macs_text))


def _level(value: float, dash: list[int]) -> alt.Chart:
    """A line across the chart at a count."""
    data = pd.DataFrame({"count": [value]})
    return (
        alt.Chart(data)
        .mark_rule(strokeDash=dash, strokeWidth=1.8, color=HEAD_COLOURS[FINAL])
        .encode(y="count:Q")
    )


@kept
def count_by_layer(
    rows: pd.DataFrame, head: str, layer: int, truth: float | None, finding: str
) -> alt.LayerChart:
    """What one head counts after each layer; the final exit and the truth, if known, as lines
    across.

    rows: a trace with layer, head, count, ms, macs, practical.
    """
    rows = _shown(rows)
    own, final = rows[rows["head"] == head], rows[rows["head"] == FINAL].iloc[0]
    y = alt.Y(
        "count:Q", title="People", scale=alt.Scale(nice=True, zero=True), axis=alt.Axis(tickCount=6)
    )
    base = alt.Chart(own).encode(x=layer_axis(int(rows.layer.max())), y=y, tooltip=_tooltips())
    colour = head_colour([head], legend=False)
    parts, how = (
        [_level(float(final["count"]), [6, 4])],
        f"Dashed: the final exit, {final['count']:.0f}. ",
    )
    if truth is not None:
        parts.append(_level(truth, [1, 0]))
        how += f"Line: really there, {truth:.0f}. "
    line = base.mark_line(strokeWidth=2, opacity=0.75).encode(color=colour)
    rings = (
        base.transform_filter("datum.practical")
        .mark_point(size=260, strokeWidth=1.6)
        .encode(color=colour)
    )
    dots = base.mark_point(filled=True, size=90, opacity=1).encode(color=colour)
    here = (
        base.transform_filter(f"datum.layer == {layer}")
        .mark_point(filled=True, size=230, opacity=1)
        .encode(color=colour)
    )
    how += "The large dot is the layer chosen; a ring marks a practical exit."
    return alt.layer(*parts, line, rings, dots, here, title=title(finding, how), height=260)


@kept
def count_map(rows: pd.DataFrame, layer: int, finding: str) -> alt.LayerChart:
    """Heat map of all heads' counts. rows: as `count_by_layer`; brightest are the largest tenth of
    the counts."""
    # a few wild early exits must not darken all others
    top = max(float(rows["count"].quantile(0.9)), 1.0)
    data = _shown(rows)
    cells, _, numbers = heat_cells(data, "count", "count", tips=_tooltips(), top=top)
    column = cells.transform_filter(f"datum.layer == {layer}").mark_rect(
        cornerRadius=3, filled=False, strokeWidth=2.2, stroke="#D55E00"
    )
    how = "People counted by every exit; brighter is more; the layer chosen is framed."
    return alt.layer(
        cells, column, numbers, title=title(finding, how), height=32 * data["head"].nunique()
    )


@kept
def error_map(exits: pd.DataFrame, best: float, finding: str) -> alt.LayerChart:
    """Heat map of the mean absolute error by head and layer, practical exits ringed; brightest is
    `best`. exits: as `error_by_macs`."""
    rows = exits.drop(columns="ranges", errors="ignore").assign(
        exact=best / exits.mae, macs_text=exits.macs.map(macs_text)
    )
    tips = [
        alt.Tooltip("head:N", title="Head"),
        alt.Tooltip("layer:O", title="Layer"),
        alt.Tooltip("mae:Q", title="MAE", format=".1f"),
        alt.Tooltip("rmse:Q", title="RMSE", format=".1f"),
        alt.Tooltip("macs_text:N", title="MACs of six tiles"),
        alt.Tooltip("practical:N", title="Practical exit"),
    ]
    how = "People off on average; brighter is more exact; a ring marks a practical exit."
    cells = heat_cells(rows, "exact", "mae", tips=tips)
    return alt.layer(*cells, title=title(finding, how), height=32 * rows["head"].nunique())


@kept
def error_by_range(ranges: dict[str, list[dict]], finding: str) -> alt.LayerChart:
    """Mean absolute error of one exit by the true count, with bootstrap intervals. ranges: {set:
    [{range, n, mae, low, high}]}."""
    rows = pd.DataFrame([{"set": name, **r} for name, own in ranges.items() for r in own])
    first = rows["range"].str.extract(r"(\d+)")[0].astype(int)
    rows["range"] = rows["range"].str.replace(r">=(\d+)", r"\1 or more", regex=True)
    order = list(dict.fromkeys(rows["range"][first.sort_values(kind="stable").index]))
    tips = [
        alt.Tooltip("set:N", title="Test set"),
        alt.Tooltip("range:N", title="People there"),
        alt.Tooltip("n:Q", title="Pictures"),
        alt.Tooltip("mae:Q", title="Off by, on average", format=".1f"),
        alt.Tooltip("low:Q", title="95 % from", format=".1f"),
        alt.Tooltip("high:Q", title="to", format=".1f"),
    ]
    names = list(ranges)
    colour = alt.Color(
        "set:N",
        scale=alt.Scale(domain=names, range=[SETS[i % len(SETS)] for i in range(len(names))]),
        legend=alt.Legend(title=None, orient="top", columns=1, labelLimit=330),
    )
    base = alt.Chart(rows).encode(
        x=alt.X("range:N", sort=order, title="People really there", axis=alt.Axis(labelAngle=0)),
        xOffset=alt.XOffset("set:N", sort=names),
        tooltip=tips,
    )
    bars = base.mark_bar(cornerRadiusEnd=2).encode(
        y=alt.Y("mae:Q", title="Off by (people)"), color=colour
    )
    whiskers = base.mark_rule(strokeWidth=2, color=HEAD_COLOURS[FINAL]).encode(
        y="low:Q", y2="high:Q"
    )
    how = "Mean absolute error; the lines are 95 % bootstrap intervals."
    return alt.layer(bars, whiskers, title=title(finding, how), height=220)


def _final_level(mae: float, giga: float) -> tuple[alt.Chart, alt.Chart]:
    """The final exit's error as a line, named at giga, where the exits are far above it."""
    rows = pd.DataFrame({"mae": [mae], "text": [f"final exit: {mae:.1f}"], "giga": [giga]})
    level = alt.Chart(rows).encode(y="mae:Q")
    return (
        level.mark_rule(strokeDash=[6, 4], strokeWidth=1.8, color=HEAD_COLOURS[FINAL]),
        level.mark_text(align="left", baseline="top", dy=5, fontSize=12).encode(
            x="giga:Q", text="text:N"
        ),
    )


@kept
def error_by_macs(exits: pd.DataFrame, final: dict, finding: str) -> alt.LayerChart:
    """The paper's figure 8: error against work for every exit, practical ones ringed, the final
    exit as a line.

    exits: layer, head, mae, rmse, macs, practical; final: {mae, rmse, macs}.
    """
    rows = exits.drop(columns="ranges", errors="ignore").assign(giga=exits.macs / 1e9)
    tips = [
        alt.Tooltip("head:N", title="Head"),
        alt.Tooltip("layer:O", title="Layer"),
        alt.Tooltip("mae:Q", title="MAE", format=".1f"),
        alt.Tooltip("rmse:Q", title="RMSE", format=".1f"),
        alt.Tooltip("giga:Q", title="G MACs", format=".1f"),
        alt.Tooltip("practical:N", title="Practical exit"),
    ]
    base = alt.Chart(rows).encode(
        x=alt.X("giga:Q", title="G MACs of six tiles"),
        y=alt.Y(
            "mae:Q",
            title="Off by (people)",
            scale=alt.Scale(type="log", nice=False, padding=16),
            axis=alt.Axis(tickCount=5),
        ),
        color=head_colour(list(dict.fromkeys(rows["head"]))),
        tooltip=tips,
    )
    dots = base.mark_point(filled=True, size=70, opacity=1)
    rings = base.transform_filter("datum.practical").mark_point(size=220, strokeWidth=1.6)
    line = base.mark_line(strokeWidth=1.5, opacity=0.5)
    return alt.layer(
        line,
        *_final_level(final["mae"], rows.giga.min()),
        rings,
        dots,
        title=title(finding, "A ring marks a practical exit."),
        height=300,
    )
