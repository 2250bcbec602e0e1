"""What the controls of the page on stop rules choose: exits, rule and threshold."""

from __future__ import annotations

import math

import streamlit as st

from mvit.policies.rules import POLICIES, Policy
from pages import parts as ui
from pages.parts import words
from pages.parts.rules.prepared import Asked, Replay
from pages.parts.untouched import following

COSTS = {"MACs": "macs", "time": "ms"}
DROPS = [0.1, 0.2, 0.5, 1.0, 2.0, 5.0]
EXITS_HELP = (
    "Which exits run on the way; each one costs its head.\n- **few**: the exits, at most four, "
    "with which the rule is cheapest on validation pictures; none if no early exit pays\n"
    f"- **practical**: {words.WORDS['practical']}\n- **all**: every layer"
)
SCALING_HELP = (
    "A network may be surer, or less sure, than it has reason to be, and each exit in its own way. "
    "Temperature scaling (Guo et al., 2017) mends that with one number an exit, found on "
    "validation pictures: its probabilities are made flatter (above 1) or sharper (below 1), and "
    "the answer stays the same. A threshold then means another probability, so it is chosen again "
    "on validation pictures. It is off unless you turn it on, since it seldom makes a rule cheaper."
)
DROP_HELP = (
    "How much less often than the final exit the rule may be right. The cheapest threshold that "
    "keeps to that is looked for on validation pictures only, never on the test pictures, which "
    "judge it."
)


def pick(bundle: ui.Bundle) -> tuple[Asked, str]:
    """What the controls ask for, and the cost to show (macs or ms)."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        head = ui.pick_head(bundle)
        exits, cost = _pick_exits()
        drop = _pick_drop()
    kind = _pick_rule()
    scaled = _pick_scaling(kind)
    return Asked(head=head, exits=exits, kind=kind, drop=drop, scaled=scaled), cost


def _pick_exits() -> tuple[str, str]:
    """Which of the head's exits (few, practical, all), and the cost to show."""
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
    return exits, COSTS[cost]


def _pick_rule() -> type[Policy]:
    """The rule's class."""
    known = {title: rule for title, rule in POLICIES.items() if not rule.counts}
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
    return known[title]


def _pick_drop() -> float:
    """The points of accuracy that the rule may lose on validation."""
    return ui.linked(
        st.select_slider,
        "Accuracy it may lose on validation, points",
        key="drop",
        options=DROPS,
        value=0.5,
        width=320,
        help=DROP_HELP,
    )


def _pick_scaling(kind: type[Policy]) -> bool:
    """Whether confidences are scaled."""
    if kind.holdout:
        return False
    with ui.folded("Confidence that means the same at every exit", "scaled"):
        return ui.linked(
            st.toggle,
            "Scale confidence by temperature",
            key="scaled",
            value=False,
            help=SCALING_HELP,
        )


def on_slider(value: float, rule: Policy, low: float, high: float) -> float:
    """The slider's nearest position to a threshold."""
    if not math.isfinite(value):
        return high if value > 0 else low
    steps = round(value / rule.step)
    # of whole numbers for whole steps, else without the dust of floating point
    return min(max(type(rule.step)(round(steps * rule.step, 6)), low), high)


def pick_threshold(replay: Replay, classes: int) -> float:
    """The slider's threshold. It starts at validation's choice, and where it stands there, that
    choice is in force as it is, not rounded to the slider's step."""
    rule, best = replay.rule, replay.best
    low, high = rule.limits(len(replay.plan), classes)
    start = on_slider(math.inf * rule.sign if best is None else best, rule, low, high=high)
    follow = following(rule.key, start, lambda value: min(max(value, low), high))
    if st.session_state.pop("_rules_taken", False):
        follow = {}  # the callback has set the value, and Streamlit wants one source
    with st.container(horizontal=True, vertical_alignment="bottom"):
        threshold = ui.linked(
            st.slider,
            rule.in_unit("Threshold"),
            key=rule.key,
            min_value=low,
            max_value=high,
            step=rule.step,
            format=rule.format,
            help=f"{rule.title.capitalize()}: {rule.meaning}. The slider starts at validation's "
            "choice, which is shown rounded; the exact one is used.",
            width=520,
            **follow,
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
    return best if threshold == start and best is not None else threshold


def _take(key: str, value: float) -> None:
    """Move the slider; a callback, since a drawn slider cannot be moved."""
    st.session_state[key] = value
    st.session_state["_rules_taken"] = True
