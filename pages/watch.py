"""Watch exits fire: one picture, and the moment each exit knows its answer."""

from collections.abc import Callable, Sequence

import streamlit as st

from mvit.charts import style as charts
from mvit.charts.latency import exit_rows
from mvit.models.exit import Exit
from mvit.models.multi_exit import Plan
from mvit.policies.plans import costs
from pages import parts as ui
from pages.parts import coarse, first, lamps, unlike
from pages.parts.timeline import Measured, timeline
from pages.parts.timeline.page import COLUMNS, HELP, as_measured, pick_exits, pictures_of
from pages.parts.timeline.runs import found, settled_exit, told_exit
from pages.parts.words import WORDS, head_help

HIGH = 220  # pixels of each chart below the first screen
SPEEDS = {"1x": 1, "1/10": 10, "1/100": 100}
SPEED_HELP = "The run is too fast to see. The replay goes through the measured times, slowed down."
AGAIN_HELP = "Run the network on this picture again and measure anew."


def work(
    bundle: ui.Bundle, picture: ui.Picture, plan: Plan, also: Plan, place
) -> Callable[..., dict]:
    """One real run, its lamps streamed into `place` as they light; then a few that nobody watches,
    for the times, beside plain passes, and for the scores of the exits in `also`."""
    measure = ui.beside_plain(bundle, picture.pixels, plan, also=also)

    def runs(model) -> dict:
        seen, macs = [], costs(model, plan)
        for fired in model.run(picture.pixels, plan):
            seen += coarse.spoken(bundle, [fired])
            lamps.stream(place, seen, plan=plan, macs=macs, truth=picture.truth)
        return measure(model)

    return runs


def controls(bundle: ui.Bundle) -> tuple[ui.Picture, list[str], Plan, str, bool]:
    """Draw the controls and return what they say: picture, heads, plan, speed, run again."""
    picture = ui.pick_picture(bundle.task)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        speed = ui.linked(
            st.segmented_control,
            "Replay speed",
            key="speed",
            options=list(SPEEDS),
            default="1/100",
            required=True,
            help=SPEED_HELP,
        )
        heads = ui.linked(
            st.pills,
            "Heads",
            key="head",
            options=bundle.heads,
            selection_mode="multi",
            wrap=True,
            default=[bundle.best_head],
            help=head_help(bundle.heads),
        )
        heads = [h for h in bundle.heads if h in heads] or [bundle.best_head]
        plan, why = pick_exits(bundle, heads)
        again = not ui.hidden("run") and st.button(
            "Run again", icon=":material/bolt:", key="run", help=AGAIN_HELP
        )
    st.caption(why, help=HELP)
    return picture, heads, plan, speed, again


def read_so(bundle: ui.Bundle, run: dict, speed: str) -> None:
    """How the run was measured and is replayed, and how its lamps are read."""
    with st.container(horizontal=True):
        ui.live_badge(bundle, run)
        ui.plain_badge(ui.plain(bundle, run["plain"]))
        slow = "real time" if speed == "1x" else f"{SPEEDS[speed]}× slower"
        ui.replay_badge(f"replay of measured times, {slow}")
    st.caption(
        "A brighter lamp is a surer exit. ✓ right, ✗ wrong, where the right answer is known. A "
        "ring marks a practical exit: it is more accurate than all earlier ones of its head, and "
        "than guessing. Times and MACs (multiply-accumulates, the work) at a lamp count everything "
        "that ran up to it, all exits before it too.",
        help=f"{WORDS['practical']} {WORDS['confidence']} {WORDS['settled']} {WORDS['plain']} "
        "The headline names the first settled exit that is at least 90\u00a0% sure, or, if none "
        "is, the first of all.",
    )


@ui.page(first.TITLE)
def page() -> None:
    first.intro()
    ui.classes_only()
    bundle = ui.current(joint=True)
    stage, below = st.container(), st.container()
    with below:
        picture, heads, plan, speed, again = controls(bundle)
    with stage:
        place, also = st.empty(), coarse.exits(bundle, heads[0])
        run = ui.measured(
            "watch",
            bundle,
            (tuple(plan), also),
            work=work(bundle, picture, plan, also=also, place=place),
            picture=picture,
            again=again,
        )
        measured = as_measured(run, bundle, picture.truth)
        with place.container():
            timeline(
                measured,
                run="/".join(map(str, (*bundle.key, picture.key, *plan, run["at"]))),
                picture=pictures_of(bundle, picture),
                finding=found(measured, heads),
                unknown=unlike.told(bundle, run),
                settled=told_exit(measured.exits, heads[0]),
                slower=SPEEDS[speed],
            )
        unlike.way_on(bundle, run)
    read_so(bundle, run, speed)
    if also:
        st.caption(coarse.CAUTIOUS)
    ui.classes_note(bundle)
    coarse.show(bundle, run["scores"], heads[0])
    rows = exit_rows(run["exits"], measured.macs, picture.truth)
    if also:  # the label is then only a best guess
        rows = rows.assign(says=[charts.plain_label(e.label) for e in measured.exits])
    details(rows, measured, heads)
    settings = {
        "heads": heads,
        "replay_speed": speed,
        "picture": picture.title,
        "source": picture.source,
        "plain_network_ms": measured.plain_ms,
    }
    ui.export("watch", rows, bundle, settings=settings, run=run)


def work_told(known: Exit, final: Exit, whose: str = "", *, cautious: bool = False) -> str:
    """What it takes to run the network only as far as the exit where its answer is settled. whose:
    the exit's head, where there are several. cautious: whether exits say no more than they are sure
    of."""
    whole = f"the plain network's {charts.macs_text(final.macs)} MACs"
    answer = "answer (no more than an exit is sure of)" if cautious else "answer"
    if known is final:
        own = f"{whose}'s" if whose else "The"
        return f"{own} {answer} is settled only at the final exit, which takes {whole}"
    own, its = (f"{whose}'s", "its") if whose else ("the", "the")
    return (
        f"With only {own} exit after layer {known.layer}, where {its} {answer} settles, the "
        f"network takes {charts.macs_text(known.macs)} MACs: "
        f"{100 * known.macs / final.macs:.0f}\u00a0% of {whole}"
    )


def details(rows, measured: Measured, heads: Sequence[str]) -> None:
    """The run by layer, and each exit alone."""
    known, final = settled_exit(measured.exits, heads[0]), rows.iloc[-1]
    rows = rows.assign(
        label=rows.label.map(charts.plain_label), macs_text=rows.macs.map(charts.macs_text)
    )
    left, right = st.columns(2, gap="medium")
    verb = "Best guesses: the final exit's is" if "says" in rows else "The final exit says"
    sure = f"{verb} {charts.plain_label(final.label)}, {charts.sure_text(final.confidence)} sure"
    with left:
        shown = charts.confidence_by_layer(rows, sure).properties(height=HIGH)
        ui.chart(shown, alt=f"Confidence by layer: {sure}.")
    with right:
        whose, cautious = heads[0] if len(heads) > 1 else "", "says" in rows
        cost = work_told(known, measured.exits[-1], whose, cautious=cautious)
        shown = charts.macs_by_layer(rows, cost).properties(height=HIGH)
        ui.chart(shown, alt=f"Multiply-accumulates by layer: {cost}.")
    ui.table(
        rows.drop(columns="macs_text"),
        "Every exit: with all exits before it, and alone",
        column_config=COLUMNS,
    )
