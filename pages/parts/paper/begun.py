"""What Table I's trainings began from and saw, and what they may be compared with."""

from __future__ import annotations

import math
from contextlib import suppress

import pandas as pd
import streamlit as st

from mvit.bundles import weights
from mvit.charts import paper as draw
from mvit.training import identity
from pages import parts as ui

START = "start weights"  # whose hash a budget names
FEW_STEPS = 500  # of a training, below which its new exits are far from done


def told(table: dict) -> list[str]:
    """What the trainings began from, saw, and may be compared with."""
    budget = table["budget"]
    seen = f"{budget['images']:,} pictures of {budget['px']} × {budget['px']} pixels"
    steps = budget["images"] // budget.get("batch", 64)
    lines = []
    if start := table.get("start"):
        lines.append(
            f"Every training began from the same backbone ({began_from(table)}) and from exits "
            f"that had been trained on it for {start['rounds']} rounds, "
            f"{how_the_start_ended(table)}. Then each saw {seen} (layer-wise: in each part). The "
            "pictures are smaller than those of the figures above, so compare these figures with "
            "each other only."
        )
    else:
        if steps < FEW_STEPS:
            lines.append(
                f"After only {steps} steps a new exit has hardly begun to learn. The change of the "
                "final exit already says something; the accuracy of the new exits does not yet."
            )
        lines.append(
            f"These trainings were short: each saw {seen} (layer-wise: in each part), starting "
            f"from {began_from(table)}. Compare them with each other, not with the figures above "
            "or with the paper, which trained to the end."
        )
    return lines + still_missing(table)


def began_from(table: dict) -> str:
    """What the trainings began from, and whether the bundle of that name is another by now."""
    init = str(table["init"])
    place, was = weights.root() / init.removeprefix("the bundle "), table["budget"].get(START)
    with suppress(weights.WeightsError, KeyError, OSError):
        exits = "solved_tiles" in table["budget"]  # a counter's trainings begin with them, too
        if was and place.is_dir() and identity.of_start(place, None, exits=exits) != was:
            return f"{init} as it was then; it has changed since"
    return init


def still_missing(table: dict) -> list[str]:
    """How many trainings a table lacks, as a line; none if it is whole."""
    missing = table.get("missing")
    return [f"{missing} of these trainings are still missing."] if missing else []


def how_the_start_ended(table: dict) -> str:
    """Whether the start's exits had stopped learning, or only run out of rounds."""
    rounds, most = table["start"]["rounds"], table["budget"].get("max_rounds", math.inf)
    if rounds < most:
        return "until they no longer got better"
    return "the most that was allowed, when some still got a little better"


def show_start(curves: dict[str, list[float]]) -> None:
    """How the exits that every training began from had learned: their validation loss a round."""
    rows = pd.DataFrame(
        [
            {"head": head, "round": number, "loss": loss}
            for head, losses in curves.items()
            for number, loss in enumerate(losses, 1)
        ]
    )
    with st.expander("Had the exits learned all they could? Their loss before the comparison"):
        told = "Loss on validation pictures, round by round; flat means that an exit is done"
        ui.chart(draw.learning(rows, told), alt=f"{told}.", key="table1_start")
