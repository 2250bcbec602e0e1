"""Moving budget: the time for one answer changes from picture to picture. Who still answers, how
well, and what is wasted?"""

import streamlit as st

from mvit.policies.outcomes import finish_times
from pages import parts as ui
from pages.parts import recorded as recordings
from pages.parts.budget import choice, split, views
from pages.parts.budget.stream import Stream
from pages.parts.words import WORDS, exit_list


@ui.page("Moving budget")
def page() -> None:
    """Choose how the time changes; see who answers."""
    st.markdown(
        "On a phone, a drone or a camera, the time for one answer is never the same twice. "
        "**Anytime exits** keep the latest answer that is ready; the plain network has one answer, "
        "at the very end, or none.",
        help=f"{WORDS['exit']} {WORDS['backbone']}",
    )
    ui.classes_only()
    bundle = ui.current(joint=True)
    head, made, layer = choice.pick_exits(bundle)
    times = recordings.times(bundle, [head])
    trace, final, cut = recordings.medians(times["runs"]), bundle.model.final_exit, (layer, head)
    plain_ms = float(trace.ms.iloc[-1])
    recorded = recordings.predictions(bundle)
    budgets, known, settings = choice.pick_budgets(plain_ms)
    asked = {choice.PLANNED: known, choice.HINDSIGHT: budgets}
    plans = choice.plans(bundle, head, made, trace=trace, budgets=asked)
    plan, best = plans[made], plans.get(choice.HINDSIGHT)
    exits = {*plan, cut, final}
    answered = recorded is not None and exits <= set(recorded["test"].exits)
    stream = Stream(
        budgets=budgets,
        runs=times["runs"],
        trace=trace,
        test=recorded["test"] if answered else None,
        accuracies=bundle.accuracies,
        cut=cut,
        final=final,
        stops_when_sure=answered and choice.stops_when_sure(),
        seed=settings.get("seed", 0),
    )
    views.show_sources(bundle, stream, times)
    hindsight = views.in_hindsight(stream, plan, best, chosen=made == choice.HINDSIGHT)
    st.caption(f"Anytime exits run: {exit_list(plan)}.{choice.WHY.get(made, '')}{hindsight}")
    table = views.show_stream(stream, plan)
    if answered:
        split.show(bundle, head, stream.test, trace=trace)
    settings |= {
        "head": head,
        "anytime_plan": plan,
        "plan_made": made,
        "finishes_ms": finish_times(trace, plan).round(3).tolist(),
        "plain_network_ms": plain_ms,
        "cut_layer": layer,
        "cut_ms": finish_times(trace, [cut])[0],
        "stops_when_sure": stream.stops_when_sure,
        "single_runs": len(stream.runs),
    }
    ui.export("budget", table, bundle, settings=settings)
