"""From coarse to fine: how far down the tree of classes each exit dares to go, on one picture and
on many."""

from __future__ import annotations

import altair as alt
import pandas as pd

from mvit.charts.kept import kept
from mvit.charts.style import CIVIDIS, plain_label, shades, sure_text, title
from mvit.models.cautious import Caution
from mvit.models.tree import ClassTree


def coarse_rows(exits: pd.DataFrame, tree: ClassTree, told: dict | None = None) -> pd.DataFrame:
    """What the exits of a run say for sure. exits: layer, head, scores (class probabilities);
    told: what a card says under "coarse", of how sure each must be. Returns exit, says, sure
    (text; none of an exit that says nothing), probability, depth, node, exact."""
    caution, found = Caution(tree, told), []
    for row in exits.itertuples():
        said = caution.says((row.layer, row.head), row.scores)
        found.append(
            {
                "exit": "final exit" if row.head == "final" else f"layer {row.layer}",
                "says": plain_label(said.name),
                "sure": "" if said.unsure else sure_text(said.probability),
                "probability": said.probability,
                "depth": said.depth,
                "node": said.node,
                "exact": said.exact,
            }
        )
    return pd.DataFrame(found)


@kept
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
    words = base.transform_calculate(
        text="datum.says + (datum.sure && ' · ' + datum.sure)"
    ).mark_text(align="left", dx=6, fontSize=12)
    return (bars + words.encode(text="text:N")).properties(height=24 * len(order) + 40)


def depth_rows(told: dict, head: str) -> pd.DataFrame:
    """How specific one head's answers are after each layer, the final exit last: exit, group (in
    words), order (0: the most specific), verdict, share of all pictures, right (share of the
    group).

    told: what a card says under "coarse", see `mvit.evaluation.coarse.record`.
    """
    rows = []
    for row in told["exits"]:
        if row["head"] not in (head, "final"):
            continue
        name = "final exit" if row["head"] == "final" else f"layer {row['layer']}"
        for order, said in enumerate(row["said"]):
            counts = {"right": said["right"], "wrong": said["n"] - said["right"]}
            for verdict, n in counts.items():
                rows.append(
                    {
                        "exit": name,
                        "group": group_name(said["upto"], order),
                        "order": 2 * order + (verdict == "wrong"),
                        "verdict": verdict,
                        "share": n / told["n"],
                        "right": said["right"] / said["n"] if said["n"] else float("nan"),
                    }
                )
    return pd.DataFrame(rows)


def group_name(upto: int, order: int) -> str:
    """How specific an answer is that leaves at most `upto` names; order 0 is the most specific."""
    if upto == 1:
        return "one name, as beagle"
    kinds = {1: "a narrow kind, as terrier", 2: "a kind, as dog"}
    return kinds.get(order, "hardly anything, as something alive")


@kept
def depth_chart(rows: pd.DataFrame, finding: str) -> alt.Chart:
    """One bar an exit, all pictures wide: how specific the answers are, the wrong ones faint. rows:
    see `depth_rows`."""
    order, groups = list(dict.fromkeys(rows["exit"])), list(dict.fromkeys(rows["group"]))
    colours = ["#{:02x}{:02x}{:02x}".format(*CIVIDIS[i]) for i in (5, 4, 2, 1)]
    chart = (
        alt.Chart(rows)
        .mark_bar()
        .encode(
            y=alt.Y("exit:N", sort=order, title=None),
            x=alt.X(
                "share:Q",
                title="share of all pictures",
                axis=alt.Axis(format=".0%", grid=False),
                scale=alt.Scale(domain=[0, 1]),
            ),
            order=alt.Order("order:Q"),
            color=alt.Color(
                "group:N",
                scale=alt.Scale(domain=groups, range=colours),
                legend=alt.Legend(
                    title="It is sure of", orient="bottom", columns=1, labelLimit=300
                ),
            ),
            opacity=alt.Opacity(
                "verdict:N",
                scale=alt.Scale(domain=["right", "wrong"], range=[1, 0.35]),
                legend=None,
            ),
            tooltip=[
                alt.Tooltip("exit:N", title="after"),
                alt.Tooltip("group:N", title="sure of"),
                alt.Tooltip("verdict:N", title="and it is"),
                alt.Tooltip("share:Q", title="of all pictures", format=".1%"),
                alt.Tooltip("right:Q", title="right, when this specific", format=".0%"),
            ],
        )
    )
    how = "Full colour: right. Faint: wrong."
    return chart.properties(height=24 * len(order), title=title(finding, how))
