"""For engineers: what each exit sends away, how long the slow answers take, what remains in
batches, and which smaller network would do."""

from __future__ import annotations

import numpy as np
import pandas as pd
import streamlit as st
from streamlit.column_config import NumberColumn

from mvit.evaluation.predictions import Predictions
from mvit.policies import dispatch
from mvit.policies.outcomes import Operating, finish_times
from pages import parts as ui
from pages.parts import columns
from pages.parts.columns import interval, readable
from pages.parts.rules.prepared import Replay
from pages.parts.words import WORDS, percent, work_saved

EXITS = {
    "pictures": NumberColumn(format="localized", help="How many leave here."),
    "share": columns.share(help="Of all test pictures."),
    "accuracy": columns.share(help="Of the pictures that leave here."),
    **columns.INTERVAL,
    "agreement": columns.share(help="Same answer as the final exit, right or wrong."),
    "macs": columns.macs("MACs", help=f"Of leaving here. {WORDS['macs']}"),
    "ms": NumberColumn("ms", format="%.2f", help="Of leaving here, on this machine."),
}
WAIT_HELP = "At least this share of the answers is there by then."
SLOW = {"mean": NumberColumn("mean, ms", format="%.1f")} | {
    p: NumberColumn(f"{p}, ms", format="%.1f", help=WAIT_HELP) for p in ("p50", "p95", "p99")
}
ALL, TAKEN_OUT = "saved if all wait for the last", "saved if those that leave are taken out"
BATCHES = {
    "pictures": NumberColumn("pictures in a batch"),
    "waiting": columns.share(ALL, help="The batch goes on until all have left."),
    "taken_out": columns.share(TAKEN_OUT, help="The batch grows smaller on its way."),
}


def show(
    bundle: ui.Bundle,
    recorded: dict[str, Predictions],
    replay: Replay,
    here: Operating,
    runs: list[pd.DataFrame],
) -> dict[str, pd.DataFrame]:
    """Draw the three tables and return them: dispatch, times, batches."""
    final, plan = replay.test, replay.plan
    left = dispatch.dispatch(here.taken, here.seen, final.top1[-1], macs=replay.macs, ms=replay.ms)
    times = dispatch.waits(
        {
            "this rule": dispatch.times_taken(here.taken, plan, runs),
            "plain network": np.array([finish_times(run, plan[-1:])[0] for run in runs]),
        }
    )
    full = bundle.model.exit_macs(*bundle.model.final_exit)
    together = dispatch.batches(here.taken, replay.macs, full)
    exits, slow, batch = st.tabs(["What leaves at each exit", "Slow answers", "Batches"])
    with exits:
        _exits(left, here)
        _smaller(bundle, recorded, here)
    with slow:
        _slow(times, len(runs))
    with batch:
        _batches(together)
    return {"dispatch": left, "times": times, "batches": together}


def _frame(rows: pd.DataFrame, alt: str, columns: dict) -> None:
    st.dataframe(readable(rows), hide_index=True, alt=alt, column_config=columns)


def _exits(rows: pd.DataFrame, here: Operating) -> None:
    first = rows[rows.pictures > 0].iloc[0]
    st.markdown(
        f"**Of the {len(here.taken):,} test pictures, {percent(first.share)} leave at exit "
        f"{first.exit}; {percent(first.accuracy, 1)} of these answers are right, and "
        f"{percent(first.agreement, 1)} are what the final exit would have said.**"
    )
    _frame(rows, "What leaves at each exit", EXITS)
    if not ui.hidden("export"):
        told = "The table above as comma-separated values."
        ui.csv_button("These exits as CSV", rows.to_csv(index=False), "rule_exits", help=told)


def _smaller(bundle: ui.Bundle, recorded: dict[str, Predictions], here: Operating) -> None:
    """The smaller network that costs no more: these weights cut off after one exit."""
    macs = {e: bundle.model.exit_macs(*e) for e in recorded["val"].exits}
    cut = dispatch.smaller(recorded["val"].quality, macs, here.macs)
    n, rule = len(here.taken), percent(here.accuracy, 2)
    if cut is None or cut[1] == "final":
        st.caption("No smaller network costs less than this rule does on average.")
        return
    right = recorded["test"].quality[cut]
    own, ruled = interval(right, n, 2), interval(here.accuracy, n, 2)
    st.caption(
        f"A smaller network that never costs more than the rule does on average: layers 1 to "
        f"{cut[0]} and the head {cut[1]} after them, the best such cut on validation. It gets "
        f"{percent(right, 2)} right (between {own}), this rule {rule} (between {ruled})."
    )


def _slow(rows: pd.DataFrame, runs: int) -> None:
    rule, plain = rows.iloc[0], rows.iloc[1]
    hardest = (
        "The hardest pictures wait longer than with the plain network, since they run every layer "
        "and every head on the way. "
        if rule.p99 > plain.p99
        else ""
    )
    st.markdown(
        f"**Half of the answers are there after {rule.p50:.1f} ms, 99 of 100 after "
        f"{rule.p99:.1f} ms; in the same runs the plain network needed {plain.p50:.1f} and "
        f"{plain.p99:.1f} ms.**"
    )
    _frame(rows, "How long the slow answers take", SLOW)
    st.caption(
        f"p50, p95, p99: by then 50, 95 and 99 of 100 answers are there. {hardest}"
        f"From {runs} measured runs of every exit, and for the rule from where each test picture "
        "leaves; with so few runs, the plain network's p99 is nearly that of its slowest run."
    )


def _batches(rows: pd.DataFrame) -> None:
    most = rows.iloc[-1]
    st.markdown(
        f"**On average a picture alone {work_saved(most.taken_out)}; a batch of "
        f"{int(most.pictures)} that waits for its last picture {work_saved(most.waiting)}.**"
    )
    _frame(rows, "What is saved in batches", BATCHES)
    st.caption(
        "Shares of the plain network's MACs; below zero, the heads cost more than the rule saves. "
        "The batches are random test pictures; what they save follows from where each one leaves. "
        "`python -m mvit bench` times the plain network in batches."
    )
