"""The panel "From coarse to fine": at each exit the most specific thing that it is sure of."""

from collections.abc import Sequence

import pandas as pd
import streamlit as st

from mvit.charts.coarse import coarse_chart, coarse_rows, depth_chart, depth_rows
from mvit.models.cautious import Caution
from mvit.models.exit import Exit, Plan
from mvit.models.tree import SURE, ClassTree, tree_of
from pages import parts as ui

CAUTIOUS = (
    "An exit says no more than it is sure of: where it hesitates between names, it says a kind of "
    "thing, and is right if that is true. *Best guess* is its likeliest single name."
)


def exits(bundle: ui.Bundle, head: str) -> Plan:
    """The exits whose scores the panel shows: one head's after every layer, the final exit last;
    none for a task whose classes have no tree."""
    return tuple(bundle.model.plan(head)) if tree_of(bundle.task) else ()


def spoken(bundle: ui.Bundle, fired: Sequence[Exit]) -> list[Exit]:
    """Exits that say no more than they are sure of; as they are, of a task whose classes have no
    tree."""
    caution = Caution.of(bundle.task, bundle.card)
    return [caution.taken(e) if caution else e for e in fired]


def show(bundle: ui.Bundle, scores: dict[tuple[int, str], list[float]], head: str) -> None:
    """Draw the panel from the scores of its `exits` in the page's run; nothing if there are
    none."""
    if not scores:
        return
    tree, told = tree_of(bundle.task), bundle.card.get("coarse")
    found = [{"layer": b, "head": h, "scores": said} for (b, h), said in scores.items()]
    rows = coarse_rows(pd.DataFrame(found), tree, told)
    st.subheader(finding(rows, tree), anchor=False)
    st.caption(
        f"Each bar is the most specific thing that the exit is at least {SURE:.0%} sure of: the "
        "probabilities of all classes below it in WordNet's tree, added up. Early layers often "
        "know the kind before they know the name, and are sometimes sure of a wrong one. For this "
        f"chart the exit of {head} after every layer was asked, also where the run above has none."
    )
    lines = "; ".join(f"{r.exit}: {r.says}{r.sure and f', {r.sure}'}" for r in rows.itertuples())
    ui.chart(coarse_chart(rows), f"What each exit is sure of. {lines}.")
    if told:
        with st.expander(f"The same on {told['n']:,} photos", icon=":material/bar_chart:"):
            show_recorded(told, head)


def show_recorded(told: dict, head: str) -> None:
    """Draw how specific one head's recorded answers are at each layer, and how often right."""
    rows = depth_rows(told, head)
    finding = many_finding(rows)
    ui.chart(depth_chart(rows, finding), alt=f"How specific the answers are. {finding}.")
    st.caption(
        "Recorded on test photos. An answer is the most specific thing that an exit is at least "
        f"{told['sure']:.0%} sure of, so up to half of such answers may be wrong. An exit that was "
        "wrong more often than right when it was so specific about other photos says less."
    )


def many_finding(rows: pd.DataFrame) -> str:
    """The heading over many photos: how often one name is said, and right, early and at the
    end."""
    said = rows[rows["order"] < 2].groupby("exit", sort=False)["share"].sum()
    middle = said.index[(len(said) - 1) // 2]
    every = rows[rows.verdict == "right"].groupby("exit", sort=False)["share"].sum()
    return (
        f"The name itself is said of {said[middle]:.0%} of photos after {middle}, of "
        f"{said.iloc[-1]:.0%} at the final exit; what is said is right of {every[middle]:.0%} "
        f"and {every.iloc[-1]:.0%}"
    )


def finding(rows: pd.DataFrame, tree: ClassTree) -> str:
    """The panel's heading: what was said first, the mistake that was said most often, what was said
    last before the final exit's answer, and from where on that stays. A kind to which that answer
    does not belong was a mistake. Exits that say nothing are passed over."""
    says, nodes, last = list(rows.says), list(rows.node), rows.says.iloc[-1]
    stays = len(says) - 1
    while stays and says[stays - 1] == last:
        stays -= 1
    silent = not rows.depth.iloc[-1]
    if not stays:
        return "No exit is sure of anything" if silent else f"Every exit is sure of {last}"
    where = f"from {rows.exit[stays]} on" if stays < len(says) - 1 else "at the final exit"
    ends = f"{where} it {'is not sure of anything' if silent else f'says {last}'}"
    spoken = [i for i in range(stays) if rows.depth.iloc[i]]
    if not spoken:
        return f"Not sure of anything at first; {ends}"
    wrong = [i for i in spoken if not tree.agree(nodes[i], nodes[-1])]
    most = sorted(wrong, key=lambda i: -says.count(says[i]))[:1]
    steps = {says[i]: i not in wrong for i in sorted({spoken[0], *most, spoken[-1]})}
    if all(steps.values()) and not silent:
        return f"First {', then '.join(steps)}, then {last} {where}"
    return f"First it said {', then '.join(steps)}; {ends}"
