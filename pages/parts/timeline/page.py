"""What pages with a timeline share: the choice of exits, the picture, and the table's columns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import streamlit as st

from mvit.images.draw import data_url
from mvit.models.multi_exit import Plan
from mvit.policies.plans import costs, exits_for_deadlines
from pages import parts as ui
from pages.parts import coarse, columns, lamps
from pages.parts.lamps import SEEN
from pages.parts.timeline.runs import Measured
from pages.parts.words import WORDS, about, exit_list

FEW, PRACTICAL, ALL = "few useful exits", "practical exits", "all layers"
HELP = f"""**{FEW}**: at most four, chosen by their recorded accuracy so that a clock that may stop
at any moment finds the best answer, and the whole run costs at most 1.25 times the plain
network's MACs. **{PRACTICAL}**: {WORDS["practical"]} **{ALL}**: every exit of the head. Each exit
that is run delays the later ones."""
COLUMNS = {
    "confidence": st.column_config.NumberColumn(format="percent", help=WORDS["confidence"]),
    "elapsed_ms": st.column_config.NumberColumn(
        "ready after, ms", format="%.2f", help=WORDS["elapsed"]
    ),
    "macs_run": columns.macs("MACs until then", help="All layers and all exits run so far."),
    "ms": st.column_config.NumberColumn("alone, ms", format="%.2f", help=WORDS["alone"]),
    "head_ms": st.column_config.NumberColumn(
        "head, ms", format="%.2f", help="The exit's own head, without the layers before it."
    ),
    "macs": columns.macs("MACs alone", help=WORDS["alone"]),
    "practical": st.column_config.CheckboxColumn(help=WORDS["practical"]),
}


WHY = {
    FEW: "By their recorded accuracies, these few are right most often if a clock may stop the run "
    "at any moment",
    PRACTICAL: "These are the practical exits, each more accurate on the test set than all earlier "
    "ones of its head",
    ALL: "No exit is left out; each one delays the later ones",
}


def pick_exits(bundle: ui.Bundle, heads: Sequence[str]) -> tuple[Plan, str]:
    """Draw the choice, bound to the link as `?exits=`, and return the plan of these heads, and why
    it has these exits, in words."""
    which = ui.linked(
        st.segmented_control,
        "Exits to run",
        key="exits",
        options=[FEW, PRACTICAL, ALL],
        default=FEW,
        required=True,
        help=HELP,
    )
    model = bundle.model
    plans = {
        FEW: lambda head: exits_for_deadlines(model, bundle.accuracies, head),
        PRACTICAL: model.practical,
        ALL: model.plan,
    }
    wanted = {e for head in heads for e in plans[which](head)}
    plan = model.checked([e for e in model.plan() if e in wanted])
    return plan, f"{why(plan, which)} {' '.join(f'**{h}** {about(h)}' for h in heads)}"


def why(plan: Plan, which: str) -> str:
    """Which exits a plan runs, and why just these. which: how it was chosen."""
    places = list(dict.fromkeys(exit_list([e]) for e in plan))
    return f"Exits that run: {', '.join(places)}. {WHY[which]}."


def as_measured(run: dict[str, Any], bundle: ui.Bundle, truth: str | None) -> Measured:
    """What the work of `ui.beside_plain` found, with the MACs run until each exit, none of which
    says more than it is sure of."""
    plain = ui.plain(bundle, run["plain"])
    exits = coarse.spoken(bundle, run["exits"])
    macs = costs(bundle.model, [(e.layer, e.head) for e in exits]).tolist()
    return Measured(exits=exits, macs=macs, plain_ms=plain.ms, truth=truth)


def pictures_of(bundle: ui.Bundle, picture: ui.Picture) -> str:
    """Markup of the picture and of what the model sees of it."""
    seen = ui.once(
        "seen",
        (bundle.task, bundle.backbone, picture.key),
        lambda: bundle.model.task.seen(picture.pixels),
    )
    return lamps.pictures({picture.title: data_url(picture.preview), SEEN: data_url(seen)})
