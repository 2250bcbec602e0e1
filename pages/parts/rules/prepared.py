"""What a rule runs and is judged by: the exits, the recorded answers, and the threshold that
validation chose."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import pandas as pd
import streamlit as st

from mvit.evaluation import temperature
from mvit.evaluation.predictions import Predictions
from mvit.policies import outcomes
from mvit.policies.outcomes import Operating, finish_times
from mvit.policies.plans import costs
from mvit.policies.replay import choose_threshold, exits_for_rule
from mvit.policies.rules import Policy, Tempered
from pages import parts as ui
from pages.parts import words


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What the controls ask for. exits: few, practical or all of the head's; drop: the points of
    accuracy that the rule may lose on validation; scaled: whether confidences are."""

    head: str
    exits: str
    kind: type[Policy]
    drop: float
    scaled: bool


@dataclass(frozen=True, kw_only=True)
class Replay:
    """A rule along a plan over recorded answers. val, test: of the plan's exits, whole: of all the
    head's exits, on test; macs, ms: (E,) cost of leaving at each; stamp tells it from others.
    temperatures: of the exits, where confidences are scaled, in the answers too. best: the
    threshold that validation chose for a loss of at most `drop` points, if there is one. few:
    whether the plan is the cheapest on validation."""

    rule: Policy
    plan: list[tuple[int, str]]
    val: Predictions
    test: Predictions
    whole: Predictions
    macs: np.ndarray
    ms: np.ndarray
    stamp: tuple
    temperatures: dict[tuple[int, str], float] = field(default_factory=dict)
    best: float | None
    drop: float
    few: bool

    def here(self, threshold: float) -> Operating:
        """What the rule does to the test pictures at a threshold."""
        return outcomes.operate(self.rule.at(threshold), self.test, self.macs, ms=self.ms)

    @cached_property
    def chosen(self) -> Operating | None:
        """The same at the threshold that validation chose, if there is one."""
        return None if self.best is None else self.here(self.best)

    def live(self, threshold: float) -> Policy:
        """The rule for exits as they come, not yet scaled."""
        rule = self.rule.at(float(threshold))
        return Tempered(rule, self.temperatures) if self.temperatures else rule


@st.cache_data(max_entries=64, show_spinner=False)
def _few(key: tuple, drop: float, _rule_for: Callable, _val: Predictions, _model) -> list:
    return exits_for_rule(_rule_for, _val, lambda plan: costs(_model, plan), max_drop=drop)


def prepare(
    bundle: ui.Bundle, recorded: dict[str, Predictions], trace: pd.DataFrame, asked: Asked
) -> Replay:
    """The plan that the controls ask for, and what a replay of it needs."""
    known = set(recorded["test"].exits) & set(recorded["val"].exits)
    everything = [e for e in bundle.model.plan(asked.head) if e in known]
    parts = {name: recorded[name].select(everything) for name in ("val", "test")}
    own = _temperatures(bundle, parts["val"]) if asked.scaled else {}
    with st.spinner("Looking for the exits worth running …", show_time=True):
        found = _replay(bundle, parts, trace, asked=asked, temperatures=own)
    if asked.exits == "few":
        key = (*bundle.key, asked.head, asked.kind.title, asked.scaled)
        _say_change(asked.drop, found.plan, key)
    return found


def _temperatures(bundle: ui.Bundle, val: Predictions) -> dict[tuple[int, str], float]:
    """The card's, or those that the validation pictures give where it has none."""
    own = temperature.of_card(bundle.card)
    if missing := [e for e in val.exits if e not in own]:
        own |= temperature.fitted(val.select(missing))
    return {e: own[e] for e in val.exits}


def _replay(
    bundle: ui.Bundle,
    parts: dict[str, Predictions],
    trace: pd.DataFrame,
    *,
    asked: Asked,
    temperatures: dict[tuple[int, str], float],
) -> Replay:
    """One way to run the rule: with these temperatures, or with none."""
    model, everything = bundle.model, parts["val"].exits
    classes, kind, drop = len(model.task.labels), asked.kind, asked.drop
    hashes = (about["sha256"] for about in bundle.card["files"].values())
    stamp = (*bundle.key, *hashes, asked.head, kind.title, *temperatures.items())
    val, test = (
        temperature.of_records(parts[name], temperatures) if temperatures else parts[name]
        for name in ("val", "test")
    )
    # what is promised on pictures that have chosen nothing needs two halves
    choosing, chosen_on = (
        (val.pictures(slice(first, None, 2)) for first in (0, 1)) if kind.holdout else (val, val)
    )

    def along(plan: list[tuple[int, str]]) -> Policy:
        ruled = kind.along(plan, finish_times(trace, plan), classes)
        return ruled.learned(choosing.select(plan))

    if asked.exits == "few":
        plan = _few(stamp, drop / 100, along, _val=choosing, _model=model)
    else:
        own = model.practical(asked.head) if asked.exits == "practical" else everything
        plan = [e for e in own if e in everything]
    ms, macs, rule = finish_times(trace, plan), costs(model, plan), along(plan)
    stamp = (*stamp, tuple(plan), tuple(ms))
    return Replay(
        rule=rule,
        plan=plan,
        val=chosen_on.select(plan),
        test=test.select(plan),
        whole=test,
        macs=macs,
        ms=ms,
        stamp=stamp,
        temperatures={e: temperatures[e] for e in plan if e in temperatures},
        best=_chosen(stamp, drop / 100, rule, _val=chosen_on.select(plan), _macs=macs),
        drop=drop,
        few=asked.exits == "few",
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
