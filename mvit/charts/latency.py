"""Charts and tables of the page "Latency slider": a measured run re-scored at any deadline inside
the chart, and real interrupted runs."""

from __future__ import annotations

from collections.abc import Sequence

import altair as alt
import pandas as pd

from mvit.charts.style import HEAD_COLOURS, RIGHT, UNKNOWN, WRONG, macs_text, plain_label, title
from mvit.inference.deadline import Answer
from mvit.models.multi_exit import FINAL, Exit

RULE = "#D55E00"
NONE = "none"  # the answering layer of a run that had no answer


def timeline_rows(exits: Sequence[Exit], truth: str | None) -> pd.DataFrame:
    """One row an exit of a measured run, in the order they fired: what the chart, the table and the
    exports show."""
    names = (
        "layer",
        "head",
        "label",
        "confidence",
        "elapsed_ms",
        "ms",
        "head_ms",
        "macs",
        "practical",
    )
    rows = pd.DataFrame([{n: getattr(e, n) for n in names} for e in exits])
    rows["verdict"] = [
        UNKNOWN if truth is None else RIGHT if label == truth else WRONG for label in rows.label
    ]
    return rows


def answer_at(rows: pd.DataFrame, deadline_ms: float) -> pd.Series | None:
    """The latest exit that had finished at the deadline, as the chart's own transforms find it;
    None if none had."""
    ready = rows[rows.elapsed_ms <= deadline_ms]
    return None if ready.empty else ready.iloc[-1]


def room_ms(rows: pd.DataFrame, plain_ms: float) -> float:
    """How far the chart's slider and its time axis reach."""
    return round(1.15 * max(float(rows.elapsed_ms.max()), plain_ms), 1)


def timeline(
    rows: pd.DataFrame, plain_ms: float, deadline_ms: float, finding: str
) -> alt.LayerChart:
    """Confidence over time with a slider for the deadline; the answer at that deadline is worked
    out by the chart, without the server.

    rows: as `timeline_rows` gives them. plain_ms: the same backbone without exits. The slider
    begins at deadline_ms, if it reaches there.
    """
    reach = room_ms(rows, plain_ms)
    start = round(min(max(deadline_ms, 0.0), reach), 1)
    slider = alt.param(
        name="deadline",
        value=start,
        bind=alt.binding_range(min=0, max=reach, step=0.1, name="Deadline, ms "),
    )
    said = rows.assign(answer=rows.label.map(plain_label), macs_text=rows.macs.map(macs_text))
    said["where"] = [
        "the final exit" if h == FINAL else f"layer {b}"
        for b, h in zip(rows.layer, rows["head"], strict=True)
    ]
    x = alt.X(
        "elapsed_ms:Q",
        title="Milliseconds since the start",
        scale=alt.Scale(domain=[0, reach], nice=False),
    )
    room = alt.Scale(domain=[0, 1.6], nice=False)  # above 100 % there is room for the words
    y = alt.Y(
        "confidence:Q",
        title="Confidence",
        scale=room,
        axis=alt.Axis(format=".0%", values=[0, 0.25, 0.5, 0.75, 1]),
    )
    tips = [
        alt.Tooltip("where:N", title="Exit"),
        alt.Tooltip("head:N", title="Head"),
        alt.Tooltip("answer:N", title="Answer"),
        alt.Tooltip("verdict:N", title="The answer is"),
        alt.Tooltip("confidence:Q", title="Confidence", format=".1%"),
        alt.Tooltip("elapsed_ms:Q", title="Ready after, ms", format=".2f"),
        alt.Tooltip("macs_text:N", title="MACs"),
    ]
    shape = alt.Shape(
        "verdict:N",
        scale=alt.Scale(domain=[RIGHT, WRONG, UNKNOWN], range=["circle", "cross", "diamond"]),
        legend=alt.Legend(title=None, orient="bottom", values=sorted(set(rows.verdict))),
    )
    head = rows["head"].iloc[0]
    base = alt.Chart(said).encode(x=x, y=y, tooltip=tips)
    colour = HEAD_COLOURS.get(head, HEAD_COLOURS[FINAL])
    steps = base.mark_line(interpolate="step-after", strokeWidth=1.5, opacity=0.5, color=colour)
    early = alt.condition("datum.elapsed_ms <= deadline", alt.value(1), alt.value(0.25))
    dots = base.mark_point(filled=True, size=110, color=colour).encode(shape=shape, opacity=early)
    one = alt.Chart(pd.DataFrame({"plain": [plain_ms], "first": [float(rows.elapsed_ms.iloc[0])]}))
    tall = {"y": alt.datum(0), "y2": alt.datum(1.15)}  # not into the words
    plain = one.mark_rule(strokeDash=[6, 4], strokeWidth=1.5, color=HEAD_COLOURS[FINAL]).encode(
        x="plain:Q", **tall
    )
    rule = (
        one.transform_calculate(now="deadline")
        .mark_rule(strokeWidth=3, color=RULE)
        .encode(x="now:Q", **tall)
    )
    latest = base.transform_filter("datum.elapsed_ms <= deadline")
    latest = latest.transform_window(
        place="rank()", sort=[alt.SortField("elapsed_ms", order="descending")]
    )
    latest = latest.transform_filter("datum.place == 1")
    ring = latest.mark_point(size=420, strokeWidth=2.5, color=RULE)
    words = {"align": "left", "fontSize": 13, "baseline": "top"}
    answer = latest.transform_calculate(
        text="'Exits: \\'' + datum.answer + '\\', ' + format(datum.confidence, '.0%') + ' sure, ' + datum.where"
    )
    answer = answer.mark_text(fontWeight="bold", **words).encode(
        x=alt.value(4), y=alt.value(4), text="text:N"
    )
    nothing = one.transform_filter("deadline < datum.first").transform_calculate(
        text="'Exits: no answer yet; the first at ' + format(datum.first, '.1f') + ' ms'"
    )
    nothing = nothing.mark_text(fontWeight="bold", **words).encode(
        x=alt.value(4), y=alt.value(4), text="text:N"
    )
    static = one.transform_calculate(
        text="deadline < datum.plain ? 'Without exits: no answer yet' : 'Without exits: answered at ' + format(datum.plain, '.1f') + ' ms'"
    )
    static = static.mark_text(**words).encode(x=alt.value(4), y=alt.value(24), text="text:N")
    how = "Move the slider below: bright is ready by then, the ring is the answer. Dashed: the same network without exits."
    layers = steps + plain + dots + ring + rule + answer + nothing + static
    return layers.add_params(slider).properties(title=title(finding, how), height=300)


def repeat_rows(answers: Sequence[Answer]) -> pd.DataFrame:
    """One row a real interrupted run: run, layer (NONE without an answer), head, answer,
    confidence, ready_ms, answered_ms, overshoot_ms, late (exits that finished after the deadline),
    wasted_blocks."""
    return pd.DataFrame(
        [
            {
                "run": i,
                "layer": NONE
                if a.exit is None
                else str(a.exit.layer)
                if a.exit.head != FINAL
                else FINAL,
                "head": a.exit and a.exit.head,
                "answer": a.exit and plain_label(a.exit.label),
                "confidence": a.exit and a.exit.confidence,
                "ready_ms": a.exit and a.exit.elapsed_ms,
                "answered_ms": a.answered_ms,
                "overshoot_ms": a.overshoot_ms,
                "late": len(a.late),
                "wasted_blocks": a.wasted_blocks,
            }
            for i, a in enumerate(answers, 1)
        ]
    )


def spread(rows: pd.DataFrame, deadline_ms: float) -> str:
    """The strip plot's finding: how many runs had an answer, from which layers, and how late the
    answer came at worst."""
    ready = rows[rows.layer != NONE]
    if ready.empty:
        return f"In none of {len(rows)} runs had an exit finished at {deadline_ms:g} ms"
    usual = ready.layer.mode().iloc[0]
    where = "the final exit" if usual == FINAL else f"layer {usual}"
    return (
        f"{len(ready)} of {len(rows)} runs had an answer at {deadline_ms:g} ms, mostly from {where}"
    )


def strip(rows: pd.DataFrame, deadline_ms: float, depth: int, finding: str) -> alt.LayerChart:
    """When the answer of each run was ready, by the layer that gave it; the deadline as a line.
    rows: as `repeat_rows` gives them."""
    order = [NONE, *(str(b) for b in range(1, depth + 1)), FINAL]
    shown = rows.assign(
        at=rows.ready_ms.astype(float).fillna(rows.answered_ms),
        jitter=[(7 * i % 10) / 10 for i in rows.run],
        kind=(rows.layer == NONE).map({True: "no answer", False: "an answer"}),
    )
    used = [b for b in order if b in set(shown.layer)]
    top = 1.1 * max(deadline_ms, float(shown["at"].max()))
    x = alt.X("at:Q", title="Answer ready after, ms", scale=alt.Scale(domain=[0, top], nice=False))
    tips = [
        alt.Tooltip("run:O", title="Run"),
        alt.Tooltip("layer:N", title="Layer"),
        alt.Tooltip("answer:N", title="Answer"),
        alt.Tooltip("ready_ms:Q", title="Ready after, ms", format=".2f"),
        alt.Tooltip("answered_ms:Q", title="In the caller's hands after, ms", format=".2f"),
    ]
    kinds = alt.Shape(
        "kind:N",
        scale=alt.Scale(domain=["an answer", "no answer"], range=["circle", "cross"]),
        legend=alt.Legend(title=None, orient="bottom", values=sorted(set(shown.kind))),
    )
    dots = alt.Chart(shown).mark_point(
        filled=True, size=55, opacity=0.75, color=HEAD_COLOURS["mlp"]
    )
    dots = dots.encode(
        x=x,
        y=alt.Y("layer:N", sort=used, title="Layer"),
        yOffset="jitter:Q",
        shape=kinds,
        tooltip=tips,
    )
    rule = (
        alt.Chart(pd.DataFrame({"at": [deadline_ms]}))
        .mark_rule(strokeWidth=3, color=RULE)
        .encode(x="at:Q")
    )
    return alt.layer(
        dots,
        rule,
        title=title(finding, "One dot a real run; the line is the deadline."),
        height=max(90, 44 * len(used)),
    )


def overshoot(rows: pd.DataFrame, finding: str) -> alt.Chart:
    """How long after the deadline each run's caller had the answer. rows: as `repeat_rows` gives
    them."""
    shown = rows.assign(jitter=[(7 * i % 10) / 10 for i in rows.run])
    x = alt.X("overshoot_ms:Q", title="Overshoot, ms", scale=alt.Scale(domainMin=0))
    y = alt.Y("jitter:Q", axis=None, scale=alt.Scale(domain=[-0.2, 1.1]))
    tips = [
        alt.Tooltip("run:O", title="Run"),
        alt.Tooltip("overshoot_ms:Q", title="Overshoot, ms", format=".3f"),
    ]
    dots = (
        alt.Chart(shown)
        .mark_point(filled=True, size=55, opacity=0.75, color=HEAD_COLOURS["resmlp"])
        .encode(x=x, y=y, tooltip=tips)
    )
    return dots.properties(
        title=title(finding, "From the deadline to the answer in the caller's hands."), height=90
    )
