"""Compare heads: every head at every layer on one picture, and two of them - or two pictures - side
by side."""

import pandas as pd
import streamlit as st

from mvit.charts import compare as charts_compare
from mvit.charts import style as charts
from mvit.images.draw import overlay
from mvit.inference import explain
from pages.parts import shared as ui
from pages.parts import words

HEADS, PICTURES = "heads", "pictures"
REPEATS = 3
WORDS = words.WORDS
LOOK_HELP = (
    "Which places of the picture spoke for the exit's answer, computed through the layers up to that exit only.\n\n"
    + "\n".join(f"- **{name}**: {method.about}" for name, method in explain.METHODS.items())
)


def take_click(chart: str) -> None:
    """Move the shared layer (and on the map the left head) to what was clicked in a chart; a click
    beside it changes nothing."""
    for cell in st.session_state[chart].selection.get(charts_compare.CELL, []):
        st.session_state["layer"] = int(cell[charts_compare.PICKED])
        if cell.get("head") in bundle.heads:
            st.session_state["left"] = cell["head"]


def clickable(figure, alt: str, key: str) -> None:
    """A chart in which a click picks the layer, unless the link hides that control."""
    if ui.hidden("layer"):
        ui.chart(figure, alt, key)
    else:
        ui.chart(figure, alt, key, on_select=lambda: take_click(key))


def traced(name: str, picture: ui.Picture) -> dict:
    """All exits of this picture as "rows"; times are medians of a few runs."""

    def work(model) -> dict:
        return {
            "rows": charts_compare.comparison(
                model, [model.trace(picture.pixels) for _ in range(REPEATS)], picture.truth
            )
        }

    return ui.measured(name, bundle, tuple(bundle.heads), work, picture)


def looked_at(name: str, picture: ui.Picture, head: str):
    """What the model sees with what the exit looks at laid over it."""

    def make():
        with st.container(), st.spinner("Asking what the exit looks at …", show_time=True):
            heat = ui.inference(
                bundle, lambda model: explain.attribute(model, picture.pixels, layer, head, method)
            )
        return overlay(bundle.model.task.seen(picture.pixels), heat)

    return ui.once(name, (*bundle.key, picture.key, head, layer, method), make)


def pane(name: str, picture: ui.Picture, rows: pd.DataFrame, head: str) -> None:
    """One side: what this exit says about this picture, what it looks at, and how its head's answer
    grows."""
    fired = rows[(rows["head"] == head) & (rows.layer == layer)].iloc[0]
    final = rows.iloc[-1]
    verdict = {charts.RIGHT: ", right ✓", charts.WRONG: ", wrong ✗"}.get(fired.verdict, "")
    st.subheader(
        f"{head} after layer {layer}: '{fired.answer}'{verdict}",
        anchor=False,
        help=words.about(head),
    )
    look, numbers = st.columns([3, 2], gap="small")
    with look:
        said = f"{picture.title}: what {head} after layer {layer} looks at for '{fired.answer}'"
        st.image(
            looked_at(name, picture, head),
            width=224,
            caption=f"{picture.title}: bright is what spoke for '{fired.answer}'",
            alt=said,
        )
    with numbers:
        st.metric("Confidence", f"{100 * fired.confidence:.0f} %", help=WORDS["confidence"])
        st.metric("This exit alone", f"{fired.ms:.1f} ms", help=WORDS["alone"])
        st.metric(
            "Final exit says",
            final.answer,
            "the same" if fired.agrees else "differs",
            delta_color="off",
            delta_arrow="off",
            help=WORDS["final"],
        )
    own = rows[rows["head"] == head]
    keeps = next((b for b in own.layer if own[own.layer >= b].agrees.all()), None)
    finding = (
        f"{head} gives the final answer from layer {keeps} on"
        if keeps
        else f"{head} does not end at the final answer"
    )
    clickable(
        charts_compare.pane_line(rows, head, layer, finding),
        f"Confidence by layer: {finding}.",
        f"{name}_line",
    )


ui.title("Compare heads")
st.markdown(
    "Several kinds of **head** can read the same layer, and each sees something else in it. "
    "Here they all answer for one picture: who knows first, who is sure, and what each looks at.",
    help=f"{WORDS['head']} {WORDS['layer']}",
)
bundle = ui.current()
ui.classes_only(bundle)
picture = ui.pick_picture(bundle.task)
with st.container(horizontal=True, vertical_alignment="bottom"):
    versus = ui.linked(
        st.segmented_control,
        "Side by side",
        key="compare",
        options=[HEADS, PICTURES],
        default=HEADS,
        required=True,
        help="Two heads on one picture, or one head on two pictures.",
    )
    left = ui.linked(
        st.selectbox,
        "Left head" if versus == HEADS else "Head",
        key="left",
        options=bundle.heads,
        width=160,
        index=bundle.heads.index(bundle.best_head),
        help=words.head_help(bundle.heads),
    )
    right = left
    if versus == HEADS:
        other = next((i for i, h in enumerate(bundle.heads) if h != bundle.best_head), 0)
        right = ui.linked(
            st.selectbox,
            "Right head",
            key="right",
            options=bundle.heads,
            index=other,
            width=160,
            help=words.head_help(bundle.heads),
        )
    depth = bundle.model.depth
    layer = ui.linked(
        st.slider,
        "Layer",
        key="layer",
        min_value=1,
        max_value=depth,
        value=depth // 2,
        width=280,
        help=f"{WORDS['layer']} Both sides show this layer; a click in a chart moves it too.",
    )
layer = min(max(layer, 1), depth)

# must not move what follows
with st.container(), st.spinner("Running every head at every layer …", show_time=True):
    run = traced("compare", picture)
rows = run["rows"]
finding = charts_compare.agreement(rows)
if picture.truth is not None and rows.iloc[-1].label != picture.truth:
    finding += f" (wrong: it is a {charts.plain_label(picture.truth)})"
with st.container(horizontal=True):
    ui.live_badge(bundle, run)
    ui.recorded_badge(bundle, "for the rings")
clickable(
    charts_compare.answer_map(rows, layer, finding),
    f"Answers by head and layer. {finding}.",
    "compare_map",
)

second, other_rows = picture, rows
method = ui.linked(
    st.pills,
    "What it looks at",
    key="look",
    options=list(explain.METHODS),
    default="tokens",
    required=True,
    wrap=True,
    help=LOOK_HELP,
)
sides = st.columns(2, gap="medium")
if versus == PICTURES:
    names = list(ui.examples(bundle.task))
    # two pictures alike would compare nothing
    if len(names) > 1 and "second" not in st.query_params:
        st.session_state.setdefault("second", names[1])
    with sides[1].expander("The second picture", expanded=True, icon=":material/image:"):
        second = ui.pick_picture(bundle.task, key="second")
    other_rows = traced("compare_second", second)["rows"]
with sides[0]:
    pane("side_left", picture, rows, left)
with sides[1]:
    pane("side_right", second, other_rows, right)

st.subheader("What a head costs", anchor=False, help=f"{WORDS['alone']} {WORDS['macs']}")
for column, what, name in zip(
    st.columns(2, gap="medium"), ("ms", "macs"), ("Time", "Work"), strict=True
):
    said = charts_compare.dearest(rows, layer, what)
    with column:
        ui.chart(
            charts_compare.cost_bars(rows, layer, what, said),
            alt=f"{name} of each head: {said}.",
            key=f"cost_{what}",
        )
out = rows[
    [
        "layer",
        "head",
        "label",
        "confidence",
        "verdict",
        "agrees",
        "ms",
        "head_ms",
        "macs",
        "own_macs",
        "practical",
    ]
]
if versus == PICTURES:
    out = pd.concat(
        [out.assign(picture=picture.title), other_rows[out.columns].assign(picture=second.title)],
        ignore_index=True,
    )
ui.table(
    out,
    column_config={
        "confidence": st.column_config.NumberColumn(
            "confidence", format="percent", help=WORDS["confidence"]
        ),
        "agrees": st.column_config.CheckboxColumn(
            "agrees", help="Whether it is the final exit's answer."
        ),
        "ms": st.column_config.NumberColumn("alone ms", format="%.2f", help=WORDS["alone"]),
        "head_ms": st.column_config.NumberColumn(
            "head ms", format="%.2f", help="The exit's own head, without the layers before it."
        ),
        "macs": st.column_config.NumberColumn("MACs", format="compact", help=WORDS["macs"]),
        "own_macs": st.column_config.NumberColumn(
            "head MACs", format="compact", help="The head's own, without the layers before it."
        ),
        "practical": st.column_config.CheckboxColumn("practical", help=WORDS["practical"]),
    },
)
settings = {
    "compare": versus,
    "left": left,
    "right": right,
    "layer": layer,
    "look": method,
    "picture": picture.title,
    "second": second.title,
    "source": picture.source,
}
ui.export("compare", out, bundle, settings, run)
