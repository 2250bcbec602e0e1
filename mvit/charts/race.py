"""Charts of two models on one clock."""

from __future__ import annotations

from collections.abc import Sequence

import altair as alt
import pandas as pd

from mvit.charts.style import HEAD_COLOURS, RIGHT, UNKNOWN, WRONG, title

COLOURS = [HEAD_COLOURS["mlp"], HEAD_COLOURS["vit"]]
DASHES = [[1, 0], [7, 4]]
VERDICTS = alt.Scale(
    domain=[RIGHT, WRONG, UNKNOWN],
    range=[HEAD_COLOURS[name] for name in ("cnn_add", "vit", "final")],
)
SHAPES = alt.Scale(domain=[RIGHT, WRONG, UNKNOWN], range=["circle", "cross", "diamond"])


def _clock(end_ms: float) -> alt.X:
    return alt.X(
        "ms:Q",
        title="Time since the start, ms",
        scale=alt.Scale(domain=[0, end_ms], nice=False),
        axis=alt.Axis(tickCount=6),
    )


def _stop(ms: float) -> alt.Chart:
    """Where both clocks stop."""
    line = alt.Chart(pd.DataFrame({"ms": [ms], "text": [f"both clocks stop at {ms:g} ms"]}))
    return line.mark_rule(strokeDash=[2, 3], strokeWidth=1.6, color=HEAD_COLOURS["final"]).encode(
        x="ms:Q", tooltip=alt.Tooltip("text:N", title="Stop")
    )


def _crossing(ms: float) -> alt.Chart:
    """The moment from which the other model is ahead."""
    line = alt.Chart(pd.DataFrame({"ms": [ms], "text": [f"{ms:.1f} ms"]}))
    return line.mark_rule(strokeWidth=1.6).encode(
        x="ms:Q",
        color=alt.value(HEAD_COLOURS["cnn_add"]),
        tooltip=alt.Tooltip("text:N", title="Crossing"),
    )


def lanes(
    rows: pd.DataFrame, names: Sequence[str], *, stop_ms: float, finding: str
) -> alt.LayerChart:
    """Both models' answers on one picture, a lane each. rows: model, ms, exit, answer, verdict,
    confidence."""
    x = _clock(1.05 * max(rows.ms.max(), stop_ms))
    bare = alt.Axis(labels=False, ticks=False, domain=False)  # names stand above their lanes
    y = alt.Y("model:N", sort=list(names), title=None, axis=bare)
    named = alt.Chart(pd.DataFrame({"model": list(names), "ms": 0.0})).encode(x=x, y=y)
    base = alt.Chart(rows).encode(
        x=x,
        y=y,
        tooltip=[
            alt.Tooltip("model:N", title="Model"),
            alt.Tooltip("exit:N", title="Exit"),
            alt.Tooltip("answer:N", title="Answer"),
            alt.Tooltip("verdict:N", title="Verdict"),
            alt.Tooltip("confidence:Q", title="Confidence", format=".0%"),
            alt.Tooltip("ms:Q", title="Ready after, ms", format=".1f"),
        ],
    )
    legend = alt.Legend(title=None, orient="bottom", values=sorted(set(rows.verdict)))
    marks = base.mark_point(size=130, filled=True, opacity=1).encode(
        color=alt.Color("verdict:N", scale=VERDICTS, legend=legend),
        shape=alt.Shape("verdict:N", scale=SHAPES, legend=legend),
    )
    lines = base.mark_line(strokeWidth=1, color=HEAD_COLOURS["final"]).encode(detail="model:N")
    words = named.mark_text(align="left", dx=3, dy=-20, fontSize=12).encode(text="model:N")
    how = (
        "Each mark is an answer, where it was ready in the run of middle length. The last one of a "
        "lane is the final exit's."
    )
    return alt.layer(lines, marks, words, _stop(stop_ms), title=title(finding, how), height=130)


def accuracy(
    rows: pd.DataFrame,
    plain: pd.DataFrame,
    names: Sequence[str],
    *,
    stop_ms: float,
    crossing_ms: float | None,
    finding: str,
) -> alt.LayerChart:
    """How often the answer in hand is right at every moment. rows, plain: model, ms, right; plain:
    of the networks without exits."""
    x = _clock(rows.ms.max())
    y = alt.Y(
        "right:Q",
        title="Right, of all test pictures",
        scale=alt.Scale(domain=[0, 1], nice=False),
        axis=alt.Axis(format=".0%", tickCount=5),
    )
    legend = alt.Legend(title=None, orient="bottom", columns=1, labelLimit=320)
    colours, dashes = (alt.Scale(domain=list(names), range=looks) for looks in (COLOURS, DASHES))
    look = {
        "color": alt.Color("model:N", scale=colours, legend=legend),
        "tooltip": [
            alt.Tooltip("model:N", title="Model"),
            alt.Tooltip("ms:Q", title="After, ms", format=".1f"),
            alt.Tooltip("right:Q", title="Right", format=".1%"),
        ],
    }
    dash = alt.StrokeDash("model:N", scale=dashes, legend=legend)
    steps = alt.Chart(rows).mark_line(interpolate="step-after", strokeWidth=2.5)
    ends = alt.Chart(plain).mark_point(size=110, shape="diamond", strokeWidth=2)
    layers = [
        steps.encode(x=x, y=y, strokeDash=dash, **look),
        ends.encode(x=x, y=y, **look),
        _stop(stop_ms),
    ]
    how = (
        "Each step is an exit that answers. Diamonds: the same networks without exits, which have "
        "nothing before their end. Dotted: where both clocks stop."
    )
    if crossing_ms is not None:
        layers.append(_crossing(crossing_ms))
        how += f" Green line: the lead changes for the last time, at {crossing_ms:.1f} ms."
    return alt.layer(*layers, title=title(finding, how), height=260)
