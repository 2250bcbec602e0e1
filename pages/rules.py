"""Stop rules: when may a picture leave early? Every rule at every threshold, replayed over the
recorded test set."""

import json

import numpy as np
import pandas as pd
import streamlit as st

from mvit.evaluation.predictions import overthinking
from mvit.policies import outcomes
from mvit.policies.policy import Policy
from pages import parts as ui
from pages.parts import recorded as recordings
from pages.parts.rules import choice, difficulty, engineers, prepared, trust, views
from pages.parts.words import WORDS


@st.cache_data(max_entries=64, show_spinner=False)
def swept(key: tuple, _rule: Policy, _test, _macs: np.ndarray, _ms: np.ndarray) -> pd.DataFrame:
    """The rule's whole curve on test; `key` tells rule, bundle, plan and times apart."""
    return outcomes.tradeoff(_rule, _test, _macs, ms=_ms)


@ui.page("Stop rules")
def page() -> None:
    """Choose a rule; see what it saves and costs."""
    st.markdown(
        "Most pictures are easy. A **stop rule** lets a picture leave at the first exit that is "
        "sure enough: choose a rule and a threshold, and see what it costs and saves over the "
        "whole test set.",
        help=f"{WORDS['exit']} {WORDS['final']}",
    )
    bundle = ui.current(joint=True)
    ui.classes_only(bundle)
    head, exits, cost = choice.pick_exits(bundle)
    measured = recordings.times(bundle, [head])
    recorded = recordings.predictions(bundle)
    kind, drop = choice.pick_rule()
    scaled = choice.pick_scaling(kind)
    if recorded is None or head not in {name for _, name in recorded["test"].exits}:
        recordings.times_badge(bundle, measured)
        views.without_predictions(bundle, head, kind, measured=measured)
        return
    replay = prepared.prepare(
        bundle,
        recorded,
        measured["trace"],
        head=head,
        exits=exits,
        kind=kind,
        drop=drop,
        scaled=scaled,
    )
    rule, test, labels = replay.rule, replay.test, bundle.model.task.labels
    threshold, best = choice.pick_threshold(replay, len(labels), bundle.model.depth), replay.best
    here = outcomes.operate(rule.at(threshold), test, replay.macs, ms=replay.ms)
    chosen = None
    if best is not None:
        chosen = outcomes.operate(rule.at(best), test, replay.macs, ms=replay.ms)
    with st.container(horizontal=True):
        ui.recorded_badge(bundle, f"{len(test.truth):,} pictures")
        recordings.times_badge(bundle, measured)
    recordings.few_note(test)
    plain = ui.plain(bundle, measured["plain"])
    views.show_numbers(bundle, replay, here, chosen=chosen, drop=drop, plain=plain.ms)
    curve = swept(replay.stamp, rule, test, _macs=replay.macs, _ms=replay.ms)
    left, right = st.columns([3, 2], gap="medium")
    with left:
        fixed = recordings.fixed_exits(bundle, head, measured["trace"], test=replay.whole)
        views.show_tradeoff(replay, curve, fixed, here=here, chosen=chosen, cost=cost)
    with right:
        views.show_leaving(here)
    views.show_photos(bundle, replay, here, head=head)
    views.show_code(bundle, replay, threshold)
    found = engineers.show(bundle, recorded, replay, here=here, runs=measured["runs"])
    difficulty.show(bundle, replay, here)
    trust.show(bundle, replay.whole, here, key=(replay.stamp, len(replay.whole.exits)))
    settings = {
        "head": head,
        "exits": replay.plan,
        "rule": rule.title,
        "threshold": threshold,
        "accuracy": here.accuracy,
        "mean_macs": here.macs,
        "mean_ms": here.ms,
        "chosen_on_validation": best if best is not None and np.isfinite(best) else None,
        "validation_may_lose_points": drop,
        "temperatures": [[*e, t] for e, t in replay.temperatures.items()],
        "ms_per_exit": replay.ms.round(3).tolist(),
        "plain_network_ms": plain.ms,
        "overthinking_rate": overthinking(replay.whole),
    } | {name: json.loads(table.to_json(orient="records")) for name, table in found.items()}
    ui.export("rules", curve, bundle, settings=settings)
