"""Stop rules: when may a picture leave early? Every rule at every threshold, replayed over the
recorded test set."""

import json

import numpy as np
import pandas as pd
import streamlit as st

from mvit.policies import outcomes
from mvit.policies.policy import Policy
from pages import parts as ui
from pages.parts import recorded as recordings
from pages.parts.rules import (
    choice,
    difficulty,
    engineers,
    numbers,
    prepared,
    program,
    trust,
    views,
)
from pages.parts.words import WORDS

TABS = [
    "Easy and hard pictures",
    "Can confidence be trusted?",
    "Exits, slow answers, batches",
    "This rule as Python",
]


@st.cache_data(max_entries=64, show_spinner=False)
def swept(key: tuple, _rule: Policy, _test, _macs: np.ndarray, _ms: np.ndarray) -> pd.DataFrame:
    """The rule's whole curve on test; `key` tells rule, bundle, plan and times apart."""
    return outcomes.tradeoff(_rule, _test, _macs, ms=_ms)


@ui.page("Stop rules")
def page() -> None:
    """Choose a rule; see what it saves and costs."""
    st.markdown(
        "Some pictures are easy. A **stop rule** lets a picture leave at the first exit that is "
        "sure enough: choose a rule and a threshold, and see what it costs and saves over the "
        "whole test set.",
        help=f"{WORDS['exit']} {WORDS['final']}",
    )
    ui.classes_only()
    bundle = ui.current(joint=True)
    asked, cost = choice.pick(bundle)
    measured = recordings.times(bundle, [asked.head])
    recorded = recordings.predictions(bundle)
    if recorded is None or asked.head not in {name for _, name in recorded["test"].exits}:
        recordings.times_badge(bundle, measured)
        views.without_predictions(bundle, asked.head, asked.kind, measured=measured)
        return
    replay = prepared.prepare(bundle, recorded, measured["trace"], asked=asked)
    threshold = choice.pick_threshold(replay, len(bundle.model.task.labels))
    here, plain = replay.here(threshold), ui.plain(bundle, measured["plain"])
    with st.container(horizontal=True):
        ui.recorded_badge(bundle, f"{len(replay.test.truth):,} pictures")
        recordings.times_badge(bundle, measured)
    recordings.few_note(replay.test)
    numbers.show(bundle, replay, here, plain_ms=plain.ms)
    curve = swept(replay.stamp, replay.rule, replay.test, _macs=replay.macs, _ms=replay.ms)
    left, right = st.columns([3, 2], gap="medium")
    with left:
        fixed = recordings.fixed_exits(bundle, asked.head, measured["trace"], test=replay.whole)
        views.show_tradeoff(replay, curve, fixed, here=here, cost=cost)
    with right:
        views.show_leaving(here)
    program.show_photos(bundle, replay, here, head=asked.head)
    # a link that asks whose confidence to look at opens where it is
    first = TABS[1] if "whose" in st.query_params else TABS[0]
    easy, trusted, more, code = st.tabs(TABS, default=first)
    with easy:
        difficulty.show(bundle, replay, here)
    with trusted:
        trust.show(bundle, replay.whole, here, key=(replay.stamp, len(replay.whole.exits)))
    with more:
        found = engineers.show(bundle, recorded, replay, here=here, runs=measured["runs"])
    with code:
        program.show_code(bundle, replay, threshold)
    tables = {name: json.loads(table.to_json(orient="records")) for name, table in found.items()}
    settings = {"head": asked.head, "plain_network_ms": plain.ms} | numbers.record(replay, here)
    ui.export("rules", curve, bundle, settings=settings | tables)
