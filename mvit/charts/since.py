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
    way, layer (text: "1", "2", ... or "final"), accuracy, gain (points), in drawing order."""
    ways = list(dict.fromkeys(rows.way))
    places = [*map(str, range(1, depth + 1)), "final"]
    base = alt.Chart(rows).encode(
        x=alt.X("layer:O", title="Exit after layer", sort=places, axis=alt.Axis(labelAngle=0)),
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
        ],
    )
    none = alt.Chart(pd.DataFrame({"gain": [0.0]})).mark_rule(
        strokeDash=[6, 4], color=HEAD_COLOURS["final"]
    )
    lines = base.transform_filter("datum.layer != 'final'").mark_line(strokeWidth=2)
    points = base.mark_point(filled=True, size=60, opacity=1)
    how = "Dashed: end-to-end training as the paper does it, at the same cost."
    return (none.encode(y="gain:Q") + lines + points).properties(
        title=title(finding, how), height=260
    )
