"""Stop rules: when may a picture leave early? Every rule at every threshold, replayed over the
recorded test set."""

import math

import numpy as np
import pandas as pd
import streamlit as st

from mvit.charts import rules as draw
from mvit.charts.style import macs_text, plain_label
from mvit.evaluation.predictions import Predictions, calibration_error, failure_auroc, overthinking
from mvit.policies import outcomes as rules
from mvit.policies.plans import costs
from mvit.policies.rules import choose_threshold
from pages.parts import recorded as recordings
from pages.parts import shared as ui
from pages.parts import words

WORDS = words.WORDS
RULES = {
    "confidence": "confidence",
    "entropy": "entropy",
    "margin": "margin",
    "patience": "patience",
    "patience and confidence": "patience_confidence",
}
MEANING = {
    "confidence": "leave when the most likely answer has at least this probability (the paper's rule)",
    "entropy": "leave when the uncertainty over all classes, in nats, is at most this (BranchyNet)",
    "margin": "leave when the two most likely answers are at least this far apart",
    "patience": "leave when this many exits in a row say the same (PABEE)",
    "patience and confidence": "leave when two exits in a row say the same, each with at least this probability",
}
COSTS = {"MACs": "macs", "time": "ms"}
GROUPS = "Right for good from the first third of the layers on (easy), the second (middling), only the last (hard), or not at all."
DROPS = [0.1, 0.2, 0.5, 1.0, 2.0, 5.0]


@st.cache_data(max_entries=64, show_spinner=False)
def swept(
    key: tuple, kind: str, _test: Predictions, _macs: np.ndarray, _ms: np.ndarray
) -> pd.DataFrame:
    """The rule's whole curve on test; `key` tells bundle, plan and times apart."""
    return rules.tradeoff(kind, _test, _macs, _ms)


@st.cache_data(max_entries=64, show_spinner=False)
def chosen_on_validation(
    key: tuple, kind: str, drop: float, _val: Predictions, _macs: np.ndarray
) -> float:
    """The cheapest threshold that loses at most `drop` of accuracy on validation."""
    return choose_threshold(kind, _val, _macs, max_drop=drop)[0]


@st.cache_data(max_entries=64, show_spinner=False)
def few(key: tuple, kind: str, drop: float, _val: Predictions, _model) -> list[tuple[int, str]]:
    """The few exits with which the rule is cheapest on validation."""
    return rules.few_exits(kind, _val, lambda plan: costs(_model, plan), drop)


@st.cache_data(max_entries=64, show_spinner=False)
def exit_quality(key: tuple, _test: Predictions) -> tuple[pd.DataFrame, float]:
    """Calibration, AUROC and overthinking of every exit, and overthinking of them all."""
    return rules.quality(_test), overthinking(_test)


def threshold_range(kind: str, exits: int, classes: int) -> dict:
    """The slider of a rule: its own key, so that a threshold is never read in another rule's
    unit."""
    if kind == "patience":
        return {"key": "patience", "min_value": 1, "max_value": exits, "step": 1}
    if kind == "entropy":
        return {
            "key": "entropy",
            "min_value": 0.0,
            "max_value": round(math.log(classes), 2),
            "step": 0.001,
            "format": "%.3f",
        }
    key = {"confidence": "threshold", "margin": "margin"}.get(kind, "both")
    return {"key": key, "min_value": 0.0, "max_value": 1.0, "step": 0.001, "format": "%.3f"}


def on_slider(value: float, slider: dict) -> float:
    """The slider's nearest position on the safe side of a threshold."""
    if isinstance(slider["min_value"], int):
        return int(min(max(value, slider["min_value"]), slider["max_value"]))
    rounded = (
        math.floor(value * 1000) / 1000
        if slider["key"] == "entropy"
        else math.ceil(value * 1000) / 1000
    )
    return min(max(rounded, slider["min_value"]), slider["max_value"])


def follow(slider: dict, start: float) -> dict:
    """The slider's start as an option: an untouched slider moves along when validation chooses
    anew, a moved one stays."""
    key, last = slider["key"], st.session_state.get("_rules_start", {})
    st.session_state["_rules_start"] = last | {key: start}
    if st.session_state.pop("_rules_taken", False):
        return {}  # the callback has set the value, and Streamlit wants one source
    if key in st.session_state and key in last and st.session_state[key] == last[key] != start:
        st.session_state[key] = start
        return {}
    return {"value": start}


def take(key: str, value: float) -> None:
    """Move the slider; a callback, since a drawn slider cannot be moved."""
    st.session_state[key] = value
    st.session_state["_rules_taken"] = True


def percent(share: float, digits: int = 1) -> str:
    return f"{100 * share:.{digits}f}\u00a0%"


def without_predictions(bundle: ui.Bundle, head: str, measured: dict) -> None:
    """What the card and this machine's clock can tell: the price and accuracy of always leaving at
    one exit."""
    fixed = recordings.fixed_exits(bundle, head, measured["trace"])
    if fixed.empty:
        return
    best = fixed.iloc[fixed.accuracy.idxmax()]
    finding = f"Always leaving at one exit: the best is {best.exit}, {percent(best.accuracy)} right after {best.ms:.1f} ms"
    ui.chart(
        draw.tradeoff(
            fixed.assign(threshold=0.0).iloc[:0],
            fixed,
            fixed.iloc[:0].assign(what="", threshold=0.0),
            float(fixed.accuracy.iloc[-1]),
            "macs",
            finding,
        ),
        alt=finding,
    )
    ui.table(fixed)
    ui.export("rules", fixed, bundle, {"head": head, "predictions": "none recorded"})


def show_tradeoff(curve, fixed, here, chosen, final_accuracy: float, cost: str, rule: str) -> None:
    """Accuracy against cost, with the two marked thresholds."""
    points = pd.DataFrame(
        [
            {
                "what": what,
                "threshold": o.threshold,
                "accuracy": o.accuracy,
                "macs": o.macs,
                "ms": o.ms,
            }
            for what, o in ((draw.CHOSEN, chosen), (draw.YOURS, here))
        ]
    )
    share = here.macs / fixed.macs.iloc[-1] if cost == "macs" else here.ms / fixed.ms.iloc[-1]
    what = "MACs" if cost == "macs" else "time"
    finding = f"{rule} {here.threshold:g}: {percent(here.accuracy)} right for {percent(share, 0)} of the final exit's {what}"
    ui.chart(
        draw.tradeoff(curve, fixed, points, final_accuracy, cost, finding),
        alt=f"Accuracy against cost. {finding}.",
    )
    with st.expander("The same as a table", icon=":material/table_rows:"):
        st.dataframe(
            curve,
            hide_index=True,
            alt="The rule at every threshold",
            column_config={
                "threshold": st.column_config.NumberColumn(format="%.4f", help=MEANING[rule]),
                "accuracy": st.column_config.NumberColumn(
                    format="percent", help="Share of the test pictures that get a right answer."
                ),
                "macs": st.column_config.NumberColumn(
                    "mean MACs", format="compact", help=WORDS["macs"]
                ),
                "ms": st.column_config.NumberColumn(
                    "mean ms", format="%.2f", help="From the exits' times on this machine."
                ),
                "early": st.column_config.NumberColumn(
                    "leave early", format="percent", help="Share that leaves before the final exit."
                ),
            },
        )


def show_leaving(test: Predictions, here: rules.Operating) -> None:
    """Who leaves where."""
    rows = rules.leaving(here.taken, test)
    top = rows.iloc[rows.share.idxmax()]
    half = rows.exit[int(np.searchsorted(rows.share.cumsum(), 0.5 - 1e-9))]
    finding = f"{percent(here.early, 0)} leave before the end, half of all by exit {half}; most at {top.exit}: {percent(top.share, 0)}"
    ui.chart(draw.leaving(rows, finding), alt=f"Share of pictures by exit. {finding}.")
    ui.table(rows)


def show_difficulty(
    bundle: ui.Bundle,
    test: Predictions,
    whole: Predictions,
    here: rules.Operating,
    macs: np.ndarray,
) -> None:
    """Easy and hard classes and pictures."""
    st.subheader(
        "Easy and hard pictures",
        anchor=False,
        help=f"{WORDS['settled']} Here: gives the right answer from there to the end.",
    )
    settled = rules.settled_layer(whole)
    rows = rules.by_class(here.taken, test, bundle.model.task.labels, macs, settled)
    easy, hard = rows.iloc[0], rows.iloc[-1]
    finding = (
        f"{plain_label(easy.label)} is easiest (right for good from layer {easy.settled:.1f} on average), "
        f"{plain_label(hard.label)} hardest ({hard.settled:.1f})"
    )
    shown = rows if len(rows) <= 20 else pd.concat([rows.head(8), rows.tail(8)])
    left, right = st.columns(2, gap="medium")
    with left:
        ui.chart(
            draw.classes(shown, bundle.model.depth, finding),
            alt=f"Classes by difficulty. {finding}.",
        )
        if len(shown) < len(rows):
            st.caption(
                f"The 8 easiest and the 8 hardest of {len(rows)} classes; the table has them all."
            )
        ui.table(rows)
    with right:
        groups = rules.easy_and_hard(here.taken, test, macs, settled)
        st.markdown(
            f"**{percent(groups.share.iloc[0], 0)} of the pictures are easy, {percent(groups.share.iloc[3])} end wrong.**"
        )
        st.dataframe(
            groups,
            hide_index=True,
            alt="Easy and hard pictures under the chosen rule",
            column_config={
                "group": st.column_config.TextColumn("pictures", help=GROUPS),
                "share": st.column_config.NumberColumn(
                    "share", format="percent", help="Of all test pictures."
                ),
                "accuracy": st.column_config.NumberColumn(
                    "right", format="percent", help="Share that gets a right answer under the rule."
                ),
                "macs": st.column_config.NumberColumn("MACs", format="compact", help=WORDS["macs"]),
                "first_confidence": st.column_config.NumberColumn(
                    "first sure", format="percent", help=WORDS["confidence"]
                ),
                "final_confidence": st.column_config.NumberColumn(
                    "final sure", format="percent", help=WORDS["confidence"]
                ),
            },
        )


def show_trust(
    test: Predictions,
    whole: Predictions,
    here: rules.Operating,
    labels: tuple[str, ...],
    key: tuple,
) -> pd.DataFrame:
    """Calibration, AUROC, overthinking."""
    st.subheader("Can confidence be trusted?", anchor=False, help=WORDS["confidence"])
    names = rules.exit_names(whole.exits)
    whose = ui.linked(
        st.selectbox,
        "Whose confidence",
        key="whose",
        options=["the answers given", *(f"exit {n}" for n in names)],
        index=0,
        help="The answers that the rule above gives, or every picture at one exit.",
    )
    at = None if whose == "the answers given" else names.index(whose.removeprefix("exit "))
    sure, right = (
        rules.given(test, here.taken) if at is None else (whole.confidence[at], whole.correct[at])
    )
    error, auroc = calibration_error(sure, right), failure_auroc(sure, right)
    gap = float(sure.mean() - right.mean())
    lean = "too sure" if gap > 0 else "not sure enough"
    table, over = exit_quality(key, whole)
    bars = rules.reliability(sure, right)
    diagram, lines, wasted = st.columns(3, gap="medium")
    with diagram:
        said = f"{whose[0].upper()}{whose[1:]}: {percent(abs(gap))} {lean} on average; calibration error (ECE) {percent(error)}"
        ui.chart(draw.reliability(bars, said), alt=f"Reliability diagram. {said}.")
        ui.table(bars)
    with lines:
        peak = table.iloc[table.auroc.fillna(0).idxmax()]
        said = f"Confidence tells right from wrong with AUROC {auroc:.3f} here; best at exit {peak.exit} ({peak.auroc:.3f})"
        ui.chart(
            draw.quality(table, said), alt=f"Calibration error and failure AUROC by exit. {said}."
        )
    with wasted:
        said = f"Overthinking: for {percent(over)} of the pictures some exit was right and the end is wrong"
        ui.chart(draw.overthinking(table, said), alt=f"{said}.")
    ui.table(table, "Every exit as a table")
    ui.table(
        rules.journeys(whole, labels),
        "Pictures that thinking spoiled, and pictures that it mended",
        column_config={
            "kind": st.column_config.TextColumn(
                "kind",
                help="overthought: right early, wrong at the end; mended: the other way round.",
            ),
            "picture": st.column_config.NumberColumn(
                "picture", help="Its number in the test split, read class by class, from 0."
            ),
            "answers": st.column_config.TextColumn(
                "what the exits said", width="large", help=WORDS["exit"]
            ),
            "right_layers": st.column_config.NumberColumn("right exits before the end"),
        },
    )
    return table


ui.title("Stop rules")
st.markdown(
    "Most pictures are easy. A **stop rule** lets a picture leave at the first exit that is sure enough: choose a rule and a "
    "threshold, and see what it costs and saves over the whole test set.",
    help=f"{WORDS['exit']} {WORDS['final']}",
)
bundle = ui.current()
ui.classes_only(bundle)
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
    plan_name = ui.linked(
        st.segmented_control,
        "Exits",
        key="exits",
        options=["few", "practical", "all"],
        default="few",
        required=True,
        help="Which exits run on the way; each one costs its head.\n- **few**: at most four, with which the rule is "
        f"cheapest on validation\n- **practical**: {WORDS['practical']}\n- **all**: every layer",
    )
    cost = COSTS[
        ui.linked(
            st.segmented_control,
            "Cost",
            key="cost",
            options=list(COSTS),
            default="MACs",
            required=True,
            help=f"{WORDS['macs']} Time is measured on this machine.",
        )
    ]
measured = recordings.times(bundle, [head])
recorded = recordings.predictions(bundle)
if recorded is None or not any(e[1] == head for e in recorded["test"].exits):
    recordings.times_badge(bundle, measured)
    without_predictions(bundle, head, measured)
    st.stop()

known = set(recorded["test"].exits) & set(recorded["val"].exits)
with st.container(horizontal=True, vertical_alignment="bottom"):
    rule = ui.linked(
        st.pills,
        "Rule",
        key="rule",
        options=list(RULES),
        default="confidence",
        required=True,
        wrap=True,
        help="\n".join(f"- **{name}**: {text}" for name, text in MEANING.items()),
    )
    drop = ui.linked(
        st.select_slider,
        "Accuracy it may lose on validation, points",
        key="drop",
        options=DROPS,
        value=0.5,
        width=320,
        help="The cheapest threshold within this much of the final exit, looked for on validation pictures only, "
        "never on the test pictures that judge it.",
    )
everything = [e for e in [*bundle.model.exits(head), (bundle.model.depth, "final")] if e in known]
sha = tuple(about["sha256"] for about in bundle.card["files"].values())
if plan_name == "few":
    with st.spinner("Looking for the exits worth running …", show_time=True):
        plan = few(
            (sha, head, rule, drop),
            RULES[rule],
            drop / 100,
            recorded["val"].select(everything),
            bundle.model,
        )
else:
    plan = (
        [e for e in bundle.model.practical(head) if e in known]
        if plan_name == "practical"
        else everything
    )
val, test = recorded["val"].select(plan), recorded["test"].select(plan)
macs, ms = costs(bundle.model, plan), rules.finish_times(measured["trace"], plan)
stamp = (sha, tuple(plan), tuple(ms))
slider = threshold_range(rule, bundle.model.depth + 1, len(bundle.model.task.labels))
best = chosen_on_validation(stamp, RULES[rule], drop / 100, val, macs)
start = on_slider(best, slider)
with st.container(horizontal=True, vertical_alignment="bottom"):
    threshold = ui.linked(
        st.slider,
        "Threshold",
        help=f"{rule.capitalize()}: {MEANING[rule]}.",
        width=520,
        **slider,
        **follow(slider, start),
    )
    if not ui.hidden("take") and threshold != start:
        st.button(
            "Take validation's choice",
            icon=":material/my_location:",
            on_click=take,
            args=(slider["key"], start),
            key="take",
            help="Move the threshold to the one that the validation pictures chose.",
        )

here = rules.operate(RULES[rule], threshold, test, macs, ms)
chosen = rules.operate(RULES[rule], best, test, macs, ms)
final = float(test.accuracy[-1])
fixed = recordings.fixed_exits(bundle, head, measured["trace"]).assign(source="card")
fixed["accuracy"] = [
    float(recorded["test"].accuracy[recorded["test"].exits.index((b, h))]) if (b, h) in known else a
    for b, h, a in zip(fixed.layer, fixed["head"], fixed.accuracy, strict=True)
]
full, plain = bundle.model.exit_macs(bundle.model.depth, "final"), measured["plain"]
with st.container(horizontal=True):
    ui.recorded_badge(bundle, f"{len(test.truth):,} pictures")
    recordings.times_badge(bundle, measured)
with st.container(horizontal=True):
    st.metric(
        "Right",
        percent(here.accuracy, 2),
        f"{100 * (here.accuracy - final):+.2f} points against the final exit",
        help="Share of the test pictures that get a right answer under this rule.",
    )
    st.metric(
        "Average MACs",
        macs_text(here.macs),
        f"{100 * (here.macs / full - 1):+.0f} % against the plain backbone",
        "inverse",
        help=f"{WORDS['macs']} All heads on the way are counted.",
    )
    st.metric(
        "Expected time",
        f"{here.ms:.1f} ms",
        f"{100 * (here.ms / plain - 1):+.0f} % against the plain backbone",
        "inverse",
        help="Mean over the test pictures, from each exit's time on this machine.",
    )
    st.metric(
        "Validation's choice",
        f"{best:.3f}" if np.isfinite(best) else "never leave",
        f"{percent(chosen.accuracy, 2)} right on test",
        "off",
        delta_arrow="off",
        help=f"The cheapest threshold that loses at most {drop:g} points on {len(val.truth):,} validation pictures.",
    )
st.caption(
    "Exits that run: " + ", ".join("final" if h == "final" else f"layer {b}" for b, h in plan) + "."
)
curve = swept(stamp, RULES[rule], test, macs, ms)
left, right = st.columns([3, 2], gap="medium")
with left:
    show_tradeoff(curve, fixed, here, chosen, final, cost, rule)
with right:
    show_leaving(test, here)
# what the rule does not run is still part of how hard a picture is
whole = recorded["test"].select(everything)
show_difficulty(bundle, test, whole, here, macs)
show_trust(test, whole, here, bundle.model.task.labels, (sha, tuple(everything)))
settings = {
    "head": head,
    "exits": plan,
    "rule": rule,
    "threshold": threshold,
    "accuracy": here.accuracy,
    "mean_macs": here.macs,
    "mean_ms": here.ms,
    "chosen_on_validation": best if np.isfinite(best) else None,
    "validation_may_lose_points": drop,
    "ms_per_exit": ms.round(3).tolist(),
    "plain_backbone_ms": plain,
}
ui.export("rules", curve, bundle, settings)
