"""How far confidence can be trusted: calibration, telling right from wrong, overthinking."""

from __future__ import annotations

import numpy as np
import pandas as pd
import streamlit as st
from streamlit.column_config import NumberColumn, TextColumn

from mvit.charts import rules as draw
from mvit.charts.text import plain_label
from mvit.evaluation.predictions import Predictions, calibration_error, failure_auroc, overthinking
from mvit.policies import outcomes
from mvit.policies.journeys import journeys
from mvit.policies.outcomes import Operating
from pages import parts as ui
from pages.parts import columns
from pages.parts.words import WORDS, percent

GIVEN = "the answers given"
JOURNEYS = {
    "kind": TextColumn(
        "kind", help="overthought: right early, wrong at the end; mended: the other way round."
    ),
    "picture": NumberColumn(
        "picture", help="Its number in the test split, read class by class, from 0."
    ),
    "answers": TextColumn("what the exits said", width="large", help=WORDS["exit"]),
    "right_layers": NumberColumn("right exits before the end"),
}


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
    whose, sure, right = _pick_answers(whole, here)
    exits, over = _quality(key, whole)
    diagram, lines, wasted = st.columns(3, gap="medium")
    with diagram:
        _reliability(whose, sure, right)
    with lines:
        said = telling(sure, right)
        alt = f"Calibration error and failure AUROC by exit. {said}."
        ui.chart(draw.quality(exits, said), alt=alt)
    with wasted:
        said = overthought(over, int((~whole.correct[-1]).sum()), len(whole.truth))
        ui.chart(draw.overthinking(exits, said), alt=f"{said}.")
    _say_scaling(bundle, whole)
    rows = columns.with_intervals(exits, len(whole.truth))
    ui.table(rows, "Every exit as a table", column_config=columns.INTERVAL)
    ui.table(
        journeys(whole, [*map(plain_label, bundle.model.task.labels)]),
        "Pictures that later layers made wrong, and pictures that they made right",
        column_config=JOURNEYS,
    )


def overthought(share: float, wrong: int, pictures: int) -> str:
    """How many pictures some exit had right and the end has not: of those that end wrong and of
    all. share: of all pictures."""
    had = round(share * pictures)
    if not wrong:
        return "Overthinking: no picture ends wrong"
    return (
        f"Overthinking: {wrong:,} pictures end wrong; for {had:,} of them ({percent(had / wrong)}, "
        f"and {percent(share, 1)} of all pictures) some exit before was right"
    )


def _pick_answers(whole: Predictions, here: Operating) -> tuple[str, np.ndarray, np.ndarray]:
    """Whose answers to judge, how sure each of them is, and whether it is right: (N,)."""
    names = outcomes.exit_names(whole.exits)
    whose = ui.linked(
        st.selectbox,
        "Whose confidence",
        key="whose",
        options=[GIVEN, *(f"exit {n}" for n in names)],
        index=0,
        help="The answers that the rule above gives, or every picture at one exit. "
        f"{WORDS['confidence']}",
    )
    if whose == GIVEN:
        return whose, *outcomes.given(here.seen, here.taken)
    at = names.index(whose.removeprefix("exit "))
    return whose, whole.confidence[at], whole.correct[at]


def _reliability(whose: str, sure: np.ndarray, right: np.ndarray) -> None:
    """How often answers are right that are so or so sure."""
    gap = float(sure.mean() - right.mean())
    said = (
        f"{whose[0].upper()}{whose[1:]}: {percent(abs(gap), 1)} "
        f"{'too sure' if gap > 0 else 'not sure enough'} on average; calibration error (ECE) "
        f"{percent(calibration_error(sure, right), 1)}"
    )
    bars = outcomes.reliability(sure, right)
    ui.chart(draw.reliability(bars, said), alt=f"Reliability diagram. {said}.")
    ui.table(bars)


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
