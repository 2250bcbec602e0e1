"""Compare heads: every head at every layer on one picture, and two of them - or two pictures - side
by side."""

import pandas as pd
import streamlit as st

from mvit.charts import compare as charts_compare
from mvit.charts import compared
from mvit.charts import style as charts
from mvit.evaluation.unlike import Check
from mvit.inference import explain
from pages import parts as ui
from pages.parts import coarse, columns, unlike, words
from pages.parts.compare.pane import View, clickable, pane

HEADS, PICTURES = "heads", "pictures"
REPEATS = 3
WORDS = words.WORDS
LOOK_HELP = (
    "Which places of the picture spoke for the exit's answer, computed through the layers up to "
    "that exit only.\n\n"
    + "\n".join(f"- **{name}**: {method.about}" for name, method in explain.METHODS.items())
)
OUT = "layer head label guess confidence verdict agrees ms head_ms macs own_macs practical".split()
COLUMNS = {
    "guess": st.column_config.TextColumn(
        "best guess", help="The likeliest single name, where the exit says less."
    ),
    "confidence": st.column_config.NumberColumn(format="percent", help=WORDS["confidence"]),
    "agrees": st.column_config.CheckboxColumn(help="Whether it is the final exit's answer."),
    "ms": st.column_config.NumberColumn("alone ms", format="%.2f", help=WORDS["alone"]),
    "head_ms": st.column_config.NumberColumn(
        "head ms", format="%.2f", help="The exit's own head, without the layers before it."
    ),
    "macs": columns.macs("MACs"),
    "own_macs": columns.macs("head MACs", help="The head's own, without the layers before it."),
    "practical": st.column_config.CheckboxColumn(help=WORDS["practical"]),
}


def traced(name: str, bundle: ui.Bundle, picture: ui.Picture) -> dict:
    """All exits of this picture as "rows", none of which says more than it is sure of; times are
    medians of a few runs. Under "unlike" whether the model knows nothing like it, if its card
    records a check."""
    check = Check.of(bundle.card, bundle.model)

    def work(model) -> dict:
        seen = {}
        runs = [model.traced(picture.pixels, seen=seen) for _ in range(REPEATS)]
        told = {"unlike": check.unlike(seen)} if check else {}
        said = coarse.spoken(bundle, runs[0])
        return {"rows": compared.comparison(model, runs, said, truth=picture.truth)} | told

    # must not move what follows
    with st.container(), st.spinner("Running every head at every layer …", show_time=True):
        return ui.measured(name, bundle, tuple(bundle.heads), work=work, picture=picture)


def controls(bundle: ui.Bundle) -> View:
    """Draw the controls below the map; the way of explaining is chosen further down."""
    best, depth = bundle.heads.index(bundle.best_head), bundle.model.depth
    heads = {"options": bundle.heads, "width": 160, "help": words.head_help(bundle.heads)}
    with st.container(horizontal=True, vertical_alignment="bottom"):
        versus = ui.linked(
            st.segmented_control,
            "Side by side",
            key="compare",
            options=[HEADS, PICTURES],
            default=HEADS if len(bundle.heads) > 1 else PICTURES,
            required=True,
            help="Two heads on one picture, or one head on two pictures.",
        )
        name = "Left head" if versus == HEADS else "Head"
        left = right = ui.linked(st.selectbox, name, key="left", index=best, **heads)
        if versus == HEADS:
            other = 0 if best or len(bundle.heads) == 1 else 1
            heads["help"] = WORDS["head"]  # the left menu shows the pictures
            right = ui.linked(st.selectbox, "Right head", key="right", index=other, **heads)
        layer = ui.linked(
            st.slider,
            "Layer",
            key="layer",
            min_value=1,
            max_value=depth,
            value=depth // 2,
            width=170,
            help=f"{WORDS['layer']} Both sides show this layer; a click in a chart moves it too.",
        )
    return View(versus, left, right, layer=min(max(layer, 1), depth), look="")


def second_picture(bundle: ui.Bundle) -> ui.Picture:
    """The picker of the picture on the right; it starts at another example than the left one."""
    names = list(ui.examples(bundle.task))
    if len(names) > 1 and "second" not in st.query_params:
        st.session_state.setdefault("second", names[1])
    with st.expander("The second picture", expanded=True, icon=":material/image:"):
        return ui.pick_picture(bundle.task, key="second")


def show_costs(rows: pd.DataFrame, layer: int) -> None:
    """Time and work of each head at one layer."""
    st.subheader("What a head costs", anchor=False, help=f"{WORDS['alone']} {WORDS['macs']}")
    places = zip(st.columns(2, gap="medium"), ("ms", "macs"), ("Time", "Work"), strict=True)
    for column, what, name in places:
        said = compared.dearest(rows, layer, what)
        with column:
            figure = charts_compare.cost_bars(rows, layer, what, finding=said)
            ui.chart(figure, alt=f"{name} of each head: {said}.", key=f"cost_{what}")


def show_map(bundle: ui.Bundle, picture: ui.Picture, run: dict, layer: int) -> None:
    """Every head's answer at every layer, and whether all of them agree."""
    rows = run["rows"]
    if unlike_this := unlike.told(bundle, run):
        st.warning(unlike_this, icon=":material/help:")
    finding = compared.agreement(rows)
    if rows.iloc[-1].verdict == charts.WRONG:
        finding += f" (wrong: the right answer is {charts.plain_label(picture.truth)})"
    figure = charts_compare.answer_map(rows, layer, finding)
    alt = f"Answers by head and layer. {finding}."
    clickable(figure, alt, "compare_map", heads=bundle.heads, picture=picture)


def show_sides(
    bundle: ui.Bundle, picture: ui.Picture, rows: pd.DataFrame, view: View
) -> list[tuple[pd.DataFrame, ui.Picture]]:
    """Two heads on one picture or two pictures under one head, side by side; return the exits and
    the picture of each picture that is shown."""
    shown = [(rows, picture)]
    left, right = st.columns(2, gap="medium")
    with right:
        if view.compare == PICTURES:
            second = second_picture(bundle)
            shown.append((traced("compare_second", bundle, second)["rows"], second))
        other_rows, other = shown[-1]
        pane("side_right", bundle, other, rows=other_rows, view=view._replace(left=view.right))
    with left:
        pane("side_left", bundle, picture, rows=rows, view=view)
    return shown


def show_table(bundle: ui.Bundle, shown: list, view: View, run: dict) -> None:
    """All exits as a table, and the files to take away. shown: see `show_sides`."""
    (rows, picture), (_, second) = shown[0], shown[-1]
    out = rows[OUT]
    if view.compare == PICTURES:
        out = pd.concat([r[OUT].assign(picture=p.title) for r, p in shown], ignore_index=True)
    if not out.guess.any():
        out = out.drop(columns="guess")
    ui.table(out, column_config=COLUMNS)
    about = {"picture": picture.title, "second": second.title, "source": picture.source}
    ui.export("compare", out, bundle, settings=view._asdict() | about, run=run)


@ui.page("Compare heads")
def page() -> None:
    st.markdown(
        "Several **heads**, small networks of different kinds, read the same layers. Which one "
        f"knows first?{ui.other_model()}",
        help=f"{WORDS['head']} {WORDS['layer']}",
    )
    ui.classes_only()
    bundle = ui.current()
    if len(bundle.heads) == 1:
        st.caption(
            f"This model has only one kind of head, {bundle.heads[0]}: compare two pictures "
            "instead of two heads."
        )
    stage, middle = st.container(), st.container()
    with middle:
        view = controls(bundle)
        picture = ui.pick_picture(bundle.task)
    with stage:
        run = traced("compare", bundle, picture)
        show_map(bundle, picture, run, layer=view.layer)
    rows = run["rows"]
    plain = ui.plain(bundle, float(rows.iloc[-1].ms))
    with st.container(horizontal=True):
        ui.live_badge(bundle, run)
        ui.plain_badge(plain)
    unlike.way_on(bundle, run)
    st.caption(charts_compare.legend(rows), help=words.head_help(bundle.heads))
    if coarse.exits(bundle, view.left):
        st.caption(coarse.CAUTIOUS)
    ui.classes_note(bundle)
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
    view = view._replace(look=method, plain_network_ms=plain.ms)
    shown = show_sides(bundle, picture, rows, view=view)
    show_costs(rows, view.layer)
    show_table(bundle, shown, view, run=run)
