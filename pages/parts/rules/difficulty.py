"""Which classes and pictures are easy, what the rule costs each class, and how deep a picture must
go until its answer is settled."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import streamlit as st
from streamlit.column_config import NumberColumn

from mvit.charts import rules as draw
from mvit.charts.style import macs_text, plain_label
from mvit.policies import dispatch, outcomes
from mvit.policies.outcomes import Operating
from pages import parts as ui
from pages.parts import columns
from pages.parts.rules.prepared import Replay
from pages.parts.rules.views import SHARES
from pages.parts.words import WORDS, percent

LEAST = 20  # test pictures that a class needs for a claim about it
LOST = 5  # pictures that the rule must cost a class for the same
ABOUT_GROUPS = (
    "Easy: right for good from the first third of the layers on; middling: from the second; hard: "
    "only from the last. Where the final exit is wrong, the rule is right if it left earlier, with "
    "the right answer."
)
SETTLED_HELP = f"{WORDS['settled']} Here: gives the right answer from there to the end."
CLASSES = {
    "settled": NumberColumn("right from layer", format="%.1f", help="Mean of its pictures."),
    "left": NumberColumn("leaves at layer", format="%.1f", help="Mean of its pictures."),
    "accuracy": columns.share(help="Right answers under the rule."),
    **columns.INTERVAL,
    "final": columns.share("final exit", help="Right answers of the final exit."),
    "lost": columns.share(help="What the rule loses; below zero it gains."),
    "macs": columns.macs("mean MACs"),
}
GROUPS = {
    "group": "pictures",
    "share": columns.share("share", help="Of all test pictures."),
    "accuracy": columns.share("right", help="Right answers under the rule."),
    **columns.INTERVAL,
    "macs": columns.macs("MACs"),
    "first_confidence": columns.share("sure at first", help=WORDS["confidence"]),
    "final_confidence": columns.share("sure at the end", help=WORDS["confidence"]),
}
EVERY_HELP = (
    "One row a test picture: truth, answer, where it leaves, its prediction depth, the layer from "
    "which it is right for good, and whether it was overthought (right at an earlier exit, wrong "
    "at the end)."
)


def show(bundle: ui.Bundle, replay: Replay, here: Operating) -> None:
    """Easy and hard classes and pictures."""
    # what the rule does not run is still part of how hard a picture is
    settled = outcomes.settled_layer(replay.whole)
    labels, macs = [*map(plain_label, bundle.model.task.labels)], replay.macs
    final = replay.test.correct[-1]
    rows = outcomes.by_class(here.taken, here.seen, labels, macs=macs, settled=settled, final=final)
    left, right = st.columns(2, gap="medium")
    with left:
        _classes(rows, bundle.model.depth)
    with right:
        _groups(outcomes.easy_and_hard(here.taken, here.seen, macs, settled=settled), here)
    _depth(replay, here, labels)


def _classes(rows: pd.DataFrame, depth: int) -> None:
    """Every class: from where on it is right, where it leaves, and what the rule costs it."""
    enough = rows[rows.pictures >= LEAST].reset_index(drop=True)
    if len(enough) < 2:
        st.markdown(
            f"**{rows.pictures.sum():,} test pictures of {len(rows)} classes are too few to "
            f"compare classes; {LEAST} of each are needed.**"
        )
    else:
        few = len(rows) - len(enough)
        among = f"Of {len(enough)} classes with {LEAST} test pictures or more, " if few else ""
        _compared(enough, depth, among)
        if few:
            others = "The other class" if few == 1 else f"The other {few} classes"
            st.caption(f"{others}, with fewer pictures: only in the table.")
    ui.table(rows, "Every class", column_config=CLASSES)


def _compared(rows: pd.DataFrame, depth: int, among: str) -> None:
    """The classes that have enough pictures, side by side. among: which these are, if not all."""
    easy, hard = rows.iloc[0], rows.iloc[-1]
    finding = (
        f"{among}{easy.label} is easiest (right for good from layer {easy.settled:.1f} on "
        f"average), {hard.label} hardest ({hard.settled:.1f})"
    )
    shown = rows if len(rows) <= 20 else pd.concat([rows.head(8), rows.tail(8)])
    figure = draw.classes(shown, depth, finding)
    ui.chart(figure, alt=f"Classes by difficulty. {finding}.")
    if len(shown) < len(rows):
        st.caption(
            f"The 8 easiest and the 8 hardest of {len(rows)} classes; the table has them all."
        )
    st.caption(f"A picture that ends wrong counts as layer {depth + 1}, one after the last.")
    worst = rows.iloc[rows.lost.idxmax()]
    if worst.lost * worst.pictures > LOST - 0.5:
        st.caption(
            f"The rule costs {worst.label} most: {100 * worst.lost:.1f} points "
            "against the final exit."
        )


def _groups(groups: pd.DataFrame, here: Operating) -> None:
    """Easy, middling and hard pictures and those that end wrong, under the rule."""
    members = (groups.share * len(here.taken)).round()
    groups = columns.with_intervals(groups, members.where(members > 0))
    easy, wrong = percent(groups.share.iloc[0]), percent(groups.share.iloc[3], 1)
    st.markdown(f"**{easy} of the pictures are easy, {wrong} end wrong.**", help=SETTLED_HELP)
    brief = {
        "pictures": groups.group,
        "share": groups.share.map(lambda share: percent(share, 1)),
        "right": groups.accuracy.map(lambda share: percent(share, 1)),
        "MACs": groups.macs.map(macs_text),
    }
    st.table(
        pd.DataFrame(brief),
        border="horizontal",
        hide_index=True,
        alt="Easy and hard pictures under the chosen rule",
    )
    st.caption(ABOUT_GROUPS)
    ui.table(groups, "These groups, with intervals and confidence", column_config=GROUPS)


def _depth(replay: Replay, here: Operating, labels: Sequence[str]) -> None:
    """Prediction depth: its distribution, and every picture to take away."""
    with st.expander("Prediction depth: when the answer is settled", icon=":material/stacks:"):
        st.caption(
            "A picture's prediction depth is the first layer from which every later exit gives the "
            "answer that the final exit gives, right or wrong (Baldock et al., 2021). It tells how "
            "hard a picture is for this network, without knowing the truth."
        )
        rows = dispatch.depths(replay.whole)
        half = int(rows.layer[np.searchsorted(rows.share.cumsum(), 0.5 - 1e-9)])
        early, late = rows[rows.layer <= half], rows[rows.layer > half]
        finding = f"{percent(early.share.sum())} of the pictures are settled by layer {half}"
        if late.share.sum():
            wrong = [percent(part.wrong.sum() / part.share.sum(), 1) for part in (early, late)]
            finding += f": {wrong[0]} of these end wrong, and {wrong[1]} of those settled later"
        ui.chart(draw.depth(rows, finding), alt=f"Pictures by prediction depth. {finding}.")
        ui.table(rows, column_config=SHARES)
        if not ui.hidden("export"):

            def every() -> str:
                rows = dispatch.every_picture(here.taken, here.seen, replay.whole, labels=labels)
                return rows.to_csv(index=False)

            ui.csv_button("Every picture as CSV", every, "rule_pictures", help=EVERY_HELP)
