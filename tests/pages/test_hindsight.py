"""What the page on moving budgets says of the plan made with hindsight."""

import re

import numpy as np
import pandas as pd
import pytest
from visit import open_app, well

from mvit.policies.plans import Option
from pages.parts.budget import choice, views
from pages.parts.budget.stream import Stream

EARLY, LATE, FINAL = (3, "mlp"), (6, "mlp"), (12, "final")
RIGHT = {EARLY: 0.6, LATE: 0.8, FINAL: 0.9}
RUN = pd.DataFrame(
    [(*EARLY, 31.0, 1.0), (*LATE, 61.0, 1.0), (*FINAL, 120.0, 0.0)],
    columns=["layer", "head", "ms", "head_ms"],
)


def stream(budgets) -> Stream:
    return Stream(
        budgets=np.array(budgets, float),
        runs=[RUN],
        trace=RUN,
        test=None,
        accuracies=RIGHT,
        cut=EARLY,
        final=FINAL,
        stops_when_sure=False,
        seed=0,
    )


def best(budgets) -> list:
    rows = RUN.assign(right=RIGHT.values()).itertuples()
    known = [
        Option(r.layer, r.head, r.right, backbone=r.ms - r.head_ms, own=r.head_ms) for r in rows
    ]
    return choice._best(("a key", *budgets), known, np.array(budgets, float)).plan


def test_a_rare_small_budget_counts_in_the_plan():
    # one picture in 200: no share of the pictures that is rounded to whole per cents shows it
    assert best([40.0] + [130.0] * 199) == [EARLY, FINAL]


def test_hindsight_and_the_plan_that_runs_are_judged_alike():
    budgets = [40.0, 65.0, 65.0, 130.0]
    plan = best(budgets)
    assert plan == [EARLY, LATE, FINAL]
    # at 40, 65, 65 and 130 ms: 0.6, 0.8, 0.8, 0.9; the other 0, 0.8, 0.8, 0.9
    told = views.in_hindsight(stream(budgets), [LATE, FINAL], plan, chosen=False)
    assert told.endswith(
        "would have been layer 3, layer 6, final: expected to be right in 77.5\u00a0% of the "
        "cases, these exits in 62.5\u00a0%."
    )


@pytest.mark.parametrize("plan", [[LATE, FINAL], [EARLY, LATE, FINAL]])
def test_a_choice_that_expects_as_much_is_not_said_to_be_worse(plan):
    budgets = [65.0, 130.0]
    told = views.in_hindsight(stream(budgets), plan, best(budgets), chosen=False)
    assert told == " Knowing these very budgets beforehand would hardly have helped."


def test_nothing_is_said_where_nothing_is_expected():
    for plan, known in (([LATE], None), ([(9, "mlp")], [LATE])):
        assert views.in_hindsight(stream([65.0]), plan, known, chosen=False) == ""


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("kind", ["bursts", "steps"])
def test_hindsight_is_never_below_the_plan_on_the_page(kind, seed, recorded):
    app = well(open_app("budget", budget=kind, seed=str(seed), exits="practical"))
    said = next(c.value for c in app.caption if c.value.startswith("Anytime exits run"))
    shares = [float(s) for s in re.findall(r"([\d.]+)\u00a0%", said)]
    assert shares == sorted(shares, reverse=True)
    assert len(shares) == (0 if said.endswith("would hardly have helped.") else 2)
