"""Two models of one task on one clock: how often both are right on the whole test set, moment by
moment."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import streamlit as st

from mvit.bundles import weights
from mvit.charts import race as charts
from mvit.evaluation.together import in_common
from mvit.inference.baseline import Turns
from mvit.policies.race import Runner, Span, by_time, crossing, spans, told
from pages import parts as ui
from pages.parts import recorded


def on_the_test_set(both: Sequence[ui.Bundle], turns: Sequence[Turns], stop: float) -> None:
    """How often both are right at any moment, from the recorded answers and the median times."""
    seen = [recorded.predictions(one) for one in both]
    if None in seen:
        return
    names = [one.backbone for one in both]
    try:
        seeds = [weights.card_of(one.task, one.backbone).get("seed", 0) for one in both]
        tests = in_common([own["test"] for own in seen], seeds)
        tests = [
            own.select([(e.layer, e.head) for e in turn.exits])
            for own, turn in zip(tests, turns, strict=True)
        ]
        runners = raced(names, tests, [np.median(turn.finishes, axis=0) for turn in turns])
        race = spans(*runners)
    except ValueError:
        st.info(
            "The two were not recorded on the same test pictures and exits, so their accuracies "
            "cannot be compared moment by moment.",
            icon=":material/inventory_2:",
        )
        return
    recorded.few_note(tests[0])
    each = zip(*(turn.finishes for turn in turns), strict=True)
    rounds = [spans(*raced(names, tests, finishes)) for finishes in each]
    rows = _draw(race, rounds, runners, plain_ms=[turn.plain.median for turn in turns], stop=stop)
    shares = [f"{runner.name} {runner.right(stop).mean():.1%}" for runner in runners]
    ui.recorded_badge(both[0], f"{len(tests[0].truth):,} pictures")
    st.caption(
        f"After {stop:g} ms: {' and '.join(shares)} right. The answers are recorded; the times are "
        f"the medians of {len(rounds)} rounds on the picture above. Ahead means: right more often "
        "on these pictures, with 95 % certainty."
    )
    ui.table(rows, "Accuracy over time as a table")


def raced(names: Sequence[str], tests: Sequence, finishes: Sequence) -> list[Runner]:
    """Both models with the times of one round, or with their medians."""
    return [
        Runner(name=name, finish=np.maximum.accumulate(own), seen=test)
        for name, own, test in zip(names, finishes, tests, strict=True)
    ]


def _draw(
    race: Sequence[Span],
    rounds: Sequence[Sequence[Span]],
    runners: Sequence[Runner],
    *,
    plain_ms: Sequence[float],
    stop: float,
) -> pd.DataFrame:
    """Draw the share of right answers over time, and return it as a table."""
    names = [runner.name for runner in runners]
    end = 1.05 * max(stop, *(runner.finish[-1] for runner in runners), *plain_ms)
    right = [runner.seen.accuracy[-1] for runner in runners]
    plain = pd.DataFrame({"model": names, "ms": plain_ms, "right": right})
    rows, finding = by_time(race, names, end), told(race, rounds)
    figure = charts.accuracy(
        rows, plain, names, stop_ms=stop, crossing_ms=crossing(race), finding=finding
    )
    ui.chart(figure, alt=f"Right answers by time: {finding}.", key="race_accuracy")
    return rows
