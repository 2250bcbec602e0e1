"""A calm word beside an answer that should not be believed: the picture is unlike anything that the
model was taught."""

import pandas as pd
import streamlit as st

from mvit.bundles import weights
from pages import parts as ui
from pages.parts.pictures import MANY_THINGS, to_many_things
from pages.parts.words import percent

HOW = """The end of the network responds to this picture more weakly than to nearly all known
pictures that were tried. The Models page says how often this warning is right."""


def told(bundle: ui.Bundle, run: dict) -> str:
    """That the model was taught nothing like the picture of a run, in words to stand beside its
    answer; nothing if it was, or if its card records no check."""
    if not run.get("unlike"):
        return ""
    kinds = len(bundle.model.task.labels)
    return (
        f"I do not know this: it looks like none of the {'ten' if kinds == 10 else f'{kinds:,}'} "
        "kinds of thing that I was taught. The answer is a guess."
    )


def way_on(bundle: ui.Bundle, run: dict) -> None:
    """From a picture that the model does not know, the way to the model that knows 1,000 things, if
    it is another one and is here."""
    here = (
        run.get("unlike") and bundle.task != MANY_THINGS and MANY_THINGS in dict(weights.bundles())
    )
    if here and not ui.hidden("sidebar", "task"):
        st.button(
            "Ask the model that knows 1,000 kinds of thing",
            icon=":material/arrow_forward:",
            key="know_more",
            on_click=to_many_things,
            help=HOW,
        )


def has_figures(card: dict) -> bool:
    """Whether a card holds what `figures` shows."""
    told = card.get("unlike")
    needed = {"known", "others", "wrongly", "chosen_on"}
    return isinstance(told, dict) and needed <= told.keys() and bool(told["known"])


def figures(card: dict) -> None:
    """How often a model says that it does not know a picture: wrongly of known things, and rightly
    of others."""
    told = card["unlike"]
    known, others = told["known"], told["others"]
    finding = f"'I do not know this' is said wrongly of {percent(known[0]['warned'], 1)} of the "
    finding += f"{known[0]['n']:,} {known[0]['name']}"
    if others:
        shares = [row["warned"] for row in others]
        low, high = percent(min(shares)), percent(max(shares))
        finding += f", and rightly of {low if low == high else f'{low} to {high}'} of other things"
    st.markdown(f"#### {finding}", anchors=False)
    share = f"{round(100 * (1 - told['wrongly']), 1):g}\u00a0%"
    how = (
        "It is said of a picture to which the end of the network responds more weakly than to "
        f"{share} of {told['chosen_on']:,} validation pictures. "
    )
    if not others:
        st.caption(f"{how}How often it is said of unknown things was not measured for this model.")
        return
    st.caption(
        f"{how}What resembles something known is often missed. *Told apart*: how often a known "
        "test picture gets a stronger response than one of these (AUROC); "
        f"{percent(0.5)} is guessing."
    )
    rows = [
        {
            "pictures": f"{row['name']} ({row['n']:,})",
            "of things": "known" if row in known else "unknown",
            "warned about": percent(row["warned"]),
            "told apart": percent(row["auroc"]) if "auroc" in row else "",
        }
        for row in (*known, *others)
    ]
    st.table(
        pd.DataFrame(rows),
        border="horizontal",
        hide_index=True,
        alt="How often the model says that it does not know a picture",
    )
