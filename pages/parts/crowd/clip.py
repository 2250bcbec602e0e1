"""The Crowd page's clips: several frames counted one after another, each of which leaves where its
count has settled or its budget ends."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import cv2
import numpy as np
import pandas as pd
import streamlit as st

from mvit.charts import clip as charts_clip
from mvit.charts.crowd import people_words, whole_tiles
from mvit.images.draw import count_tiles
from mvit.models.multi_exit import FINAL
from mvit.policies.clips import leaving
from mvit.policies.plans import costs
from mvit.policies.rules import Stability
from mvit.tasks import tile_boxes
from pages import parts as ui
from pages.parts.crowd import clip_frames
from pages.parts.crowd import rule as crowd_rule
from pages.parts.crowd.clip_frames import Seen
from pages.parts.words import percent, saved

DRAWN, OWN = "Drawn clip", "Your clip"
NO_LIMIT = float("inf")
BUDGETS = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, NO_LIMIT)
FEW = 5
FEW_HELP = (
    "A count has settled, too, if it changes by fewer people than this. Without it quiet frames "
    "leave late: where five people are, one more or less is a fifth of the count."
)
BUDGET_HELP = (
    "The most work that a frame may cost, as a share of the whole network's; the heads on the way "
    "are counted. A frame whose count has not settled by then gives its latest count."
)


class Chosen(NamedTuple):
    """The exits to run, the rule, what has been done when each exit has answered, as shares of the
    whole network's work, and how much of it a frame may cost."""

    plan: list[tuple[int, str]]
    rule: Stability
    work: np.ndarray
    budget: float


def _controls(bundle: ui.Bundle, head: str, kept: tuple | None) -> Chosen:
    """Draw the rule's controls and the budget."""
    plan, rule = crowd_rule.controls(bundle, head, kept)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        few = ui.linked(
            st.slider,
            "Or by fewer people than",
            key="few",
            min_value=0,
            max_value=50,
            value=FEW,
            width=220,
            help=FEW_HELP,
        )
        budget = ui.linked(
            st.select_slider,
            "Budget of a frame",
            key="work",
            options=list(BUDGETS),
            value=NO_LIMIT,
            width=280,
            format_func=lambda b: "no limit" if b == NO_LIMIT else percent(b),
            help=BUDGET_HELP,
        )
    work = costs(bundle.model, plan) / bundle.model.exit_macs(*bundle.model.final_exit)
    if budget < work[0]:
        st.caption(f"The first exit alone costs {percent(work[0])}, so every frame leaves there.")
    return Chosen(plan, replace(rule, people=few), work, budget=budget)


def _table(chosen: Chosen, seen: list[Seen], truth: list[int] | None) -> pd.DataFrame:
    """The frames under the rule, one row each; those that could not be read have only a remark."""
    known = [None] * len(seen) if truth is None else truth[: len(seen)]
    base = pd.DataFrame(
        {
            "frame": range(1, len(seen) + 1),
            "name": [s.name for s in seen],
            "second": [s.second for s in seen],
            "truth": pd.Series(known, dtype=float),
            "remark": [s.remark for s in seen],
        }
    )
    good = [i for i, s in enumerate(seen) if s.trace is not None]
    left = leaving(
        chosen.rule,
        [seen[i].trace for i in good],
        chosen.plan,
        work=chosen.work,
        budget=chosen.budget,
    )
    return base.join(left.set_index(pd.Index(good)))


def _show_frame(rows: pd.DataFrame, seen: list[Seen]) -> None:
    """One frame with the counts of its six tiles, at the exit where it leaves."""
    number = 1
    if len(rows) > 1:
        number = ui.linked(
            st.slider,
            "Frame",
            key="frame",
            min_value=1,
            max_value=int(rows.frame.max()),
            value=int(rows.loc[rows["whole"].idxmax(), "frame"]),
            help="It starts at the fullest frame.",
        )
    row = rows.iloc[(rows.frame - number).abs().argmin()]
    frame = seen[int(row.frame) - 1]
    trace = frame.trace[(frame.trace.layer == row.layer) & (frame.trace["head"] == row["head"])]
    height, width = frame.small.shape[:2]
    large = cv2.resize(frame.small, (3 * width, 3 * height), interpolation=cv2.INTER_LINEAR)
    drawn = count_tiles(large, tile_boxes(height > width), whole_tiles(trace.iloc[0].tiles))
    where = "at the end" if row["head"] == FINAL else f"after layer {row.layer:.0f}"
    said = f"{frame.name}: {people_words(row['count'])}, {where}, because {row.why}"
    st.image(drawn, width="stretch", caption=said, alt=f"{said}; the counts of its six tiles")


def _show(bundle: ui.Bundle, rows: pd.DataFrame, seen: list[Seen]) -> None:
    early = int((rows["head"] != FINAL).sum())
    with st.container(horizontal=True):
        st.metric("Frames", len(rows))
        st.metric(
            "People",
            f"{rows['count'].clip(lower=0).min():.0f} to {rows['count'].clip(lower=0).max():.0f}",
            help="In the emptiest and in the fullest frame, as counted with early exits.",
        )
        st.metric("Leave early", f"{early} of {len(rows)}")
        st.metric(
            "Work saved",
            **saved(1 - rows.work.mean()),
            help="Against the plain network without exits; the heads on the way are counted.",
        )
    left, right = st.columns([3, 2], gap="medium")
    with left:
        said = charts_clip.work_finding(rows)
        ui.chart(charts_clip.count_over_time(rows, said), alt=f"Count over time: {said}.")
        said = charts_clip.layer_finding(rows)
        figure = charts_clip.layer_over_time(rows, bundle.model.depth, said)
        ui.chart(figure, alt=f"Layer over time: {said}.")
    with right:
        _show_frame(rows, seen)


def section(bundle: ui.Bundle, head: str, kept: tuple | None) -> None:
    """Draw a clip's source, its frames under the rule, charts, table and downloads. kept: (val,
    test) recorded counts, if any."""
    source = ui.linked(
        st.segmented_control,
        "Clip",
        key="clip",
        options=[DRAWN, OWN],
        default=DRAWN,
        required=True,
        label_visibility="collapsed",
        help="A drawn clip has an exactly known number of people in each frame.",
    )
    given = clip_frames.drawn() if source == DRAWN else clip_frames.own()
    if given is None:
        return
    for remark in given.clip.remarks:
        st.warning(remark, icon=":material/content_cut:")
    seen = clip_frames.counted(bundle, head, given)
    if not seen:
        return
    chosen = _controls(bundle, head, kept)
    rows = _table(chosen, seen, given.truth)
    for row in rows[rows.remark != ""].itertuples():
        st.warning(f"{row.name}: {row.remark}", icon=":material/broken_image:")
    good = rows[rows["count"].notna()]
    if good.empty:
        st.error("None of the frames could be read.", icon=":material/broken_image:")
        return
    ui.live_badge(bundle, how="Every exit of every frame was computed by the real network")
    _show(bundle, good, seen)
    ui.table(rows, "Every frame as a table")
    settings = {
        "head": head,
        "source": source,
        "p": chosen.rule.patience,
        "tau": chosen.rule.threshold,
        "few": chosen.rule.people,
        "budget": None if chosen.budget == NO_LIMIT else chosen.budget,
    }
    ui.export("clip", rows.drop(columns="name"), bundle, settings=settings)
