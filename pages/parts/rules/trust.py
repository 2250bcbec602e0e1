"""How far confidence can be trusted: calibration, telling right from wrong, overthinking."""

from __future__ import annotations

import numpy as np
import pandas as pd
import streamlit as st

from mvit.charts import rules as draw
from mvit.evaluation.predictions import Predictions, calibration_error, failure_auroc, overthinking
from mvit.policies import outcomes
from mvit.policies.journeys import journeys
from mvit.policies.outcomes import Operating
from pages import parts as ui
from pages.parts.rules.views import HIGH, LOW, share_column, with_intervals
from pages.parts.words import WORDS, percent

GIVEN = "the answers given"


@st.cache_data(max_entries=64, show_spinner=False)
def _quality(key: tuple, _test: Predictions) -> tuple[pd.DataFrame, float]:
    """Calibration, AUROC and overthinking of every exit, and overthinking of them all."""
    return outcomes.quality(_test), overthinking(_test)


def telling(sure: np.ndarray, right: np.ndarray) -> str:
    """How well confidence tells right answers from wrong ones, in one sentence. sure, right:
    (N,)."""
    area = failure_auroc(sure, right)
    if np.isnan(area):
        kind = "right" if right.all() else "wrong"
        return (
            f"All {len(right):,} answers are {kind}: there are too few pictures to say whether "
            "confidence tells right from wrong"
        )
    return (
        f"A right answer is surer than a wrong one in {percent(area, 1)} of all such pairs (this "
        "share is called AUROC; 50\u00a0% is guessing)"
    )


def show(bundle: ui.Bundle, whole: Predictions, here: Operating, key: tuple) -> None:
    """Reliability of the answers given or of one exit, and every exit's quality. whole: all exits
    on test; key tells it from others."""
    st.subheader("Can confidence be trusted?", anchor=False, help=WORDS["confidence"])
    names = outcomes.exit_names(whole.exits)
    whose = ui.linked(
        st.selectbox,
        "Whose confidence",
        key="whose",
        options=[GIVEN, *(f"exit {n}" for n in names)],
        index=0,
        help="The answers that the rule above gives, or every picture at one exit.",
    )
    at = None if whose == GIVEN else names.index(whose.removeprefix("exit "))
    sure, right = (
        outcomes.given(here.seen, here.taken)
        if at is None
        else (whole.confidence[at], whole.correct[at])
    )
    table, over = _quality(key, whole)
    diagram, lines, wasted = st.columns(3, gap="medium")
    with diagram:
        gap = float(sure.mean() - right.mean())
        said = (
            f"{whose[0].upper()}{whose[1:]}: {percent(abs(gap), 1)} "
            f"{'too sure' if gap > 0 else 'not sure enough'} on average; calibration error (ECE) "
            f"{percent(calibration_error(sure, right), 1)}"
        )
        bars = outcomes.reliability(sure, right)
        ui.chart(draw.reliability(bars, said), alt=f"Reliability diagram. {said}.")
        ui.table(bars)
    with lines:
        said = telling(sure, right)
        alt = f"Calibration error and failure AUROC by exit. {said}."
        ui.chart(draw.quality(table, said), alt=alt)
    with wasted:
        said = (
            f"Overthinking: for {percent(over, 1)} of the pictures some exit was right and the end "
            "is wrong"
        )
        ui.chart(draw.overthinking(table, said), alt=f"{said}.")
    _say_scaling(bundle, whole)
    ui.table(
        with_intervals(table, len(whole.truth)),
        "Every exit as a table",
        column_config={"low": share_column(None, LOW), "high": share_column(None, HIGH)},
    )
    text, number = st.column_config.TextColumn, st.column_config.NumberColumn
    ui.table(
        journeys(whole, bundle.model.task.labels),
        "Pictures that thinking spoiled, and pictures that it mended",
        column_config={
            "kind": text(
                "kind",
                help="overthought: right early, wrong at the end; mended: the other way round.",
            ),
            "picture": number(
                "picture", help="Its number in the test split, read class by class, from 0."
            ),
            "answers": text("what the exits said", width="large", help=WORDS["exit"]),
            "right_layers": number("right exits before the end"),
        },
    )


def _say_scaling(bundle: ui.Bundle, whole: Predictions) -> None:
    """What temperature scaling does to the calibration error, by the card, if it says so."""
    rows = [e for e in bundle.card.get("exits", []) if (e["layer"], e["head"]) in whole.exits]
    known = pd.DataFrame([e for e in rows if "ece_scaled" in e])
    if not known.empty:
        before, after = (percent(known[name].mean(), 1) for name in ("ece", "ece_scaled"))
        st.caption(
            f"Temperature scaling, found on validation pictures, brings the calibration error of "
            f"these exits on the test pictures from {before} to {after} on average."
        )
