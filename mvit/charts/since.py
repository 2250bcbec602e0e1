"""What came after the paper: how each way of joint training changes every exit."""

from __future__ import annotations

import altair as alt
import pandas as pd

from mvit.charts.kept import kept
from mvit.charts.style import HEAD_COLOURS, title

COLOURS = ("#0b62a4", "#C27D00", "#2E8B57", "#8E5BB5", "#B03A5B", "#77849A")


@kept
def gains(rows: pd.DataFrame, depth: int, finding: str) -> alt.LayerChart:
    """The gain of every exit over end-to-end training as the paper does it, one line a way. rows:
    way, layer (text: "1", "2", ... or "final"), accuracy, gain, chance (points), in drawing
    order."""
    ways = list(dict.fromkeys(rows.way))
    places = [*map(str, range(1, depth + 1)), "final"]
    x = alt.X("layer:O", title="Exit after layer", sort=places, axis=alt.Axis(labelAngle=0))
    base = alt.Chart(rows).encode(
        x=x,
        y=alt.Y("gain:Q", title="Gain, points", axis=alt.Axis(format="+.0f", tickCount=6)),
        color=alt.Color(
            "way:N",
            scale=alt.Scale(domain=ways, range=list(COLOURS[: len(ways)])),
            legend=alt.Legend(title="Training", orient="bottom", columns=2, labelLimit=240),
        ),
        tooltip=[
            alt.Tooltip("way:N", title="Training"),
            alt.Tooltip("layer:O", title="Exit after layer"),
            alt.Tooltip("accuracy:Q", title="Accuracy", format=".2%"),
            alt.Tooltip("gain:Q", title="Gain, points", format="+.2f"),
            alt.Tooltip("chance:Q", title="Could be chance up to, points", format=".2f"),
        ],
    )
    none = alt.Chart(pd.DataFrame({"gain": [0.0]})).mark_rule(
        strokeDash=[6, 4], color=HEAD_COLOURS["final"]
    )
    doubt = rows.groupby("layer", as_index=False).chance.max().assign(low=lambda r: -r.chance)
    band = (
        alt.Chart(doubt)
        .mark_bar(width=alt.RelativeBandSize(1), opacity=0.25, color=HEAD_COLOURS["final"])
        .encode(x=x, y="low:Q", y2="chance:Q")
    )
    lines = base.transform_filter("datum.layer != 'final'").mark_line(strokeWidth=2)
    points = base.mark_point(filled=True, size=60, opacity=1)
    how = "Each way was trained once. Dashed: the paper's end-to-end way. Grey: could be chance."
    return (band + none.encode(y="gain:Q") + lines + points).properties(
        title=title(finding, how), height=260
    )
