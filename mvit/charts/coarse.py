"""From coarse to fine: how far down the tree of classes each exit dares to go."""

from __future__ import annotations

import altair as alt
import pandas as pd

from mvit.charts.style import shades, sure_text
from mvit.models.tree import ClassTree


def coarse_rows(exits: pd.DataFrame, tree: ClassTree) -> pd.DataFrame:
    """What the exits of a run say for sure. exits: layer, head, scores (class probabilities);
    returns exit, says, sure (text), probability, depth, exact."""
    found = []
    for row in exits.itertuples():
        said = tree.say(row.scores)
        found.append(
            {
                "exit": "final exit" if row.head == "final" else f"layer {row.layer}",
                "says": said.name,
                "sure": sure_text(said.probability),
                "probability": said.probability,
                "depth": said.depth,
                "exact": said.exact,
            }
        )
    return pd.DataFrame(found)


def coarse_chart(rows: pd.DataFrame) -> alt.LayerChart:
    """One bar an exit, as long as its answer is specific, with the answer in words behind it."""
    order = list(dict.fromkeys(rows["exit"]))
    longest = float(max(rows.depth.max(), 1))
    base = alt.Chart(rows).encode(
        y=alt.Y("exit:N", sort=order, title=None),
        x=alt.X(
            "depth:Q",
            title="steps down the tree of things",
            scale=alt.Scale(domain=[0, 1.9 * longest]),
            axis=alt.Axis(grid=False, tickMinStep=1, values=list(range(int(longest) + 1))),
        ),
        tooltip=[
            alt.Tooltip("exit:N", title="after"),
            alt.Tooltip("says:N", title="at least half sure of"),
            alt.Tooltip("sure:N", title="how sure"),
        ],
    )
    bars = base.mark_bar(cornerRadiusEnd=3, height={"band": 0.7}).encode(
        color=alt.Color("probability:Q", scale=shades(), legend=None)
    )
    words = base.transform_calculate(text="datum.says + ' · ' + datum.sure").mark_text(
        align="left", dx=6, fontSize=12
    )
    return (bars + words.encode(text="text:N")).properties(height=24 * len(order) + 40)
