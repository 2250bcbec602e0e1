"""The paper, reproduced: its figures 6 to 8 from our own measurements, beside the numbers that it
reports."""

import pandas as pd
import streamlit as st

from mvit.bundles import delta
from mvit.charts import paper as draw
from mvit.charts.style import macs_text
from mvit.evaluation import paper
from pages import parts as ui
from pages.parts import columns, words
from pages.parts.paper import ablation as since
from pages.parts.paper import beside
from pages.parts.paper import counts as counted
from pages.parts.paper import table as paper_table

WORDS = words.WORDS
CHART = "paper_chart"
COLUMNS = {
    "accuracy": st.column_config.NumberColumn(format="percent", help="On the test pictures."),
    "macs": columns.macs("MACs"),
    "practical": st.column_config.CheckboxColumn(help=WORDS["practical"]),
    "behind": st.column_config.NumberColumn(
        "points behind", format="%.2f", help="Below the final exit."
    ),
    "share": st.column_config.NumberColumn(
        "share of MACs", format="percent", help="Of the final exit's."
    ),
}


def follow_click() -> None:
    """A click on a point moves the two menus; a callback, since drawn widgets cannot be moved."""
    points = st.session_state[CHART].selection.get(draw.CLICK) or []
    if points:
        st.session_state["head"], st.session_state["layer"] = (
            str(points[-1]["head"]),
            int(points[-1]["layer"]),
        )
        st.session_state["_paper_clicked"] = True


def show_exit(bundle: ui.Bundle, exits: pd.DataFrame, layer: int, head: str) -> None:
    """One exit in numbers, with its place among its neighbours and the way to watch it work."""
    here = exits[(exits.layer == layer) & (exits["head"] == head)]
    if here.empty:
        st.caption(f"The card records no exit of {head} at layer {layer}.")
        return
    here = here.iloc[0]
    st.subheader(f"{head} at layer {layer}", anchor=False, help=words.head_help([head]))
    same = exits[exits.layer == layer].sort_values("accuracy", ascending=False)["head"].tolist()
    with st.container(horizontal=True):
        st.metric(
            "Accuracy",
            words.percent(here.accuracy, 2),
            f"{-here.behind:+z.2f} points against the final exit",
            help="Share of the test pictures that this exit gets right.",
        )
        st.metric(
            "Total MACs",
            macs_text(here.macs),
            f"{100 * (here.share - 1):+z.0f} % against the final exit",
            "inverse",
            help=WORDS["macs"],
        )
        st.metric(
            "Rank among heads",
            f"{same.index(head) + 1} of {len(same)}",
            help="By accuracy, after the same layer; 1 is the best.",
        )
        st.metric("Practical", "yes" if here.practical else "no", help=WORDS["practical"])
    if not here.practical:
        earlier = exits[(exits["head"] == head) & (exits.layer < layer)]
        better = earlier.loc[earlier.accuracy.idxmax()] if len(earlier) else here
        st.caption(
            f"Not practical: the same head at layer {better.layer} already reaches "
            f"{words.percent(better.accuracy, 2)} with less work."
            if better.layer != layer
            else "Not practical: it is no better than guessing."
        )
    if not ui.hidden("watch"):
        query = {
            "task": ui.TASK_NAMES.get(bundle.task, bundle.task),
            "backbone": bundle.backbone,
            "head": head,
        }
        ui.page_link(
            "watch",
            f"Watch the {head} exits fire on a picture",
            icon=":material/bolt:",
            query_params=query,
        )


def show_differences(bundle: ui.Bundle) -> None:
    """Where our study is not the paper's, from the card."""
    card, strategy = bundle.card, bundle.card.get("strategy", "not recorded")
    size, task = sum(p.numel() for p in bundle.model.backbone.parameters()), bundle.model.task
    st.subheader("Where we differ, and why", anchor=False)
    backbone = (
        f"**Backbone.** The paper uses {paper.BACKBONE} with {paper.PARAMETERS / 1e6:.0f} M "
        f"parameters; these figures come from `{card['architecture']}` with {size / 1e6:.1f} M."
    )
    if of := card.get("delta"):
        backbone += (
            f" The paper's learned from ImageNet-21k at its full width. This one was grown from "
            f"{delta.told(of, form='`{}`')}, and at full width it learned from "
            f"{ui.TASK_NAMES.get(bundle.task, bundle.task)} alone."
        )
    elif size < paper.PARAMETERS / 4:
        backbone += (
            " It was chosen because a laptop's processor can train and run it. It is less accurate "
            "from the start, so compare the shape of the curves and the order of the heads, not "
            "the height."
        )
    training = f"**Training strategy.** These exits were trained *{strategy}*"
    if strategy == "classifier-wise":
        training += (
            ": the backbone stays fixed and every exit learns by itself, so the final exit is that "
            "of the plain network"
        )
    if card.get("distilled"):
        training += ". What they learned is the final exit's answers to photos without labels"
    pixels = f"{task.native_px} × {task.native_px} pixels"
    if task.native_px != task.input_px:
        pixels += f" enlarged to {task.input_px}"
    budget = (
        "**Budget.** The Models page lists the recipe, the number of pictures seen and the random "
        f"seed. Pictures: {pixels}."
    )
    told = [backbone, f"{training}.", budget]
    if "vit" in bundle.heads:
        told.append(
            "**Cost.** The paper's `vit` head runs a whole encoder layer and then reads one token. "
            "Here only what that token needs is computed: the same answer for fewer MACs."
        )
    st.markdown("\n".join(f"- {line}" for line in told))


def controls(
    heads: list[str], layers: list[int], start: pd.Series, accuracies: bool
) -> tuple[str, int, bool, bool]:
    """Draw the menus: the exit that is opened, whether to zoom, whether to show the paper's
    numbers. start: the exit that is opened first; accuracies: whether the paper has any."""
    # after a click the menus' values are set already, and want no default
    clicked = st.session_state.pop("_paper_clicked", False)
    first = heads.index(start["head"]) if start["head"] in heads else 0
    with st.container(horizontal=True, vertical_alignment="bottom"):
        head = ui.linked(
            st.selectbox,
            "Head",
            key="head",
            options=heads,
            help=words.head_help(heads),
            width=200,
            **({} if clicked else {"index": first}),
        )
        layer = ui.linked(
            st.select_slider,
            "Layer",
            key="layer",
            options=layers,
            help=WORDS["layer"],
            width=320,
            **({} if clicked else {"value": int(start.layer)}),
        )
        zoom = ui.linked(
            st.toggle,
            "Close to the final exit only",
            key="zoom",
            value=False,
            help="Show only exits within 12 points of the final exit, where the curves are close "
            "together.",
        )
        reported = accuracies and ui.linked(
            st.toggle,
            "The paper's numbers",
            key="beside",
            value=True,
            help="Draw what the paper reports as dashed lines. Only its accuracies are known here, "
            "not its MACs.",
        )
    return head, layer, zoom, reported


def finding(near: pd.Series | None, final: dict) -> str:
    """The figure's finding: the cheapest exit within one point of the final exit."""
    if near is None:
        last = words.percent(final["accuracy"], 2)
        return f"No early exit comes within one point of the final exit's {last}"
    return (
        f"{near['head']} at layer {near.layer} is within one point of the final exit "
        f"({words.percent(near.accuracy, 2)} against {words.percent(final['accuracy'], 2)}) for "
        f"{100 * near.share:.0f}\u00a0% of its MACs"
    )


def most(summary: pd.DataFrame) -> str:
    """Which head has the most practical exits, or which share that place. summary: as
    `paper.by_head` gives it."""
    first = summary[summary.practical == summary.practical.max()]
    heads, count = list(first["head"]), f"{first.practical.iloc[0]} of {first['of'].iloc[0]}"
    if len(heads) == len(summary) > 1:
        return f"every head has {count}"
    if len(heads) > 3:
        return f"{len(heads)} heads have the most, {count} each"
    if len(heads) > 1:
        return f"{words.listed(heads)} have the most, {count} each"
    return f"{heads[0]} has the most, {count}"


def show_heads(exits: pd.DataFrame) -> None:
    """How many exits of each head are practical."""
    summary = paper.by_head(exits)
    told = f"{int(exits.practical.sum())} of {len(exits)} exits are practical; {most(summary)}"
    ui.chart(draw.practical_by_head(summary, told), alt=f"Practical exits by head. {told}.")
    ui.table(summary, "Heads as a table")


def introduce(counts: bool) -> None:
    """What the page shows. counts: whether of a counter, whose points cannot be clicked."""
    what = "how far off counts are" if counts else "accuracy"
    click = "" if counts else "; click a point to see its numbers"
    st.markdown(
        f"The paper plots {what} against compute for seven kinds of exit at every layer (its "
        f"figures 6 to 8). Here is the same figure from our own measurements{click}."
        f"{ui.other_model()} *{beside.PAPER}*",
        help=f"{WORDS['exit']} {WORDS['head']}",
    )


@ui.page("The paper, reproduced")
def page() -> None:
    bundle = ui.current()
    introduce(counts=bundle.model.task.counts)
    if bundle.model.task.counts:
        counted.show(bundle)
        return
    exits, final = paper.exits_of(bundle.card), bundle.card.get("final", {})
    if exits.empty:
        st.info(
            "This card records no accuracy of its exits, so there is no figure to draw. "
            "`python -m mvit evaluate` measures them.",
            title="Nothing measured yet",
            icon=":material/query_stats:",
        )
        show_differences(bundle)
        return
    known = set(exits["head"])
    heads = [h for h in bundle.heads if h in known] or list(dict.fromkeys(exits["head"]))
    near = paper.cheapest_within(exits, 1.0)
    start = near if near is not None else exits.loc[exits.accuracy.idxmax()]
    layers = sorted(int(b) for b in exits.layer.unique())
    there = bool(paper.accuracies(bundle.task))
    head, layer, zoom, shown = controls(heads, layers, start, accuracies=there)
    n = bundle.card.get("n")
    ui.recorded_badge(bundle, f"{n:,} pictures" if isinstance(n, int) else "every exit")
    said = finding(near, final)
    lines = beside.reported(bundle.task).iloc[: None if shown else 0]
    ui.chart(
        draw.accuracy_by_macs(exits, final, lines, picked=(layer, head), finding=said, zoom=zoom),
        alt=f"Accuracy against total MACs of every exit. {said}.",
        key=CHART,
        on_select=follow_click,
        selection_mode=draw.CLICK,
    )
    ui.table(exits, "Every point as a table", column_config=COLUMNS)
    show_exit(bundle, exits, layer, head=head)
    beside.show(bundle.task, bundle.card)
    show_heads(exits)
    paper_table.show_future_work(bundle)
    paper_table.show(bundle)
    since.show(bundle)
    show_differences(bundle)
    about = {"head": head, "layer": layer, "strategy": bundle.card.get("strategy")}
    ui.export("paper", exits, bundle, settings=about | {"final": final})
