"""A rule at one threshold in four numbers and two sentences."""

from __future__ import annotations

import numpy as np
import streamlit as st

from mvit.charts.style import macs_text
from mvit.evaluation.predictions import overthinking
from mvit.policies.outcomes import Operating, loss, operate
from pages import parts as ui
from pages.parts.columns import interval
from pages.parts.rules.prepared import Replay
from pages.parts.words import OTHER_AIM, WORDS, exit_list, percent

AGAINST = "against the plain network"


def show(bundle: ui.Bundle, replay: Replay, here: Operating, plain_ms: float) -> None:
    """What the rule costs and saves, and the exits that run."""
    full_macs = bundle.model.exit_macs(*bundle.model.final_exit)
    with st.container(horizontal=True):
        _right(here, float(replay.test.accuracy[-1]))
        _macs(here, full_macs)
        _time(here, plain_ms)
        _choice(replay)
    if overrun := replay.rule.at(here.threshold).overrun:
        st.warning(overrun, icon=":material/timer_off:")
    gained = 100 * (here.accuracy - float(replay.test.accuracy[-1]))
    st.markdown(
        f"**{AGAINST.capitalize()} this rule takes {_times(full_macs, here.macs)} computing (MACs) "
        f"and {_times(plain_ms, here.ms)} time, and {_change(gained)} points on the test "
        "pictures.**"
    )
    if more := _more_than_allowed(replay):
        st.caption(more)
    st.caption(_exits(replay))


def record(replay: Replay, here: Operating) -> dict:
    """The same for the run record."""
    chosen, used = (
        t if t is not None and np.isfinite(t) else None for t in (replay.best, here.threshold)
    )
    return {
        "exits": replay.plan,
        "rule": replay.rule.title,
        "threshold": used,
        "accuracy": here.accuracy,
        "mean_macs": here.macs,
        "mean_ms": here.ms,
        "chosen_on_validation": chosen,
        "validation_may_lose_points": replay.drop,
        "temperatures": [[*e, t] for e, t in replay.temperatures.items()],
        "ms_per_exit": replay.ms.round(3).tolist(),
        "overthinking_rate": overthinking(replay.whole),
    }


def _right(here: Operating, final: float) -> None:
    st.metric(
        "Right",
        percent(here.accuracy, 2),
        f"{100 * (here.accuracy - final):+z.2f} points against the final exit",
        help="Share of the test pictures that get a right answer under this rule. With so many "
        f"pictures, the true share lies between {interval(here.accuracy, len(here.taken), 2)} "
        "with 95 % certainty (Wilson's interval).",
    )


def _macs(here: Operating, full: float) -> None:
    st.metric(
        "Average MACs",
        macs_text(here.macs),
        f"{100 * (here.macs / full - 1):+z.0f} % {AGAINST}",
        "inverse",
        help=f"{WORDS['macs']} All heads on the way are counted.",
    )


def _time(here: Operating, plain_ms: float) -> None:
    st.metric(
        "Expected time",
        f"{here.ms:.1f} ms",
        f"{100 * (here.ms / plain_ms - 1):+z.0f} % {AGAINST}",
        "inverse",
        help="Mean over the test pictures, from each exit's time on this machine.",
    )


def _choice(replay: Replay) -> None:
    """The threshold that validation chose, and what it loses on test."""
    chosen, allowed = replay.chosen, f"{replay.drop:g}"
    if chosen is None:
        value, said = "none", f"no threshold keeps within {allowed} points"
    else:
        value = replay.rule.told(chosen.threshold)
        gained = 100 * (chosen.accuracy - float(replay.test.accuracy[-1]))
        said = f"allowed {allowed}, {_change(gained, 'lost', 'gained')} on test"
    st.metric(
        "Validation's choice",
        value,
        said,
        "off",
        delta_arrow="off",
        help=f"The cheapest threshold that loses at most {allowed} points on "
        f"{len(replay.val.truth):,} validation pictures, and the points that it then loses on "
        "the test pictures, which did not choose it.",
    )


def _more_than_allowed(replay: Replay) -> str:
    """Why validation's choice loses more on the test pictures than it was allowed to; nothing if it
    does not."""
    chosen = replay.chosen
    lost, by_test = (100 * share for share in loss(chosen, replay.test)) if chosen else (0, 0)
    if round(lost, 2) <= replay.drop:
        return ""
    val = replay.val
    on_val = operate(replay.rule.at(chosen.threshold), val, replay.macs, ms=replay.ms)
    by_val = 100 * loss(on_val, val)[1]
    return (
        f"Validation's choice loses {lost:.2f} points on the test pictures, more than the "
        f"{replay.drop:g} allowed. The {len(val.truth):,} pictures that made the choice tell a "
        f"loss only to within {by_val:.1f} points, the {len(replay.test.truth):,} test pictures to "
        f"within {by_test:.1f}."
    )


def _exits(replay: Replay) -> str:
    """Which exits run, how their confidences are scaled, and why there is none, if so."""
    said = [f"Exits that run: {exit_list(replay.plan)}."]
    if replay.few:
        said.append(f"With these the rule is cheapest on validation pictures; {OTHER_AIM}")
    if replay.temperatures:
        each = ", ".join(f"{t:.2f}" for t in replay.temperatures.values())
        said.append(f"Confidences are scaled, with temperatures {each}.")
    if len(replay.plan) <= replay.rule.fewest:
        said.append(f"With {replay.rule.title} no early exit pays within this allowance.")
    return " ".join([*said, replay.rule.note]).strip()


def _times(plain: float, own: float) -> str:
    """How many times less, or more, than the plain network."""
    return f"{plain / own:.2f} times less" if own <= plain else f"{own / plain:.2f} times more"


def _change(gained: float, loses: str = "loses", gains: str = "gains") -> str:
    """Points gained in words: `loses 0.12`."""
    return f"{loses if gained <= 0 else gains} {abs(gained):.2f}"
