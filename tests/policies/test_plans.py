"""Plans: exact against trying every subset, and as a user would expect."""

import time
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from thin import thin_model

from mvit.models.multi_exit import FINAL
from mvit.policies.plans import (
    Option,
    best_head,
    best_plan,
    costs,
    exits_for_deadlines,
    in_ms,
    options,
)


def value_of(plan, budgets, weights, nothing=0.0):
    """Expected accuracy of a plan, straight from the definition."""
    finishes, heads = [], 0.0
    for option in plan:
        heads += option.own
        finishes.append(option.backbone + heads)
    earned = 0.0
    for budget, weight in zip(budgets, weights, strict=True):
        done = [o.accuracy for o, t in zip(plan, finishes, strict=True) if t <= budget]
        earned += weight * (done[-1] if done else nothing)
    return earned / sum(weights)


ladder = [Option(b, "mlp", 0.3 + 0.05 * b, backbone=10.0 * b, own=2.0) for b in range(1, 13)]


def test_one_budget_needs_one_exit():
    assert best_plan(ladder, [65]).plan == [(6, "mlp")]
    assert best_plan(ladder, [62]).plan == [(6, "mlp")]
    assert best_plan(ladder, [61.9]).plan == [(5, "mlp")]
    assert best_plan(ladder, [1e9]).expected == pytest.approx(0.9)


def test_two_budgets_need_at_most_two_exits_and_the_first_delays_the_second():
    found = best_plan(ladder, [35, 124])
    assert found.plan == [(3, "mlp"), (12, "mlp")] and found.finishes == [32, 124]
    # after the first head, the last exit comes at 124
    assert best_plan(ladder, [35, 123]).plan == [(3, "mlp"), (11, "mlp")]


def test_weights_decide_what_is_given_up():
    two = [Option(1, "mlp", 0.5, backbone=10, own=10), Option(2, "mlp", 0.9, backbone=20, own=10)]
    assert best_plan(two, [25, 35], [1, 9]).plan == [(2, "mlp")]
    assert best_plan(two, [25, 35], [9, 1]).plan == [(1, "mlp")]


def test_an_exit_worse_than_an_earlier_one_is_never_run():
    found = best_plan(
        [
            Option(1, "mlp", 0.8, backbone=10, own=1),
            Option(2, "mlp", 0.7, backbone=20, own=1),
            Option(3, "mlp", 0.9, backbone=30, own=1),
        ],
        [12, 25, 40],
    )
    assert found.plan == [(1, "mlp"), (3, "mlp")]


def test_a_budget_too_short_for_any_exit_still_gives_a_plan():
    found = best_plan(ladder, [1.0], nothing=0.1)
    assert len(found.plan) == 1 and found.expected == pytest.approx(0.1)


bad_budgets = [
    ([], None),
    ([0], None),
    ([-1, 2], None),
    ([float("nan")], None),
    ([1], [0]),
    ([1, 2], [1]),
    ([1], [-1]),
]


@pytest.mark.parametrize("budgets, weights", bad_budgets)
def test_budgets_that_are_none_are_refused(budgets, weights):
    with pytest.raises(ValueError, match="budget"):
        best_plan(ladder, budgets, weights)


def test_no_exits_no_plan():
    with pytest.raises(ValueError, match="no exits"):
        best_plan([], [5])


cost = st.integers(0, 12).map(float)
some_stops = st.lists(
    st.tuples(st.integers(1, 70).map(float), st.integers(1, 5)), min_size=1, max_size=6
)
some_options = st.lists(
    st.tuples(st.integers(1, 4), st.integers(1, 9), cost), min_size=1, max_size=6
)


@settings(max_examples=300, deadline=None)
@given(some_options, some_stops, st.sampled_from([0.0, 0.1]))
def test_no_subset_of_exits_is_better(raw, stops, nothing):
    exits = [
        Option(layer, f"h{i}", a / 10, backbone=10.0 * layer, own=own)
        for i, (layer, a, own) in enumerate(sorted(raw))
    ]
    budgets, weights = zip(*stops, strict=True)
    found = best_plan(exits, budgets, weights, nothing)
    every = [list(c) for k in range(1, len(exits) + 1) for c in combinations(exits, k)]
    best = max(value_of(p, budgets, weights, nothing) for p in every)
    chosen = [next(o for o in exits if (o.layer, o.head) == e) for e in found.plan]
    assert found.expected == pytest.approx(best, abs=1e-9)
    assert value_of(chosen, budgets, weights, nothing) == pytest.approx(best, abs=1e-9)


def test_eighty_four_exits_and_twenty_budgets_take_no_longer_than_a_page_may():
    rng = np.random.default_rng(0)
    pairs = [(b, f"h{h}") for b in range(1, 13) for h in range(7)]
    many = [
        Option(
            b, h, 0.3 + 0.05 * b + 0.02 * rng.random(), backbone=10.0 * b, own=1 + 3 * rng.random()
        )
        for b, h in pairs
    ]
    start = time.thread_time()  # not wall time: other programs may be busy
    assert best_plan(many, np.linspace(5, 150, 20)).expected > 0.5
    # seconds of work; about 0.2 on an idle core, and years where every plan is tried
    assert time.thread_time() - start < 5


def test_costs_add_up_the_heads_run_so_far():
    model = thin_model()
    plan = [(2, "mlp"), (2, "resmlp"), (12, FINAL)]
    own = [model.exit_macs(*e) - model.backbone_macs.up_to(e[0]) for e in plan]
    assert costs(model, plan).tolist() == [
        model.backbone_macs.up_to(2) + own[0],
        model.backbone_macs.up_to(2) + own[0] + own[1],
        model.backbone_macs.up_to(12) + sum(own),
    ]
    assert costs(model, [(12, FINAL)]).tolist() == [model.backbone_macs.total]


def test_options_come_from_the_model_and_its_card():
    model = thin_model()
    model.practical_exits = frozenset({(2, "mlp"), (5, "mlp"), (5, "resmlp")})
    known = {(b, h): b / 20 for b in range(1, 13) for h in ("mlp", "resmlp")} | {(12, FINAL): 0.9}
    found = options(model, known, "mlp")
    assert [(o.layer, o.head) for o in found] == [(2, "mlp"), (5, "mlp"), (12, FINAL)]
    assert [o.backbone + o.own for o in found] == [model.exit_macs(o.layer, o.head) for o in found]
    assert len(options(model, known, practical=False)) == 25
    trace = model.trace(np.zeros((64, 64, 3), np.uint8))
    timed = in_ms(found, trace)
    assert timed[1].backbone + timed[1].own == pytest.approx(
        float(trace[(trace.layer == 5) & (trace["head"] == "mlp")].ms.iloc[0])
    )


def test_the_head_to_take_is_the_best_by_the_card_everywhere():
    card = {"exits": [{"head": "mlp", "accuracy": 0.4}, {"head": "vit", "accuracy": 0.6}]}
    assert best_head(card, ["mlp", "vit"]) == "vit" and best_head(card, ["mlp"]) == "mlp"
    errors = {"exits": [{"head": "mlp", "mae": 12.0}, {"head": "vit", "mae": 20.0}]}
    assert best_head(errors, ["vit", "mlp"]) == "mlp"
    assert best_head({}, ["resmlp", "mlp"]) == "resmlp"


@pytest.mark.parametrize(
    ("known", "taken"),
    [
        ([{"accuracy": 0.388}, {"accuracy": 0.386}], "lens"),  # as good, and cheaper
        ([{"accuracy": 0.864}, {"accuracy": 0.8565}], "vit"),
        ([{"mae": 41.73}, {"mae": 42.29}], "vit"),
        ([{"mae": 41.73}, {"mae": 41.90}], "lens"),
    ],
)
def test_of_heads_that_are_as_good_the_cheaper_is_taken(known, taken):
    dear, cheap = ({"head": "vit", "macs": 9} | known[0], {"head": "lens", "macs": 7} | known[1])
    assert best_head({"exits": [dear, cheap]}, ["vit", "lens"]) == taken


def test_few_exits_are_those_a_random_clock_finds_right_most_often_within_the_cost():
    model, accuracy = thin_model(), {}
    head = next(iter(model.heads))
    for i, place in enumerate(model.plan(head)):
        accuracy[place] = 0.5 + 0.03 * i
    model.practical_exits = frozenset(model.exits(head))
    plan = exits_for_deadlines(model, accuracy, head, count=2, most=1.25)
    full = model.exit_macs(*model.final_exit)
    assert plan[-1] == model.final_exit and len(plan) <= 3
    assert costs(model, plan)[-1] <= 1.25 * full

    def worth(way):
        ends = [*costs(model, way), 1.25 * full]
        return sum(accuracy[e] * (b - a) for e, a, b in zip(way, ends, ends[1:], strict=False))

    pairs = combinations(model.exits(head), 2)
    ways = [[*pair, model.final_exit] for pair in pairs if pair[-1][0] < model.depth]
    affordable = [w for w in ways if costs(model, w)[-1] <= 1.25 * full]
    assert worth(plan) >= max(map(worth, affordable)) - 1e-9
    assert exits_for_deadlines(model, {}, head) == [model.final_exit]
