"""Charts of a clip: what is counted in each frame, and where the frame leaves.

Frames are rows: frame (from 1), second (or none), count, whole (the final exit's count), truth (or
none), layer, head, work (share of the whole network's), why.
"""

from __future__ import annotations

import altair as alt
import pandas as pd

from mvit.charts.crowd import people_words
from mvit.charts.kept import kept
from mvit.charts.style import HEAD_COLOURS, title
from mvit.models.multi_exit import FINAL

RULE, WHOLE, TRUTH = "with early exits", "whole network", "really there"
NAMES = {"count": RULE, "whole": WHOLE, "truth": TRUTH}
COLOURS = {RULE: HEAD_COLOURS["vit"], WHOLE: HEAD_COLOURS["mlp"], TRUTH: HEAD_COLOURS[FINAL]}
DASHES = {RULE: [1, 0], WHOLE: [6, 4], TRUTH: [2, 3]}


def work_finding(frames: pd.DataFrame) -> str:
    """How many frames leave early, and what that saves and costs."""
    early = int((frames["head"] != FINAL).sum())
    shown = frames[["count", "whole", "truth"]].clip(lower=0)
    work = f"{100 * frames.work.mean():.0f}\u00a0%"
    said = f"{early} of {len(frames)} frames leave before the end, at {work} of the whole "
    said += f"network's work on average; the counts of all {len(frames)} are off "
    if shown.truth.notna().all():
        own, whole = (abs(shown[c] - shown.truth).mean() for c in ("count", "whole"))
        return said + f"by {people_words(own)}, the whole network's by {whole:.0f}"
    return said + f"the whole network's by {people_words(abs(shown['count'] - shown.whole).mean())}"


def layer_finding(frames: pd.DataFrame) -> str:
    """Whether frames with few people leave before those with many."""
    order = frames.sort_values("whole", kind="stable").layer.to_numpy(float)
    half = len(order) // 2
    if not half:
        return f"The frame leaves after layer {order[0]:.0f}"
    if (order == order[0]).all():
        end = (frames["head"] == FINAL).all()
        return "All frames go to the end" if end else f"All frames leave after layer {order[0]:.0f}"
    quiet, busy = order[:half].mean(), order[-half:].mean()
    quiet, busy = (f"{layer:.1f}".removesuffix(".0") for layer in (quiet, busy))
    return (
        f"The emptier half of the frames leaves after layer {quiet} on average, "
        f"the fuller half after layer {busy}"
    )


def _time(frames: pd.DataFrame) -> alt.X:
    """Seconds of a video, or the frames' numbers."""
    timed = frames.second.notna().all()
    whole = not timed or (frames.second % 1 == 0).all()
    return alt.X(
        "second:Q" if timed else "frame:Q",
        title="Seconds" if timed else "Frame",
        axis=alt.Axis(tickMinStep=1 if whole else 0.1, format=".1~f"),
        scale=alt.Scale(zero=False, nice=False, padding=14),
    )


@kept
def count_over_time(frames: pd.DataFrame, finding: str) -> alt.LayerChart:
    """The count of each frame beside the whole network's and, if known, the truth."""
    known = [c for c in NAMES if frames[c].notna().any()]
    long = frames.melt(["frame", "second"], known, "what", "people").dropna(subset="people")
    long = long.assign(what=long.what.map(NAMES), people=long.people.clip(lower=0))
    shown = [NAMES[c] for c in known]
    legend = alt.Legend(title=None, orient="top", columns=2, symbolType="stroke", symbolSize=500)
    base = alt.Chart(long).encode(
        x=_time(frames),
        y=alt.Y("people:Q", title="People", axis=alt.Axis(tickCount=5)),
        color=alt.Color(
            "what:N",
            scale=alt.Scale(domain=shown, range=[COLOURS[n] for n in shown]),
            legend=legend,
        ),
        tooltip=[
            alt.Tooltip("frame:Q", title="Frame"),
            alt.Tooltip("what:N", title="Counted"),
            alt.Tooltip("people:Q", title="People", format=".0f"),
        ],
    )
    dashes = alt.Scale(domain=shown, range=[DASHES[n] for n in shown])
    lines = base.mark_line(strokeWidth=2).encode(
        strokeDash=alt.StrokeDash("what:N", scale=dashes, legend=legend)
    )
    dots = base.transform_filter(f"datum.what == '{RULE}'").mark_point(
        filled=True, size=60, opacity=1
    )
    return alt.layer(lines, dots, title=title(finding), height=220)


@kept
def layer_over_time(frames: pd.DataFrame, depth: int, finding: str) -> alt.Chart:
    """The layer after which each frame leaves. depth: the number of layers."""
    bars = (
        alt.Chart(frames[["frame", "second", "layer", "why", "work"]])
        .mark_bar(size=7, cornerRadiusEnd=2, color=COLOURS[RULE])
        .encode(
            x=_time(frames),
            y=alt.Y(
                "layer:Q",
                title="Layer",
                scale=alt.Scale(domain=[0, depth]),
                axis=alt.Axis(values=list(range(0, depth + 1, max(1, depth // 4)))),
            ),
            tooltip=[
                alt.Tooltip("frame:Q", title="Frame"),
                alt.Tooltip("layer:Q", title="Leaves after layer"),
                alt.Tooltip("why:N", title="Because"),
                alt.Tooltip("work:Q", title="Work", format=".0%"),
            ],
        )
    )
    return bars.properties(title=title(finding), height=130)
