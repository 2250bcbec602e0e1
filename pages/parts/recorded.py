"""Recorded predictions and live times, as the pages that replay thousands of pictures need them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import streamlit as st

from mvit.bundles import weights
from mvit.evaluation.predictions import Predictions, PredictionsError, load_predictions
from mvit.policies.outcomes import exit_names
from pages import parts as ui

REPEATS = 15
FEW = 100  # test pictures, of which each is a whole point or more


@st.cache_resource(max_entries=3, show_spinner=False)
def _load(folder: str, stamp: tuple) -> dict[str, Predictions]:
    return load_predictions(Path(folder))


def predictions(bundle: ui.Bundle) -> dict[str, Predictions] | None:
    """{"val": ..., "test": ...} of the heads that are intact, or None after a friendly
    explanation."""
    folder = weights.folder(bundle.task, bundle.backbone)
    try:
        file = next(iter(sorted(folder.glob("predictions.safetensors"))), None)
        stamp = (file.stat().st_mtime_ns, file.stat().st_size) if file else ()
        with st.spinner("Reading the recorded answers …", show_time=True):
            found = _load(str(folder), stamp)
        heads, depth = set(bundle.heads), bundle.model.depth
        kept = {}
        for split in ("val", "test"):
            whole = found[split]
            if whole.exits[-1] != (depth, "final") or not len(whole.truth):
                raise PredictionsError(f"predictions.safetensors holds no final exit for {split}")
            intact = [e for e in whole.exits if e[1] in heads or e[1] == "final"]
            kept[split] = whole if intact == whole.exits else whole.select(intact)
        return kept
    except (PredictionsError, KeyError) as error:
        reason = (
            "it records none"
            if not (folder / "predictions.safetensors").exists()
            else f"they cannot be read ({str(error)[:140]})"
        )
        return _explain(
            "The answers of every exit on the test pictures come with a bundle, but for "
            f"{bundle.backbone} {reason}",
            "`python -m mvit train` records them; until then the page shows what the card alone "
            "can tell.",
        )


def _explain(reason: str, remedy: str) -> None:
    st.info(
        f"{reason}. {remedy}", title="No recorded answers to replay", icon=":material/inventory_2:"
    )


def times(bundle: ui.Bundle, heads: list[str]) -> dict:
    """Measured here, once for all visitors: {"trace": table of exits, medians; "plain": ms of the
    backbone in the same runs (the blocks and the final exit, early heads not counted), for
    `ui.plain`; "runs": the single runs as such tables; "device"}.

    The medians are of those runs in which the backbone took about as long as it does when the
    machine is quiet; "runs" are all.
    """
    usual_ms = ui.plain(bundle).ms

    def measure(model) -> dict:
        # what is in the picture does not change the time
        grey = np.full((model.task.native_px, model.task.native_px, 3), 128, np.uint8)
        # the first one warms up
        traces = [model.trace(grey, heads) for _ in range(REPEATS + 1)][1:]
        near = sorted(traces, key=lambda t: abs(t.ms.iloc[-1] - usual_ms))[: REPEATS // 2 + 1]
        middle = medians(near)
        return {"trace": middle, "plain": float(middle.ms.iloc[-1]), "runs": traces}

    with st.spinner("Timing every exit on this machine …", show_time=True):
        return ui.measured("exit_times", bundle, tuple(heads), work=measure)


def medians(runs: list[pd.DataFrame]) -> pd.DataFrame:
    """The medians of several runs as one: layer, head, ms, head_ms."""
    own = np.median([run.head_ms for run in runs], axis=0)
    # a neighbour's noise cannot undo layers
    backbone = np.maximum.accumulate(np.median([run.ms - run.head_ms for run in runs], axis=0))
    return runs[0][["layer", "head"]].assign(ms=backbone + own, head_ms=own)


def few_note(test: Predictions) -> None:
    """Say how rough every share is if there are few test pictures."""
    if (n := len(test.truth)) < FEW:
        st.info(
            f"There are only {n} test pictures, too few to say much: one more right answer would "
            f"change the shares on this page by {100 / n:.0f} points.",
            icon=":material/info:",
        )


def times_badge(bundle: ui.Bundle, measured: dict) -> None:
    """Say that times are measured here, on which device and when."""
    ui.live_badge(
        bundle,
        measured,
        "times",
        how=f"Every exit's median over those {REPEATS // 2 + 1} of {REPEATS} real runs in which "
        "the machine was most like when the plain network was timed; one picture at a time,",
    )
    ui.plain_badge(ui.plain(bundle, measured["plain"]))


def fixed_exits(
    bundle: ui.Bundle, head: str, trace: pd.DataFrame, test: Predictions | None = None
) -> pd.DataFrame:
    """One head's exits and the final one, each run alone: exit, layer, head, accuracy, macs, ms
    (measured). The accuracy is that of the recorded answers in `test`, or else the card's; exits
    without any are left out."""
    known = dict(zip(test.exits, test.accuracy.tolist(), strict=True)) if test else {}
    ms = {(row.layer, row.head): row.ms for row in trace.itertuples()}
    plan = bundle.model.plan(head)
    return pd.DataFrame(
        {
            "exit": exit_names(plan),
            "layer": [b for b, _ in plan],
            "head": [h for _, h in plan],
            "accuracy": [known.get(e, bundle.accuracy(*e)) for e in plan],
            "macs": [bundle.model.exit_macs(*e) for e in plan],
            "ms": [ms[e] for e in plan],
        }
    ).dropna(subset="accuracy", ignore_index=True)
