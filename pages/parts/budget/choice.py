"""What the controls of the page on moving budgets choose: the budgets, and the exits that run."""

from __future__ import annotations

import numpy as np
import pandas as pd
import streamlit as st

from mvit.policies import budget
from mvit.policies.plans import BestPlan, best_plan, in_ms, options
from mvit.policies.trace_csv import BudgetError, read_csv
from pages import parts as ui
from pages.parts.budget.stream import SURE
from pages.parts.words import OTHER_AIM, WORDS, percent

UPLOADED = "your own trace"
EXAMPLE = "budget_ms\n12.5\n30\n8"
PLANNED, HINDSIGHT = "planned", "hindsight"
PLANS = [PLANNED, HINDSIGHT, "practical", "all"]
PLANS_HELP = (
    "- **planned**: the exits of highest expected accuracy for budgets of this kind, chosen before "
    "these ones are seen (with your own trace: from its first fifth)\n- **hindsight**: the same, "
    "but chosen for exactly these budgets, which nobody can know beforehand. It rests on the "
    "run of middle length and on expected answers: with the runs and pictures drawn here, others "
    "may still be right more often\n"
    f"- **practical**: all practical exits. {WORDS['practical']}\n- **all**: every layer"
)
WHY = {
    PLANNED: " Of all choices, these are expected to be right most often with budgets of this "
    f"kind; {OTHER_AIM}"
}
ANOTHER = 10_000  # added to the seed for budgets of the same kind that are not these
LIMITS = {
    "min_value": 5,
    "max_value": 300,
    "width": 260,
    "help": "As a share of the plain network's time on this machine.",
}


def pick_exits(bundle: ui.Bundle) -> tuple[str, str, int]:
    """The head, which of its exits run, and the layer of the fixed early cut."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        head = ui.pick_head(bundle)
        exits = ui.linked(
            st.segmented_control,
            "Anytime exits",
            key="exits",
            options=PLANS,
            default=PLANNED,
            required=True,
            help=PLANS_HELP,
        )
        layers = [b for b, _ in bundle.model.exits(head)]
        cut = ui.linked(
            st.select_slider,
            "Fixed early cut at layer",
            key="cut",
            options=layers,
            value=layers[len(layers) // 2],
            width=230,
            help="The network cut off after this layer, with this head as its only answer.",
        )
    return head, exits, cut


def stops_when_sure() -> bool:
    """Whether the anytime exits stop early."""
    return ui.linked(
        st.toggle,
        "Anytime exits stop when sure",
        key="stop",
        value=False,
        help=f"Leave at the first exit that is at least {percent(SURE)} sure, even if there is "
        "time left: less work.",
    )


def _uploaded() -> np.ndarray | None:
    """The visitor's own budgets; after a bad file the last good ones, or None with a word on what
    to do."""
    file = st.file_uploader(
        "A CSV of budgets in milliseconds",
        type=["csv", "txt"],
        key="budget_file",
        help="One budget a line, one for each picture; with several columns, name one budget_ms.",
    )
    if file is not None:
        try:
            st.session_state["_budget_trace"] = read_csv(file.getvalue())
        except BudgetError as error:
            known = "_budget_trace" in st.session_state
            kept = "the trace before it stays" if known else "budgets in steps are shown instead"
            st.error(
                f"{str(error)[0].upper()}{str(error)[1:]}; {kept}.",
                title="This trace cannot be used",
                icon=":material/csv:",
            )
    elif "_budget_trace" not in st.session_state:
        st.caption("Until you give a file, budgets in steps are shown.")
        told = "Three pictures with 12.5, 30 and 8 ms."
        ui.csv_button("An example file", EXAMPLE, "budget", key="budget_example", help=told)
    return st.session_state.get("_budget_trace")


def pick_budgets(plain: float) -> tuple[np.ndarray, np.ndarray, dict]:
    """The controls of the budget: (T,) budgets in ms, those that a plan may be made from, and the
    settings. Limits are shares of the plain network's time, so that a link means the same on a
    faster machine."""
    kind = ui.linked(
        st.pills,
        "The budget",
        key="budget",
        options=[*budget.KINDS, UPLOADED],
        default="bursts",
        required=True,
        wrap=True,
        help="- **steps**: a level holds, then jumps\n- **random walk**: the level drifts\n"
        "- **bursts**: other work takes the machine now and then\n- **your own trace**: a CSV file",
    )
    own = _uploaded() if kind == UPLOADED else None
    if own is not None:
        return own, own[: -(-len(own) // 5)], {"budget": kind, "pictures": len(own)}
    with ui.folded("Limits, length and seed", "low", "high", "pictures", "seed"):
        low, high, n, seed = _limits()
    if low > high:
        ui.notice("The least budget is above the largest, so the two are swapped.")
        low, high = high, low
    shape = kind if kind in budget.KINDS else "steps"
    these, others = (
        budget.series(shape, n, plain * low / 100, high=plain * high / 100, seed=s)
        for s in (seed, seed + ANOTHER)
    )
    settings = {"budget": shape, "pictures": n, "seed": seed}
    return these, others, settings | {"low_percent": low, "high_percent": high}


def _limits() -> tuple[int, int, int, int]:
    with st.container(horizontal=True, vertical_alignment="bottom"):
        least, most = (f"{which} budget, % of plain network" for which in ("Least", "Largest"))
        low = ui.linked(st.slider, least, key="low", value=30, **LIMITS)
        high = ui.linked(st.slider, most, key="high", value=140, **LIMITS)
        n = ui.linked(
            st.select_slider,
            "Pictures",
            key="pictures",
            options=[200, 500, 1000, 2000, 5000],
            value=500,
            width=200,
            help="Length of the stream: recorded test pictures in random order, one budget each.",
        )
        seed = ui.linked_seed(
            "Another seed, another budget and another order of pictures; the same seed, "
            "exactly the same.",
            value=0,
        )
    return low, high, n, seed


@st.cache_data(max_entries=64, show_spinner=False)
def _best(key: tuple, _options: list, _budgets: np.ndarray) -> BestPlan:
    """The plan of highest expected accuracy for these budgets."""
    return best_plan(_options, _budgets)


def plans(
    bundle: ui.Bundle, head: str, name: str, trace: pd.DataFrame, budgets: dict[str, np.ndarray]
) -> dict[str, list[tuple[int, str]]]:
    """The exits that the anytime way runs, and under HINDSIGHT the best plan for these very
    budgets, if the card's accuracies allow to make one. budgets: PLANNED and HINDSIGHT, those that
    each plan is made for."""
    found = {}
    if bundle.accuracies:
        known = in_ms(options(bundle.model, bundle.accuracies, head), trace)
        for kind, values in budgets.items():
            key = (*bundle.key, tuple(known), len(values), hash(values.tobytes()))
            found[kind] = _best(key, known, values).plan
    chosen = bundle.model.plan(head) if name == "all" else bundle.model.practical(head)
    return found | {name: found.get(name, chosen)}
