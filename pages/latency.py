"""Latency slider: the answer whenever the clock stops - replayed at once in a chart, and for real
by interrupting the network."""

from statistics import quantiles

import pandas as pd
import streamlit as st

from mvit.charts import latency as charts_latency
from mvit.charts import style as charts
from mvit.inference.baseline import run_beside_plain
from mvit.inference.deadline import Answer, answer_by
from mvit.models.multi_exit import FINAL
from pages.parts import shared as ui
from pages.parts import words

PRACTICAL, ALL = "practical exits", "all layers"
REPEATS = 30
LONGEST = 2000.0  # ms; no bundled model needs as long on a CPU
WORDS = words.WORDS
# The chart's own slider is 129 px wide unless told otherwise, which is too short to aim with.
WIDE = "<style>.vega-bind input[type=range] { width: min(36rem, 45vw); }</style>"
DEADLINE_HELP = """When the clock runs out, in milliseconds after the run began. Whatever exit has finished by then answers.
Type it here to share it by link, or to interrupt a real run there; the slider in the chart only replays."""


def work(model) -> dict:
    """An uninterrupted run, and the plain backbone's time on the same picture."""
    exits, plain = run_beside_plain(model, picture.pixels, plan)
    return {"exits": exits, "plain": plain}


def interrupt(picture: ui.Picture, plan: list, deadline: float) -> tuple[Answer, Answer]:
    """One real run interrupted at the deadline, and the backbone without exits interrupted at the
    same deadline."""

    def work(model) -> tuple[Answer, Answer]:
        alone = [(model.depth, FINAL)]
        return answer_by(model, picture.pixels, deadline, plan), answer_by(
            model, picture.pixels, deadline, alone
        )

    return ui.inference(bundle, work)


def place_name(place: tuple[int, str] | None) -> str:
    """An exit as a person calls it."""
    if place is None:
        return "nothing"
    return "the final exit" if place[1] == FINAL else f"{place[1]} after layer {place[0]}"


def show_answer(answer: Answer, name: str, truth: str | None) -> None:
    """One side of the real run: what was in hand at the deadline."""
    st.markdown(f"**{name}**")
    if not answer.ready:
        st.info(f"No answer yet: {answer.message}.", icon=":material/hourglass_empty:")
    else:
        label, fired = charts.plain_label(answer.exit.label), answer.exit
        verdict = "" if truth is None else (" ✓ right" if fired.label == truth else " ✗ wrong")
        st.success(
            f"'{label}', {100 * fired.confidence:.0f} % sure, from {place_name((fired.layer, fired.head))}.{verdict}",
            icon=":material/check:",
        )
    with st.container(horizontal=True):
        ready = f"{answer.exit.elapsed_ms:.1f} ms" if answer.ready else "-"
        st.metric(
            "Answer ready", ready, help="When the answering exit had finished, after the run began."
        )
        st.metric(
            "In hand",
            f"{answer.answered_ms:.2f} ms",
            help="When the caller had the answer, or knew that there was none.",
        )
        st.metric(
            "Overshoot",
            f"{answer.overshoot_ms:.2f} ms",
            help="From the deadline to the moment the caller had the answer.",
        )
    late = ", ".join(place_name((e.layer, e.head)) for e in answer.late)
    stopped = (
        "the run was over"
        if answer.in_flight is None
        else f"working towards {place_name(answer.in_flight)}"
    )
    st.caption(
        f"Finished too late: {late or 'nothing'}. When the clock ran out: {stopped}; "
        f"layers begun in vain: {max(0, answer.wasted_blocks)}."
    )


def begin_repeats() -> None:
    """The button's callback: forget the last series and want a new one."""
    st.session_state["_latency_series"] = {"key": series_key, "answers": [], "want": REPEATS}


def stop_repeats() -> None:
    """The Stop button's callback: be content with what there is."""
    series = st.session_state["_latency_series"]
    series["want"] = len(series["answers"])


def repeat(picture: ui.Picture, plan: list, deadline: float) -> list[Answer]:
    """The runs of the present series; goes on with it, under a progress bar, until it is complete
    or stopped."""
    series = st.session_state.get("_latency_series")
    if not series or series["key"] != series_key:
        return []
    answers, want = series["answers"], series["want"]
    if len(answers) < want:
        with st.container(horizontal=True, vertical_alignment="center"):
            bar = st.progress(len(answers) / want, "Interrupting real runs …")
            st.button(
                "Stop",
                icon=":material/stop:",
                key="stop",
                on_click=stop_repeats,
                help="Keep the runs so far and stop here.",
            )
        while len(answers) < want:
            answers.append(
                ui.inference(bundle, lambda model: answer_by(model, picture.pixels, deadline, plan))
            )
            bar.progress(len(answers) / want, f"{len(answers)} of {want} real runs")
        st.rerun()  # draws the finished series without bar and Stop button
    return answers


ui.title("Latency slider")
st.markdown(
    "The clock may stop at any moment. A network with exits always has its **latest finished answer** in hand; "
    "the same network without exits has nothing until the very end.",
    help=f"{WORDS['exit']} {WORDS['backbone']}",
)
bundle = ui.current()
ui.classes_only(bundle)
picture = ui.pick_picture(bundle.task)
with st.container(horizontal=True, vertical_alignment="bottom"):
    head = ui.linked(
        st.selectbox,
        "Head",
        key="exit_head",
        options=bundle.heads,
        index=bundle.heads.index(bundle.best_head),
        width=180,
        help=words.head_help(bundle.heads),
    )
    which = ui.linked(
        st.segmented_control,
        "Exits to run",
        key="exits",
        options=[PRACTICAL, ALL],
        default=PRACTICAL,
        required=True,
        help=f"{WORDS['practical']} Running exits that add nothing only delays the later ones.",
    )
plan = bundle.model.practical(head) if which == PRACTICAL else bundle.model.plan(head)
where = (*bundle.key, picture.key, tuple(plan))
# what waits in there must not move what follows
with st.container(), st.spinner("Measuring a run …", show_time=True):
    run = ui.measured("latency", bundle, tuple(plan), work, picture)
rows, plain = charts_latency.timeline_rows(run["exits"], picture.truth), run["plain"]

with st.container(horizontal=True, vertical_alignment="bottom"):
    start = float(min(max(round(0.6 * plain, 1), 0.1), LONGEST))
    deadline = ui.linked(
        st.number_input,
        "Deadline, ms",
        key="deadline",
        min_value=0.1,
        max_value=LONGEST,
        value=start,
        step=1.0,
        format="%.1f",
        width=180,
        help=DEADLINE_HELP,
    )
    deadline = start if deadline is None else float(deadline)
    again = not ui.hidden("run") and st.button(
        "Run it for real",
        icon=":material/bolt:",
        key="run",
        help="Start the network and interrupt it at this deadline.",
    )
    series_key = (*where, deadline)
    if not ui.hidden("repeat"):
        st.button(
            f"{REPEATS} real runs",
            icon=":material/repeat:",
            key="repeat",
            on_click=begin_repeats,
            help="The same interruption many times: how much the answer varies, and how late it comes at worst.",
        )

found = charts_latency.answer_at(rows, deadline)
final = rows.iloc[-1]
if found is None:
    finding = f"At {deadline:g} ms no exit has finished; the first is ready at about {rows.elapsed_ms.iloc[0]:.1f} ms"
else:
    finding = f"At {deadline:g} ms: '{charts.plain_label(found.label)}' from {place_name((found.layer, found['head']))}"
    finding += f"; without exits nothing before {plain:.1f} ms" if deadline < plain else ""
with st.container(horizontal=True):
    ui.live_badge(bundle, run)
    ui.replay_badge("replay of that measured run at any deadline")
st.html(WIDE)
ui.chart(
    charts_latency.timeline(rows, plain, deadline, finding),
    alt=f"Confidence over time with a deadline. {finding}.",
    key="timeline",
)

st.subheader(
    "For real",
    anchor=False,
    help="The network is started and interrupted: nothing here is a replay.",
)
st.session_state["_latency_clicks"] = st.session_state.get("_latency_clicks", 0) + bool(again)
with st.container(), st.spinner("Interrupting a real run …", show_time=True):
    answer, static = ui.once(
        "latency_real",
        (*series_key, st.session_state["_latency_clicks"]),
        lambda: interrupt(picture, plan, deadline),
    )
ui.live_badge(bundle)
for note in {answer.note, static.note} - {""}:
    st.warning(f"{note[0].upper()}{note[1:]}.", icon=":material/memory_alt:")
for column, one, name in zip(
    st.columns(2, gap="medium"), (answer, static), ("With exits", "Without exits"), strict=True
):
    with column:
        show_answer(one, f"{name}, interrupted at {deadline:g} ms", picture.truth)

answers = repeat(picture, plan, deadline)
if answers:
    runs = charts_latency.repeat_rows(answers)
    left, right = st.columns(2, gap="medium")
    said = charts_latency.spread(runs, deadline)
    with left:
        ui.chart(
            charts_latency.strip(runs, deadline, bundle.model.depth, said),
            alt=f"Repeated real runs. {said}.",
            key="strip",
        )
    over = runs.overshoot_ms.tolist()
    p95 = quantiles(over, n=20, method="inclusive")[-1] if len(over) > 1 else over[0]
    late = f"The answer was in hand at most {max(over):.2f} ms after the deadline, mostly (95\u00a0% of runs) within {p95:.2f} ms"
    with right:
        ui.chart(
            charts_latency.overshoot(runs, late),
            alt=f"Overshoot of repeated runs. {late}.",
            key="overshoot",
        )
    ui.table(runs, "Every real run as a table")

ui.table(
    rows,
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
    },
)
real = charts_latency.repeat_rows([answer, *answers]).assign(
    kind=["single", *["repeated"] * len(answers)]
)
out = pd.concat([rows.assign(kind="measured"), real], ignore_index=True)
settings = {
    "head": head,
    "exits": which,
    "deadline_ms": deadline,
    "plain_backbone_ms": plain,
    "picture": picture.title,
    "source": picture.source,
    "final": final.label,
}
ui.export("latency", out, bundle, settings, run)
