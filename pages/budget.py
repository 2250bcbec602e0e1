"""Moving budget: the time for one answer changes from picture to picture. Who still answers, how
well, and what is wasted?"""

import pandas as pd
import streamlit as st

from mvit.charts import budget as draw
from mvit.policies import budget
from mvit.policies.outcomes import finish_times
from mvit.policies.replay import replay
from mvit.policies.rules import Confidence
from pages import parts as ui
from pages.parts import recorded as recordings
from pages.parts.budget import choice, views
from pages.parts.words import WORDS, exit_list, percent

SURE = 0.9  # confidence at which the anytime exits stop, if they may


@ui.page("Moving budget")
def page() -> None:
    """Choose how the time changes; see who answers."""
    st.markdown(
        "On a phone, a drone, a camera, the time for one answer is never the same twice. **Anytime "
        "exits** keep the latest answer that is ready; the plain network has one answer, at the "
        "very end, or none.",
        help=f"{WORDS['exit']} {WORDS['backbone']}",
    )
    bundle = ui.current(joint=True)
    ui.classes_only(bundle)
    head, name, layer = choice.pick_exits(bundle)
    times = recordings.times(bundle, [head])
    plain_ms = ui.plain(bundle, times["plain"]).ms
    recorded = recordings.predictions(bundle)
    budgets, known, settings = choice.pick_budgets(plain_ms)
    asked = {choice.PLANNED: known, choice.HINDSIGHT: budgets}
    plans = choice.plans(bundle, head, name, times=times, budgets=asked)
    plan, best = plans[name], plans.get(choice.HINDSIGHT)
    cut, final = (layer, head), bundle.model.final_exit
    exits = {*plan, *(best or ()), cut, final}
    test = recorded["test"] if recorded and exits <= set(recorded["test"].exits) else None
    seed = settings.get("seed", 0)
    worth, order = budget.chances(
        exits, len(budgets), test=test, accuracies=bundle.accuracies, seed=seed
    )
    if test is None and not bundle.accuracies:
        st.caption(
            "The card records no accuracies either, so only times and answers in time mean "
            "anything below."
        )
    early = test is not None and ui.linked(
        st.toggle,
        "Anytime exits stop when sure",
        key="stop",
        value=False,
        help=f"Leave at the first exit that is at least {percent(SURE)} sure, even if there is "
        "time left: less work.",
    )

    def simulate(plan: list[tuple[int, str]]) -> list[budget.Outcome]:
        leave = replay(Confidence(SURE), test.select(plan))[order] if early else None
        return budget.three_ways(
            draw.NAMES,
            budgets,
            worth,
            plan=plan,
            final=final,
            cut=cut,
            runs=times["runs"],
            stop=leave,
            seed=seed,
        )

    ways = simulate(plan)
    trace = times["trace"]
    first = [finish_times(trace, plan)[0], plain_ms, finish_times(trace, [cut])[0]]
    with st.container(horizontal=True):
        recordings.times_badge(bundle, times)
        pictures = f"{len(test.truth):,} pictures" if test else "the card's accuracies"
        ui.recorded_badge(bundle, pictures)
        ui.replay_badge("simulated stream of recorded answers")
    if test is not None:
        recordings.few_note(test)
    hindsight = ""
    if best is not None and name != choice.HINDSIGHT:
        right = percent(simulate(best)[0].right.mean(), 1)
        hindsight = (
            f" In hindsight, knowing these very budgets, the best plan was {exit_list(best)}: "
            f"{right} right."
        )
    elif best is not None:
        hindsight = " This plan was made with hindsight: nobody knows these budgets beforehand."
    st.caption(f"Anytime exits run: {exit_list(plan)}.{hindsight}")
    spread = sorted(finish_times(run, [final])[0] for run in times["runs"])
    st.caption(
        f"Each picture takes as long as one of {len(spread)} real runs, drawn at random: a whole "
        f"pass took {spread[0]:.1f} to {spread[-1]:.1f} ms in them."
    )
    table = views.show_stream(budgets, ways, pd.DataFrame({"way": draw.NAMES, "ms": first}))
    if test is not None:
        views.show_split(bundle, head, test, times=times)
    settings |= {
        "head": head,
        "anytime_plan": plan,
        "plan_made": name,
        "finishes_ms": finish_times(trace, plan).round(3).tolist(),
        "plain_network_ms": plain_ms,
        "cut_layer": layer,
        "cut_ms": first[2],
        "stops_when_sure": early,
        "single_runs": len(times["runs"]),
    }
    ui.export("budget", table, bundle, settings=settings)
