"""The paper, reproduced: its figures 6 to 8 from our own measurements, beside the numbers that it
reports."""

import pandas as pd
import streamlit as st

from mvit.charts import crowd as charts_crowd
from mvit.charts import paper as draw
from mvit.charts.style import macs_text
from mvit.evaluation import paper
from pages import parts as ui
from pages.parts import link, words
from pages.parts.paper import table as paper_table

WORDS = words.WORDS
PAPER = "Bakhtiarnia, Zhang, Iosifidis: Multi-Exit Vision Transformer for Dynamic Inference (2021)"
CHART = "paper_chart"


def percent(share: float, digits: int = 2) -> str:
    return f"{100 * share:.{digits}f}\u00a0%"


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
            percent(here.accuracy),
            f"{-here.behind:+.2f} points against the final exit",
            help="Share of the official test pictures that this exit gets right.",
        )
        st.metric(
            "Total MACs",
            macs_text(here.macs),
            f"{100 * (here.share - 1):+.0f} % against the final exit",
            "inverse",
            help=WORDS["macs"],
        )
        st.metric(
            "Among the heads here",
            f"{same.index(head) + 1} of {len(same)}",
            help="By accuracy, at the same layer; 1 is the best.",
        )
        st.metric("Practical", "yes" if here.practical else "no", help=WORDS["practical"])
    if not here.practical:
        earlier = exits[(exits["head"] == head) & (exits.layer < layer)]
        better = earlier.loc[earlier.accuracy.idxmax()] if len(earlier) else here
        st.caption(
            f"Not practical: the same head at layer {better.layer} already reaches {percent(better.accuracy)} with less work."
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
    size = sum(p.numel() for p in bundle.model.backbone.parameters())
    st.subheader("Where we differ, and why", anchor=False)
    told = [
        f"**Backbone.** The paper uses {paper.BACKBONE} with {paper.PARAMETERS / 1e6:.0f} M parameters; these figures come from "
        f"`{card['architecture']}` with {size / 1e6:.1f} M."
    ]
    if size < paper.PARAMETERS / 4:
        told[0] += (
            " A backbone that can be trained and run on a laptop's processor was chosen on purpose. It is weaker from the start, so "
        )
        told[0] += "compare the shape of the curves and the order of the heads, not the height."
    told.append(
        f"**Training strategy.** These exits were trained *{strategy}*"
        + (
            ": the backbone stays fixed and every exit learns by itself, so the final exit is that of the plain backbone."
            if strategy == "classifier-wise"
            else "."
        )
    )
    pixels = f"{bundle.model.task.native_px} × {bundle.model.task.native_px} pixels enlarged to {bundle.model.task.input_px}"
    told.append(
        f"**Budget.** The recipe, the number of pictures seen and the random seed are on the Models page. Pictures: {pixels}."
    )
    st.markdown("\n".join(f"- {line}" for line in told))


def show_beside(task: str, card: dict) -> None:
    """The paper's numbers beside ours."""
    rows = paper.side_by_side(task, card)
    if rows.empty:
        st.caption(
            f"For {ui.TASK_NAMES.get(task, task)} we have no number of the paper to set beside ours."
        )
        return
    st.subheader("Beside what the paper reports", anchor=False, help=PAPER)
    st.dataframe(
        rows,
        hide_index=True,
        alt="What the paper reports beside what we measured",
        column_config={
            "what": st.column_config.TextColumn("what", help="As the paper names it."),
            "paper": st.column_config.NumberColumn(
                "the paper reports", format="percent", help=PAPER
            ),
            "ours": st.column_config.NumberColumn(
                "we measured", format="percent", help="On the official test split, from the card."
            ),
            "ours_is": st.column_config.TextColumn(
                "ours is", help="What exactly was measured here."
            ),
            "difference": st.column_config.NumberColumn(
                "points", format="%+.2f", help="Ours minus the paper's."
            ),
        },
    )
    if len(rows) > 1 and card.get("strategy") == "classifier-wise":
        st.caption(
            "The second row is not like for like: the paper's exit was trained layer-wise, which also trains the layers below it."
        )


def show_counts(bundle: ui.Bundle) -> None:
    """Figure 8 for a counter: error against work, for each test set."""
    ui.recorded_badge(bundle, f"{bundle.card.get('n', 0)} pictures")
    found = []
    for name, split in bundle.card.get("splits", {"test": bundle.card}).items():
        exits, final = pd.DataFrame(split["exits"]), split["final"]
        best = exits.loc[exits.mae.idxmin()]
        said = (
            f"{name.replace('_', ' ')}: off by {best['mae']:.1f} people at best ({best['head']} after layer {best['layer']}), "
            f"the final exit by {final['mae']:.1f}"
        )
        ui.chart(charts_crowd.error_by_macs(exits, final, said), alt=f"Error against work. {said}.")
        found.append(exits.drop(columns="ranges", errors="ignore").assign(set=name))
    for r in paper.REPORTED.get(bundle.task, ()):
        st.markdown(f"The paper reports {r.unit} {r.value:g} for its {r.what}.")
    st.caption(
        f"Ours counts with {bundle.card['architecture']}, the paper with a ViT-B/16; the Models page tells how ours learned."
    )
    rows = pd.concat(found, ignore_index=True)
    ui.table(rows)
    ui.export("paper_counts", rows, bundle, {})


link.title("The paper, reproduced")
st.markdown(
    "The paper plots accuracy against compute for seven kinds of exit at every layer (its figures 6 to 8). Here is the same "
    f"figure from our own measurements, every point open to inspection. *{PAPER}*",
    help=f"{WORDS['exit']} {WORDS['head']}",
)
bundle = ui.current()
if bundle.model.task.counts:
    show_counts(bundle)
    st.stop()
exits, final = paper.exits_of(bundle.card), bundle.card.get("final", {})
if exits.empty:
    st.info(
        "This card records no accuracy of its exits, so there is no figure to draw. `python -m mvit evaluate` measures them.",
        title="Nothing measured yet",
        icon=":material/query_stats:",
    )
    show_differences(bundle)
    st.stop()

heads, layers = (
    list(dict.fromkeys(e for e in bundle.heads if e in set(exits["head"]))),
    sorted(int(b) for b in exits.layer.unique()),
)
heads = heads or list(dict.fromkeys(exits["head"]))
near = paper.cheapest_within(exits, 1.0)
start = near if near is not None else exits.loc[exits.accuracy.idxmax()]
# then the menus' values are set already, and want no default
clicked = st.session_state.pop("_paper_clicked", False)
with st.container(horizontal=True, vertical_alignment="bottom"):
    first = (
        {} if clicked else {"index": heads.index(start["head"]) if start["head"] in heads else 0}
    )
    head = ui.linked(
        st.selectbox,
        "Head",
        key="head",
        options=heads,
        help=words.head_help(heads),
        width=200,
        **first,
    )
    first = {} if clicked else {"value": int(start.layer)}
    layer = ui.linked(
        st.select_slider,
        "Layer",
        key="layer",
        options=layers,
        help=WORDS["layer"],
        width=320,
        **first,
    )
    zoom = ui.linked(
        st.toggle,
        "Close to the final exit only",
        key="zoom",
        value=False,
        help="Show only exits within 12 points of the final exit, where the curves are crowded.",
    )
    beside = ui.linked(
        st.toggle,
        "The paper's numbers",
        key="beside",
        value=True,
        help="Draw what the paper reports as dashed lines. Only its accuracies are known here, not its MACs.",
    )
ui.recorded_badge(
    bundle,
    f"{bundle.card['n']:,} pictures" if isinstance(bundle.card.get("n"), int) else "every exit",
)
if near is None:
    finding = (
        f"No early exit comes within one point of the final exit's {percent(final['accuracy'])}"
    )
else:
    finding = (
        f"{near['head']} at layer {near.layer} is within one point of the final exit ({percent(near.accuracy)} against "
        f"{percent(final['accuracy'])}) for {100 * near.share:.0f}\u00a0% of its MACs"
    )
said = paper.accuracies(bundle.task) if beside else []
whose = [f"{r.head}, layer {r.layer}" if r.head else f"plain {paper.BACKBONE}" for r in said]
reported = pd.DataFrame(
    [(f"paper reports {r.value:.2%} ({w})", r.value) for r, w in zip(said, whose, strict=True)],
    columns=["text", "accuracy"],
)
figure = draw.accuracy_by_macs(exits, final, reported, (layer, head), finding, zoom)
ui.chart(
    figure,
    alt=f"Accuracy against total MACs of every exit. {finding}.",
    key=CHART,
    on_select=follow_click,
    selection_mode=draw.CLICK,
)
ui.table(
    exits,
    "Every point as a table",
    column_config={
        "accuracy": st.column_config.NumberColumn(
            format="percent", help="On the official test split."
        ),
        "macs": st.column_config.NumberColumn("MACs", format="compact", help=WORDS["macs"]),
        "practical": st.column_config.CheckboxColumn(help=WORDS["practical"]),
        "behind": st.column_config.NumberColumn(
            "points behind", format="%.2f", help="Below the final exit."
        ),
        "share": st.column_config.NumberColumn(
            "share of MACs", format="percent", help="Of the final exit's."
        ),
    },
)
show_exit(bundle, exits, layer, head)
show_beside(bundle.task, bundle.card)
summary = paper.by_head(exits)
most = summary.loc[summary.practical.idxmax()]
told = f"{int(exits.practical.sum())} of {len(exits)} exits are practical; most with {most['head']}, {most.practical} of {most['of']}"
ui.chart(draw.practical_by_head(summary, told), alt=f"Practical exits by head. {told}.")
ui.table(summary, "Heads as a table")
paper_table.show_future_work(bundle)
paper_table.show(bundle)
show_differences(bundle)
ui.export(
    "paper",
    exits,
    bundle,
    {"head": head, "layer": layer, "strategy": bundle.card.get("strategy"), "final": final},
)
