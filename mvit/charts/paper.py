"""The paper's figures 6 to 8 from our results: accuracy against total multiply-accumulates, every
head and layer."""

from __future__ import annotations

import altair as alt
import pandas as pd

from mvit.charts.kept import kept
from mvit.charts.style import HEAD_COLOURS, INK, head_colour, macs_text, title
from mvit.charts.text import reads_black

CLICK = "picked"  # the name of the chart's selection
STRATEGIES = {
    "classifier-wise": ("#77849A", "square"),
    "layer-wise": ("#C27D00", "triangle-up"),
    "end-to-end": ("#0b62a4", "circle"),
}


@kept
def accuracy_by_macs(
    exits: pd.DataFrame,
    final: dict,
    reported: pd.DataFrame,
    picked: tuple[int, str] | None,
    finding: str,
    zoom: bool = False,
) -> alt.LayerChart:
    """Accuracy of every exit against its total MACs, practical exits circled, the final exit as a
    line.

    exits: layer, head, accuracy, macs, practical, behind. final: accuracy, macs. reported: text,
    accuracy (what the paper reports, may be empty). picked: the exit to mark. zoom: leave out what
    is far below the final exit. Clicking selects (`CLICK`: layer, head).
    """
    rows = exits.assign(giga=exits.macs / 1e9, macs_text=exits.macs.map(macs_text))
    heads = list(dict.fromkeys(rows["head"]))
    top = max([rows.accuracy.max(), final["accuracy"], *reported.accuracy]) + 0.012
    low = max(0.0, final["accuracy"] - 0.12 if zoom else rows.accuracy.min() - 0.02)
    y = alt.Y(
        "accuracy:Q",
        title="Accuracy on test",
        axis=alt.Axis(format=".1%" if zoom else ".0%", tickCount=6),
        scale=alt.Scale(domain=[low, min(top, 1.0)], nice=False, clamp=False),
    )
    x = alt.X(
        "giga:Q",
        title="Total MACs of one picture, G",
        scale=alt.Scale(zero=False),
        axis=alt.Axis(tickCount=6),
    )
    if zoom:
        rows = rows[rows.accuracy >= low]
    words = f"our final exit: {final['accuracy']:.2%}, {macs_text(final['macs'])}"
    end = pd.DataFrame({"accuracy": [final["accuracy"]], "text": [words]})
    layers = [
        _across(pd.concat([end, reported], ignore_index=True), y),
        *_exits(alt.Chart(rows).encode(x=x, y=y, color=head_colour(heads))),
    ]
    if picked is not None:
        own = rows[(rows.layer == picked[0]) & (rows["head"] == picked[1])]
        square = alt.Chart(own).mark_point(
            shape="square", size=420, strokeWidth=2, color=HEAD_COLOURS["final"]
        )
        layers.append(square.encode(x=x, y=y))
    how = (
        "Each point is one exit, joined by layers; a ring marks a practical exit. Click a point to "
        "see its numbers below."
    )
    return alt.layer(*layers, title=title(finding, how), height=430)


def _exits(base: alt.Chart) -> list[alt.Chart]:
    """Every exit as a point that can be clicked, joined by head, with rings on practical ones."""
    tips = [
        alt.Tooltip("head:N", title="Head"),
        alt.Tooltip("layer:O", title="Layer"),
        alt.Tooltip("accuracy:Q", title="Accuracy", format=".2%"),
        alt.Tooltip("macs_text:N", title="Total MACs"),
        alt.Tooltip("behind:Q", title="Points behind the final exit", format=".2f"),
        alt.Tooltip("practical:N", title="Practical exit"),
    ]
    click = alt.selection_point(name=CLICK, fields=["layer", "head"], on="click", clear=False)
    rings = base.transform_filter("datum.practical")
    dots = base.mark_point(filled=True, size=60, opacity=1, cursor="pointer").encode(tooltip=tips)
    return [
        base.mark_line(strokeWidth=1.4, opacity=0.45),
        rings.mark_point(size=170, strokeWidth=1.5, shape="circle"),
        dots.add_params(click),
    ]


def _across(rows: pd.DataFrame, y: alt.Y) -> alt.Chart:
    """Horizontal lines, the first one solid; named in a legend, since the lines may lie too close
    for words beside them."""
    names = list(rows.text)
    dashes = alt.Scale(domain=names, range=[[1, 0], [7, 4], [2, 3], [9, 3, 2, 3]][: len(names)])
    legend = alt.Legend(
        title=None,
        orient="top",  # two legends at the bottom lie side by side, too wide for a phone
        columns=1,
        labelLimit=330,
        symbolStrokeColor=HEAD_COLOURS["final"],
        symbolSize=500,  # wide enough to tell the dashes
    )
    rule = alt.Chart(rows).mark_rule(color=HEAD_COLOURS["final"], strokeWidth=1.8)
    return rule.encode(
        y=y,
        strokeDash=alt.StrokeDash("text:N", scale=dashes, legend=legend),
        tooltip=[alt.Tooltip("text:N", title="Line")],
    )


@kept
def practical_by_head(rows: pd.DataFrame, finding: str) -> alt.LayerChart:
    """How many exits of each head are practical. rows: head, practical, of, best_layer,
    best_accuracy, mean_accuracy."""
    heads = list(rows["head"])
    tips = [
        alt.Tooltip("head:N", title="Head"),
        alt.Tooltip("practical:Q", title="Practical exits"),
        alt.Tooltip("of:Q", title="Of"),
        alt.Tooltip("best_layer:O", title="Best at layer"),
        alt.Tooltip("best_accuracy:Q", title="Accuracy there", format=".2%"),
    ]
    y = alt.Y("head:N", sort=heads, title=None)
    x = alt.X(
        "practical:Q",
        title="Practical exits",
        axis=alt.Axis(tickMinStep=1),
        scale=alt.Scale(domain=[0, int(rows["of"].max())]),
    )
    bars = (
        alt.Chart(rows)
        .mark_bar(cornerRadiusEnd=2)
        .encode(x=x, y=y, color=head_colour(heads, legend=False), tooltip=tips)
    )
    best = alt.Chart(
        rows.assign(
            light=[reads_black(HEAD_COLOURS.get(h, HEAD_COLOURS["final"])) for h in heads],
            text=[
                f"best {a:.1%} at layer {b}"
                for a, b in zip(rows.best_accuracy, rows.best_layer, strict=True)
            ],
        )
    )
    words = best.mark_text(align="right", dx=-6, fontSize=11).encode(
        x=x, y=y, text="text:N", color=INK
    )
    return alt.layer(
        bars,
        words,
        title=title(
            finding,
            "Practical: better than every earlier exit of the same head, and than guessing.",
        ),
        height=28 * len(heads),
    )


def _strategy(rows: pd.DataFrame) -> dict:
    """Colour and shape of a training strategy."""
    names = [s for s in STRATEGIES if s in set(rows.strategy)]
    legend = alt.Legend(title="Training", orient="bottom", columns=1, symbolSize=110)
    colour, shape = (
        alt.Scale(domain=names, range=[STRATEGIES[n][i] for n in names]) for i in (0, 1)
    )
    return {
        "color": alt.Color("strategy:N", scale=colour, legend=legend),
        "shape": alt.Shape("strategy:N", scale=shape, legend=legend),
    }


@kept
def strategies(
    rows: pd.DataFrame, value: str, axis: str, finding: str, how: str, line: float | None = None
) -> alt.LayerChart:
    """Table I as points: one row a head, one point a training strategy. rows: strategy, head and
    `value`, which `axis` names, and a line from its `low` to its `high`."""
    heads = list(dict.fromkeys(rows["head"]))
    form = ".1%" if value != "change" else "+.1f"
    x = alt.X(
        f"{value}:Q",
        title=axis,
        scale=alt.Scale(zero=False, padding=12),
        axis=alt.Axis(format=form, tickCount=5),
    )
    y = alt.Y("head:N", sort=heads, title=None, axis=alt.Axis(grid=True))
    tips = [
        alt.Tooltip("head:N", title="Head"),
        alt.Tooltip("strategy:N", title="Training"),
        alt.Tooltip("accuracy:Q", title="At the layer", format=".2%"),
        alt.Tooltip("final:Q", title="Final exit", format=".2%"),
        alt.Tooltip("change:Q", title="Final exit against plain, points", format="+.2f"),
    ]
    points = alt.Chart(rows).mark_point(filled=True, size=110, opacity=0.95)
    low = alt.X("low:Q", title=axis, scale=alt.Scale(zero=False, padding=12))
    spread = alt.Chart(rows).mark_rule(size=2, opacity=0.6)
    both, place = _strategy(rows), {"y": y, "yOffset": alt.YOffset("strategy:N")}
    figure = spread.encode(
        x=low, x2="high:Q", color=both["color"], tooltip=tips, **place
    ) + points.encode(x=x, tooltip=tips, **both, **place)
    if line is not None:
        figure = (
            alt.Chart(pd.DataFrame({value: [line]}))
            .mark_rule(strokeDash=[6, 4], color=HEAD_COLOURS["final"])
            .encode(x=x)
            + figure
        )
    return figure.properties(title=title(finding, how), height=48 * len(heads))


@kept
def people_closer(
    rows: pd.DataFrame, value: str, axis: str, finding: str, how: str
) -> alt.LayerChart:
    """A counter's Table I as points: one row a head, one point a training strategy. rows: strategy,
    head, mae, final, `value` (people closer, which `axis` names) and `<value>_noise`, what chance
    could do."""
    heads = list(dict.fromkeys(rows["head"]))
    rows = rows.assign(
        low=rows[value] - rows[f"{value}_noise"], high=rows[value] + rows[f"{value}_noise"]
    )
    scale = alt.Scale(zero=True, padding=12)
    y = alt.Y("head:N", sort=heads, title=None, axis=alt.Axis(grid=True))
    offset = alt.YOffset("strategy:N")
    tips = [
        alt.Tooltip("head:N", title="Head"),
        alt.Tooltip("strategy:N", title="Training"),
        alt.Tooltip(f"{value}:Q", title="People closer", format="+.1f"),
        alt.Tooltip(f"{value}_noise:Q", title="Chance", format=".1f"),
        alt.Tooltip("mae:Q", title="At the layer off by", format=".1f"),
        alt.Tooltip("final:Q", title="Final exit off by", format=".1f"),
    ]
    both = _strategy(rows)
    form = alt.Axis(format="+.1f", tickCount=5)
    spread = (
        alt.Chart(rows)
        .mark_rule(size=2, opacity=0.6)
        .encode(
            x=alt.X("low:Q", title=axis, scale=scale, axis=form),
            x2="high:Q",
            y=y,
            yOffset=offset,
            color=both["color"],
            tooltip=tips,
        )
    )
    points = (
        alt.Chart(rows)
        .mark_point(filled=True, size=110, opacity=0.95)
        .encode(x=alt.X(f"{value}:Q", title=axis), y=y, yOffset=offset, tooltip=tips, **both)
    )
    zero = (
        alt.Chart(pd.DataFrame({value: [0.0]}))
        .mark_rule(strokeDash=[6, 4], color=HEAD_COLOURS["final"])
        .encode(x=f"{value}:Q")
    )
    return (zero + spread + points).properties(title=title(finding, how), height=56 * len(heads))


@kept
def learning(rows: pd.DataFrame, finding: str) -> alt.Chart:
    """Validation losses while exits learn. rows: head, round, loss."""
    return (
        alt.Chart(rows)
        .mark_line(point=True)
        .encode(
            x=alt.X("round:Q", title="Round", axis=alt.Axis(tickMinStep=1)),
            y=alt.Y("loss:Q", title="Loss", scale=alt.Scale(zero=False)),
            color=head_colour(list(dict.fromkeys(rows["head"]))).legend(
                title="Head",
                orient="bottom",
                columns=2,  # within a border, on a phone
            ),
            tooltip=["head:N", "round:Q", alt.Tooltip("loss:Q", format=".3f")],
        )
        .properties(title=title(finding), height=240)
    )
