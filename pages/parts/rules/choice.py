"""What the controls of the page on stop rules choose: exits, rule and threshold."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
import streamlit as st

from mvit.evaluation.predictions import Predictions
from mvit.policies.outcomes import finish_times
from mvit.policies.plans import costs
from mvit.policies.replay import choose_threshold, exits_that_pay
from mvit.policies.rules import POLICIES, Policy
from pages import parts as ui
from pages.parts import words

COSTS = {"MACs": "macs", "time": "ms"}
DROPS = [0.1, 0.2, 0.5, 1.0, 2.0, 5.0]
EXITS_HELP = (
    "Which exits run on the way; each one costs its head.\n- **few**: at most four, with which the "
    "rule is cheapest on validation; none where none pays\n"
    f"- **practical**: {words.WORDS['practical']}\n- **all**: every layer"
)
DROP_HELP = (
    "The cheapest threshold within this much of the final exit, looked for on validation pictures "
    "only, never on the test pictures that judge it."
)


def pick_exits(bundle: ui.Bundle) -> tuple[str, str, str]:
    """Which head, which of its exits (few, practical, all), and the cost to show (macs or ms)."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        head = ui.linked(
            st.pills,
            "Head",
            key="head",
            options=bundle.heads,
            default=bundle.best_head,
            required=True,
            wrap=True,
            help=words.head_help(bundle.heads),
        )
        exits = ui.linked(
            st.segmented_control,
            "Exits",
            key="exits",
            options=["few", "practical", "all"],
            default="few",
            required=True,
            help=EXITS_HELP,
        )
        cost = ui.linked(
            st.segmented_control,
            "Cost",
            key="cost",
            options=list(COSTS),
            default="MACs",
            required=True,
            help=f"{words.WORDS['macs']} Time is measured on this machine.",
        )
    return head, exits, COSTS[cost]


def pick_rule() -> tuple[type[Policy], float]:
    """The rule's class, and the points of accuracy that it may lose on validation."""
    known = {title: rule for title, rule in POLICIES.items() if not rule.counts}
    with st.container(horizontal=True, vertical_alignment="bottom"):
        title = ui.linked(
            st.pills,
            "Rule",
            key="rule",
            options=list(known),
            default="confidence",
            required=True,
            wrap=True,
            help="\n".join(f"- **{name}**: {rule.meaning}" for name, rule in known.items()),
        )
        drop = ui.linked(
            st.select_slider,
            "Accuracy it may lose on validation, points",
            key="drop",
            options=DROPS,
            value=0.5,
            width=320,
            help=DROP_HELP,
        )
    return known[title], drop


@dataclass(frozen=True, kw_only=True)
class Replay:
    """A rule along a plan over recorded answers. val, test: of the plan's exits, whole: of all the
    head's exits, on test; macs, ms: (E,) cost of leaving at each; stamp tells it from others."""

    rule: Policy
    plan: list[tuple[int, str]]
    val: Predictions
    test: Predictions
    whole: Predictions
    macs: np.ndarray
    ms: np.ndarray
    stamp: tuple


@st.cache_data(max_entries=64, show_spinner=False)
def _few(key: tuple, drop: float, _rule_for: Callable, _val: Predictions, _model) -> list:
    return exits_that_pay(_rule_for, _val, lambda plan: costs(_model, plan), max_drop=drop)


def prepare(
    bundle: ui.Bundle,
    recorded: dict[str, Predictions],
    trace: pd.DataFrame,
    *,
    head: str,
    exits: str,
    kind: type[Policy],
    drop: float,
) -> Replay:
    """The plan that the controls ask for, and what a replay of it needs."""
    model, classes = bundle.model, len(bundle.model.task.labels)
    known = set(recorded["test"].exits) & set(recorded["val"].exits)
    everything = [e for e in model.plan(head) if e in known]
    stamp = (*bundle.key, *(about["sha256"] for about in bundle.card["files"].values()), head)

    def along(plan: list[tuple[int, str]]) -> Policy:
        return kind.along(plan, finish_times(trace, plan), classes)

    if exits == "few":
        with st.spinner("Looking for the exits worth running …", show_time=True):
            val = recorded["val"].select(everything)
            plan = _few((*stamp, kind.title), drop / 100, along, val, model)
        _say_change(drop, plan, (*stamp, kind.title))
    else:
        own = model.practical(head) if exits == "practical" else everything
        plan = [e for e in own if e in known]
    ms = finish_times(trace, plan)
    return Replay(
        rule=along(plan),
        plan=plan,
        val=recorded["val"].select(plan),
        test=recorded["test"].select(plan),
        whole=recorded["test"].select(everything),
        macs=costs(model, plan),
        ms=ms,
        stamp=(*stamp, kind.title, tuple(plan), tuple(ms)),
    )


def _say_change(drop: float, plan: list[tuple[int, str]], key: tuple) -> None:
    """Say so if the allowance, and nothing else, has changed which exits run."""
    last = st.session_state.get("_rules_exits")
    st.session_state["_rules_exits"] = (key, drop, plan)
    if last and last[0] == key and last[1] != drop and last[2] != plan:
        st.caption(
            f"Allowing {drop:g} instead of {last[1]:g} points has changed the exits that run, "
            f"which were: {words.exit_list(last[2])}."
        )


@st.cache_data(max_entries=64, show_spinner=False)
def _chosen(
    key: tuple, drop: float, _rule: Policy, _val: Predictions, _macs: np.ndarray
) -> float | None:
    """The cheapest threshold that loses at most `drop` of accuracy on validation, if there is
    one."""
    try:
        return choose_threshold(_rule, _val, _macs, max_drop=drop)[0]
    except ValueError:
        return None


def on_slider(value: float, rule: Policy, low: float, high: float) -> float:
    """The slider's nearest position on the safe side of a threshold, where fewer leave."""
    if not math.isfinite(value):
        return high if value > 0 else low
    towards = math.ceil if rule.sign > 0 else math.floor
    steps = towards(round(value / rule.step, 6))
    # of whole numbers for whole steps, else without the dust of floating point
    return min(max(type(rule.step)(round(steps * rule.step, 6)), low), high)


def pick_threshold(
    replay: Replay, drop: float, classes: int, layers: int
) -> tuple[float, float | None]:
    """The slider's threshold, and validation's choice (None if no threshold keeps within the
    allowance)."""
    rule = replay.rule
    low, high = rule.limits(layers + 1, classes)
    best = _chosen(replay.stamp, drop / 100, rule, replay.val, replay.macs)
    start = on_slider(math.inf * rule.sign if best is None else best, rule, low, high)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        threshold = ui.linked(
            st.slider,
            "Threshold",
            key=rule.key,
            min_value=low,
            max_value=high,
            step=rule.step,
            format=rule.format,
            help=f"{rule.title.capitalize()}: {rule.meaning}.",
            width=520,
            **_follow(rule.key, start, low, high),
        )
        if not ui.hidden("take") and threshold != start:
            st.button(
                "Take validation's choice",
                icon=":material/my_location:",
                on_click=_take,
                args=(rule.key, start),
                key="take",
                help="Move the threshold to the one that the validation pictures chose.",
            )
    return threshold, best


def _follow(key: str, start: float, low: float, high: float) -> dict:
    """The slider's start as an option: an untouched slider moves along when validation chooses
    anew, a moved one stays, within its limits."""
    state = st.session_state
    last = state.get("_rules_start", {})
    state["_rules_start"] = last | {key: start}
    if state.pop("_rules_taken", False):
        return {}  # the callback has set the value, and Streamlit wants one source
    if key not in state:
        return {"value": start}
    untouched = key in last and state[key] == last[key] != start
    wanted = start if untouched else min(max(state[key], low), high)
    if wanted == state[key]:
        return {"value": start}
    state[key] = wanted
    return {}


def _take(key: str, value: float) -> None:
    """Move the slider; a callback, since a drawn slider cannot be moved."""
    st.session_state[key] = value
    st.session_state["_rules_taken"] = True
