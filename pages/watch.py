"""Watch exits fire: one picture, twelve layers, and the moment each exit knows its answer."""

import pandas as pd
import streamlit as st

from mvit.charts import style as charts
from mvit.inference.baseline import run_beside_plain
from mvit.models.multi_exit import FINAL
from pages.parts import lamps, words
from pages.parts import shared as ui

SPEEDS = {"1x": 1, "1/10": 10, "1/100": 100}
WORDS = words.WORDS


def work(model) -> dict:
    """One real run, its lamps streamed into `place` as they light; then a few that nobody watches,
    for the times, beside plain passes."""
    seen = []
    for fired in model.run(picture.pixels, plan):
        seen.append(fired)
        lamps.stream(place, seen, plan, picture.truth)
    exits, plain = run_beside_plain(model, picture.pixels, plan)
    return {"exits": exits, "plain": plain}


def as_rows(exits: list, truth: str | None) -> pd.DataFrame:
    """A table of the run, one row an exit, as the charts and the exports want it."""
    said = {True: charts.RIGHT, False: charts.WRONG}
    names = (
        "head",
        "layer",
        "label",
        "confidence",
        "elapsed_ms",
        "ms",
        "head_ms",
        "macs",
        "practical",
    )
    table = pd.DataFrame([{n: getattr(e, n) for n in names} for e in exits])
    table["verdict"] = [charts.UNKNOWN if truth is None else said[e.label == truth] for e in exits]
    table["macs_text"] = table.macs.map(charts.macs_text)
    return table


def settled(exits: list, head: str) -> int:
    """Index of the first exit from which this head and the final exit keep the final answer; see
    the word `settled`."""
    own = [e for e in exits if e.head in (head, FINAL)]
    start = len(own) - 1
    while start > 0 and own[start - 1].label == own[-1].label:
        start -= 1
    return exits.index(own[start])


ui.title("Watch exits fire")
st.markdown(
    "A vision transformer looks at a picture in twelve steps. Behind every step an **exit** already gives an answer: "
    "watch when it knows, how sure it is, and what the answer cost.",
    help=f"{WORDS['backbone']} {WORDS['exit']}",
)
bundle = ui.current()
ui.classes_only(bundle)
picture = ui.pick_picture(bundle.task)
with st.container(horizontal=True, vertical_alignment="bottom"):
    heads = ui.linked(
        st.pills,
        "Heads",
        key="head",
        options=bundle.heads,
        selection_mode="multi",
        wrap=True,
        default=[bundle.best_head],
        help=words.head_help(bundle.heads),
    ) or [bundle.best_head]
    speed = ui.linked(
        st.segmented_control,
        "Replay speed",
        key="speed",
        options=list(SPEEDS),
        default="1/100",
        required=True,
        help="The run is too fast to see. The replay lights the lamps at the measured times, slowed down.",
    )
    again = not ui.hidden("run") and st.button(
        "Run again",
        icon=":material/bolt:",
        key="run",
        help="Run the network on this picture again and measure anew.",
    )

heads = [h for h in bundle.heads if h in heads]
plan = bundle.model.checked(
    [e for e in bundle.model.exits() if e[1] in heads] + [(bundle.model.depth, FINAL)]
)
top = st.container()
place = st.empty()
run = ui.measured("watch", bundle, tuple(heads), work, picture, again)
exits, plain = run["exits"], run["plain"]
rows, first = as_rows(exits, picture.truth), settled(exits, heads[0])
final, known = exits[-1], exits[first]
name = charts.plain_label(final.label)
where = "only at the very end" if known is final else f"from layer {known.layer} on"
finding = f"'{name}' {where}; {charts.sure_text(final.confidence)} sure at the end"
if len(heads) > 1:
    finding = f"{heads[0]}: {finding}"
if picture.truth not in (None, final.label):
    finding += f" (wrong: it is a {charts.plain_label(picture.truth)})"

with top:
    pictures, facts = st.columns([2, 3], gap="medium")
    with pictures.container(horizontal=True):
        st.image(picture.preview, width=168, caption=picture.title, alt=picture.title)
        seen = ui.once(
            "seen",
            (bundle.task, bundle.backbone, picture.key),
            lambda: bundle.model.task.seen(picture.pixels),
        )
        st.image(
            seen,
            width=168,
            caption="What the model sees",
            alt="The reduced picture that the model sees",
        )
    with facts:
        task = bundle.model.task
        st.subheader(finding, help=WORDS["settled"], anchor=False)
        small, large = f"{task.native_px} × {task.native_px}", f"{task.input_px} × {task.input_px}"
        st.caption(
            f"The photo's centre square is reduced to {small} pixels, as the training pictures are, then enlarged to {large}: "
            "that is all the model gets."
        )
        with st.container(horizontal=True):
            st.metric(
                "Settled at",
                f"layer {known.layer}" if known is not final else "the end",
                help=WORDS["settled"],
            )
            st.metric("Settled after", f"{known.elapsed_ms:.1f} ms", help=WORDS["elapsed"])
            st.metric(
                "Final exit",
                f"{final.elapsed_ms:.1f} ms",
                help=f"{WORDS['final']} {WORDS['elapsed']}",
            )
            st.metric("Plain backbone", f"{plain:.1f} ms", help=WORDS["plain"])
with place.container():
    with st.container(horizontal=True):
        ui.live_badge(bundle, run)
        ui.replay_badge(
            "replay of measured times, "
            + ("real time" if speed == "1x" else f"{SPEEDS[speed]}× slower")
        )
    lamps.replay(
        exits,
        plan,
        picture.truth,
        "/".join(map(str, (*bundle.key, picture.key, *heads, run["at"]))),
        SPEEDS[speed],
    )
st.caption(
    "A brighter lamp is a surer exit. ✓ right, ✗ wrong (where the right answer is known). A ring marks a practical exit.",
    help=f"{WORDS['practical']} {WORDS['confidence']}",
)

left, right = st.columns(2, gap="medium")
share = known.elapsed_ms / plain
timing = f"The answer is settled after {known.elapsed_ms:.1f} ms, {100 * share:.0f}\u00a0% of the plain backbone's {plain:.1f} ms"
work = f"{100 * known.macs / final.macs:.0f}\u00a0% of the full {charts.macs_text(final.macs)}"
cost = f"The settled answer costs {charts.macs_text(known.macs)} MACs, {work}"
with left:
    ui.chart(charts.confidence_by_layer(rows, finding), alt=f"Confidence by layer: {finding}.")
with right:
    ui.chart(charts.time_by_layer(rows, plain, timing), alt=f"Elapsed time by layer: {timing}.")
    ui.chart(charts.macs_by_layer(rows, cost), alt=f"Multiply-accumulates by layer: {cost}.")
out = rows.drop(columns="macs_text")
ui.table(
    out,
    column_config={
        "confidence": st.column_config.NumberColumn(
            "confidence", format="percent", help=WORDS["confidence"]
        ),
        "elapsed_ms": st.column_config.NumberColumn(
            "elapsed ms", format="%.2f", help=WORDS["elapsed"]
        ),
        "ms": st.column_config.NumberColumn("alone ms", format="%.2f", help=WORDS["alone"]),
        "head_ms": st.column_config.NumberColumn(
            "head ms", format="%.2f", help="The exit's own head, without the layers before it."
        ),
        "macs": st.column_config.NumberColumn("MACs", format="compact", help=WORDS["macs"]),
        "practical": st.column_config.CheckboxColumn("practical", help=WORDS["practical"]),
    },
)
settings = {
    "heads": heads,
    "replay_speed": speed,
    "picture": picture.title,
    "source": picture.source,
    "plain_backbone_ms": plain,
}
ui.export("watch", out, bundle, settings, run)
