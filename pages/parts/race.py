"""Two models of one task on one clock, on the same picture."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pandas as pd
import streamlit as st

from mvit.bundles import delta, weights
from mvit.bundles.weights import WeightsError
from mvit.charts import race as charts
from mvit.charts.style import RIGHT, WRONG, plain_label, sure_text, verdicts
from mvit.inference.baseline import Turns, run_in_turn
from mvit.models.exit import Exit
from mvit.models.multi_exit import Plan
from mvit.policies.plans import exits_for_deadlines
from pages import parts as ui
from pages.parts import models
from pages.parts.race_test_set import on_the_test_set
from pages.parts.timeline.runs import Measured, place_name

NOBODY = "nobody"
SHORTEST, LONGEST = 0.1, 10_000.0  # ms
HELP = """Another model of the same task runs on this picture too, both with a few useful exits.
Their runs are timed in turn, A B A B, so that neither is favoured by the machine."""
STOP_HELP = """Both models must answer by then, with what they have: the latest exit that has
finished."""


def panel(bundle: ui.Bundle, picture: ui.Picture, head: str, *, again: bool) -> None:
    """Draw the choice of a second model and, if one is chosen, the race."""
    others = [b for t, b in weights.offers() if t == bundle.task and b != bundle.backbone]
    if not others:
        return
    st.subheader("Two models on one clock", anchor=False)
    against = ui.linked(
        st.selectbox,
        f"Race {bundle.backbone} against",
        key="against",
        options=[NOBODY, *others],
        width=340,
        help=HELP,
    )
    if against == NOBODY:
        st.caption("A small network is ready sooner, a large one may know more. Who is ahead when?")
    elif other := second(bundle, against):
        race((bundle, other), picture, head, again=again)


def second(bundle: ui.Bundle, against: str) -> ui.Bundle | None:
    """The other model; None, and why, if its weights are refused."""
    try:
        with st.spinner("Reading and checking the other model …", show_time=True):
            other = models.load(bundle.task, against, *st.session_state["_choice"][2:])
    except WeightsError as error:
        st.error(str(error), title="These weights were refused", icon=":material/gpp_bad:")
        return None
    for problem in other.problems:
        st.warning(problem, icon=":material/gpp_maybe:")
    return other


def race(both: Sequence[ui.Bundle], picture: ui.Picture, head: str, *, again: bool) -> None:
    """Time two models in turn, and show who has which answer when."""
    bundle, other = both
    run = timed_in_turn(both, picture, head, again=again)
    runs = [
        Measured(exits=own.exits, macs=(), plain_ms=own.plain.median, truth=picture.truth)
        for own in run["runs"]
    ]
    stop = ui.linked(
        st.number_input,
        "Both clocks stop after (ms)",
        key="until",
        min_value=SHORTEST,
        max_value=LONGEST,
        value=math.ceil(10 * runs[0].exits[-1].elapsed_ms) / 10,  # its last answer is in hand
        step=1.0,
        width=200,
        help=STOP_HELP,
    )
    on_the_picture(both, runs, run["runs"], stop=stop)
    how = "Both networks ran on this picture"
    ui.live_badge(bundle, run, "both timed in turn,", how=how)
    if other.grown_from and not bundle.grown_from:
        ui.live_badge(other, run, f"{other.backbone}:", how=how)
    on_the_test_set(both, run["runs"], stop)


def timed_in_turn(
    both: Sequence[ui.Bundle], picture: ui.Picture, head: str, *, again: bool
) -> dict:
    """Both models' runs on the picture, with a few useful exits each, as `ui.measured` gives
    them."""
    bundle, other = both
    plans = [few_exits(one, head) for one in both]
    with st.spinner("Timing both in turn …", show_time=True):
        return ui.measured(
            "race",
            bundle,
            (other.key, files_of(other), tuple(map(tuple, plans))),
            work=lambda model: {
                "runs": run_in_turn([(model, plans[0]), (other.model, plans[1])], picture.pixels)
            },
            picture=picture,
            again=again,
        )


def files_of(bundle: ui.Bundle) -> tuple[str, ...]:
    """What tells a model's files from those that replace them."""
    return tuple(about["sha256"] for about in bundle.card.get("files", {}).values())


def few_exits(bundle: ui.Bundle, head: str) -> Plan:
    """The few exits that are worth running, of the head that the page shows or, where a model has
    not that one, of its best."""
    own = head if head in bundle.heads else bundle.best_head
    return exits_for_deadlines(bundle.model, bundle.accuracies, own)


def on_the_picture(
    both: Sequence[ui.Bundle], runs: Sequence[Measured], turns: Sequence[Turns], *, stop: float
) -> None:
    """Who has which answer when, on the picture."""
    names = [one.backbone for one in both]
    columns = st.columns(2, gap="medium")
    for column, one, run, own in zip(columns, both, runs, turns, strict=True):
        column.metric(
            f"{one.backbone}, in hand after {stop:g} ms", in_hand(run.at(stop), run.truth)
        )
        column.caption(f"{which(one)}. {history(run, own)}")
    rows = pd.concat(
        [
            pd.DataFrame(
                {
                    "model": name,
                    "exit": [place_name(e.layer, e.head) for e in run.exits],
                    "ms": [e.elapsed_ms for e in run.exits],
                    "answer": [plain_label(e.label) for e in run.exits],
                    "verdict": verdicts([e.label for e in run.exits], run.truth),
                    "confidence": [e.confidence for e in run.exits],
                }
            )
            for name, run in zip(names, runs, strict=True)
        ],
        ignore_index=True,
    )
    finding = first_right(names, runs)
    figure = charts.lanes(rows, names, stop_ms=stop, finding=finding)
    ui.chart(figure, alt=f"Answers by time: {finding}.", key="race_lanes")
    ui.table(rows, "Both runs as a table")


def in_hand(exit: Exit | None, truth: str | None) -> str:
    """An answer, how sure it is, and whether it is right; or that there is none."""
    if exit is None:
        return "no answer yet"
    mark = {RIGHT: " ✓", WRONG: " ✗"}.get(verdicts([exit.label], truth)[0], "")
    return f"{plain_label(exit.label)}{mark}, {sure_text(exit.confidence)}"


def settled_ms(run: Measured) -> float | None:
    """When a run has the right answer, or where the truth is not known its own last one, and keeps
    it; None if it never has."""
    wanted = run.truth or run.exits[-1].label
    kept = None
    for exit in reversed(run.exits):
        if exit.label != wanted:
            break
        kept = exit.elapsed_ms
    return kept


def which(bundle: ui.Bundle) -> str:
    """What tells a model from others of its task, for somebody to whom its name says nothing."""
    if bundle.grown_from:
        return f"A larger network that gives {bundle.grown_from}'s answers"
    if of := bundle.card.get("delta"):
        return f"A larger network, grown from {delta.told(of)} and then trained"
    if (how := bundle.card.get("strategy")) == "end-to-end":
        return "Exits and layers were trained together"
    return "The exits were trained after the layers" if how == "classifier-wise" else "Own training"


def history(run: Measured, turns: Turns) -> str:
    """When a run knows, when it ends, and when the plain network does, with the spread of all
    runs."""
    at, known = settled_ms(run), "Right" if run.truth else "Settled"
    first = f"{known} from {at:.1f} ms on" if at is not None else "Wrong at the end"
    done, plain = turns.done, turns.plain
    return (
        f"{first}, in the run of middle length of {done.n}. Its last answer came after "
        f"{run.exits[-1].elapsed_ms:.1f} ms (half of the runs: {done.q1:.1f} to {done.q3:.1f} ms). "
        f"The plain network needs {plain.median:.1f} ms ({plain.q1:.1f} to {plain.q3:.1f} ms)."
    )


def first_right(names: Sequence[str], runs: Sequence[Measured]) -> str:
    """Who knows first, in one sentence."""
    known = "has the right answer for good" if runs[0].truth else "settles on an answer"
    found = {n: ms for n, r in zip(names, runs, strict=True) if (ms := settled_ms(r)) is not None}
    if not found:
        return "Neither ends with the right answer"
    first = min(found, key=found.get)
    said = f"{first} {known} after {found[first]:.1f} ms"
    rest = next(name for name in names if name != first)
    return f"{said}, {rest} " + (f"after {found[rest]:.1f} ms" if rest in found else "never")
