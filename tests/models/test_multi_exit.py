"""Lazy runs and whole traces: what runs, what it says, and what it is charged."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from thin import picture, thin_model
from toys import count_blocks

from mvit.models import multi_exit
from mvit.models.multi_exit import FINAL, MultiExitViT, PlanError

COLUMNS = [
    "layer",
    "head",
    "prediction",
    "label",
    "confidence",
    "entropy",
    "margin",
    "ms",
    "head_ms",
    "macs",
    "practical",
]


@pytest.fixture
def model():
    return thin_model(heads=("mlp", "cnn_add", "resmlp"))


def test_leaving_after_layer_three_runs_exactly_three_blocks(model):
    calls = count_blocks(model.backbone)
    for exit in model.run(picture(), model.exits("mlp")):
        if exit.layer == 3:
            break
    assert calls == [1, 2, 3]


def test_a_block_runs_only_when_its_exit_is_asked_for(model):
    calls = count_blocks(model.backbone)
    run = model.run(picture(), [(2, "mlp"), (5, "resmlp"), (12, FINAL)])
    assert calls == []
    next(run)
    assert calls == [1, 2]
    next(run)
    assert calls == [1, 2, 3, 4, 5]
    assert [e.head for e in run] == [FINAL] and calls == list(range(1, 13))


def test_a_plan_that_ends_early_never_runs_the_rest(model):
    calls = count_blocks(model.backbone)
    list(model.run(picture(), [(4, "mlp")]))
    assert calls == [1, 2, 3, 4]


@pytest.mark.parametrize("heads", [[], ["mlp"], None])
def test_a_trace_runs_every_block_once_whatever_the_number_of_heads(model, heads):
    calls = count_blocks(model.backbone)
    table = model.trace(picture(), heads)
    assert calls == list(range(1, 13))
    assert len(table) == 12 * (3 if heads is None else len(heads)) + 1


@pytest.mark.parametrize(
    "plan, words",
    [
        ([], "empty"),
        ([(1, "mlp"), (13, "mlp")], "'mlp' after layer 13"),
        ([(1, "mlp"), (0, "mlp")], "layer 0"),
        ([(1, "mlp"), (2, "vit")], "'vit' after layer 2; heads: mlp, cnn_add, resmlp"),
        ([(1, "mlp"), (3, FINAL)], "'final' after layer 3"),
    ],
)
def test_a_wrong_plan_is_refused_before_anything_runs(model, plan, words):
    calls = count_blocks(model.backbone)
    with pytest.raises(PlanError, match=words):
        model.run(picture(), plan)  # not even iterated
    assert calls == []


def test_plans_run_by_layer_in_whatever_order_they_are_written(model):
    plan = [(12, FINAL), (5, "mlp"), (12, "mlp"), (2, "resmlp")]
    assert [(e.layer, e.head) for e in model.run(picture(), plan)] == [
        (2, "resmlp"),
        (5, "mlp"),
        (12, "mlp"),
        (12, FINAL),
    ]


def test_a_run_says_what_the_trace_says(model):
    table = model.trace(picture(3))
    exits = list(model.run(picture(3), [*model.exits(), (12, FINAL)]))
    assert len(exits) == len(table) == 37
    for exit, row in zip(exits, table.itertuples(), strict=True):
        assert (exit.layer, exit.head, exit.prediction, exit.label, exit.macs) == (
            row.layer,
            row.head,
            row.prediction,
            row.label,
            row.macs,
        )
        assert exit.confidence == pytest.approx(
            row.confidence, abs=1e-6
        ) and exit.entropy == pytest.approx(row.entropy, abs=1e-5)
        assert exit.margin == pytest.approx(row.margin, abs=1e-6)


def test_the_final_exit_is_the_plain_backbone(model):
    *_, final = model.run(picture(), [(1, "mlp"), (12, FINAL)])
    with torch.inference_mode():
        expected = model.backbone(model.to_input(picture()))[0].softmax(0)
    assert np.abs(np.array(final.scores) - expected.numpy()).max() < 1e-6


def test_an_exit_describes_its_scores(model):
    [exit] = model.run(picture(), [(6, "resmlp")])
    scores = np.array(exit.scores)
    assert scores.sum() == pytest.approx(1, abs=1e-5) and len(scores) == 10
    assert exit.prediction == scores.argmax() and exit.label == "abcdefghij"[scores.argmax()]
    second, first = np.sort(scores)[-2:]
    assert exit.confidence == pytest.approx(first) and exit.margin == pytest.approx(first - second)
    assert exit.entropy == pytest.approx(
        -(scores * np.log(scores)).sum()
    ) and 0 < exit.entropy <= math.log(10)
    assert exit.macs == model.backbone_macs.up_to(6) + model.head_at(6, "resmlp").macs


def test_a_trace_is_a_table_that_names_device_and_format(model):
    table = model.trace(picture(), ["resmlp"])
    assert list(table.columns) == COLUMNS
    assert (
        list(table.layer) == [*range(1, 13), 12]
        and set(table["head"][:-1]) == {"resmlp"}
        and table["head"].iloc[-1] == FINAL
    )
    assert table.attrs == {"device": "cpu", "dtype": "float32"}


def test_practical_exits_are_marked_and_make_a_plan():
    model = thin_model(heads=("mlp", "resmlp"))
    model.practical_exits = frozenset({(2, "mlp"), (7, "mlp"), (3, "resmlp")})
    assert model.practical("mlp") == [(2, "mlp"), (7, "mlp"), (12, FINAL)]
    assert model.practical("resmlp") == [(3, "resmlp"), (12, FINAL)]
    table = model.trace(picture())
    assert {(r.layer, r.head) for r in table.itertuples() if r.practical} == model.practical_exits
    assert [e.practical for e in model.run(picture(), [(1, "mlp"), (2, "mlp")])] == [False, True]


def test_only_the_layers_that_have_heads_are_exits():
    backbone, task = thin_model(depth=6).backbone, thin_model().task
    model = MultiExitViT.untrained(backbone, task, ("mlp", "mixer"), [2, 5])
    assert model.exits() == [(2, "mlp"), (2, "mixer"), (5, "mlp"), (5, "mixer")] and model.exits(
        "mixer"
    ) == [(2, "mixer"), (5, "mixer")]
    with pytest.raises(PlanError, match="layer 3"):
        model.run(picture(), [(3, "mlp")])


class Ticks:
    """A clock whose time is set by hand: embedding costs 1, a block 10, a head 100 (see
    `timed_model`)."""

    def __init__(self):
        self.now = 0.0

    def mark(self):
        return self.now

    def finish(self):
        pass

    def ms(self, start, end):
        return end - start


@pytest.fixture
def timed(monkeypatch):
    """A model and the clock that its parts advance."""
    model, clock = thin_model(depth=4, heads=("mlp", "resmlp")), Ticks()

    def takes(module, ms):
        module.register_forward_hook(lambda *_: setattr(clock, "now", clock.now + ms))

    takes(model.backbone.vit.patch_embed, 1)
    for block in model.backbone.vit.blocks:
        takes(block, 10)
    for layer, head in model.exits():
        takes(model.head_at(layer, head), 100 if head == "mlp" else 200)
    monkeypatch.setattr(multi_exit, "clock_for", lambda device: clock)
    return SimpleNamespace(model=model, clock=clock)


def test_time_that_the_caller_spends_between_exits_is_not_charged(timed):
    elapsed = []
    for exit in timed.model.run(picture(), [(1, "mlp"), (3, "mlp"), (4, FINAL)]):
        elapsed.append((exit.elapsed_ms, exit.ms, exit.head_ms))
        timed.clock.now += 100_000  # a slow page draws
    assert elapsed == [(111, 111, 100), (231, 131, 100), (241, 41, 0)]


def test_an_exit_of_a_trace_costs_the_backbone_up_to_it_and_its_own_head_alone(timed):
    table = timed.model.trace(picture())
    assert [r.ms for r in table.itertuples()] == [111, 211, 121, 221, 131, 231, 141, 241, 41]
    assert list(table.head_ms) == [100, 200] * 4 + [0]


def test_inference_mode_stays_inside_the_run(model):
    assert not torch.is_inference_mode_enabled()
    for _ in model.run(picture(), [(1, "mlp"), (2, "mlp"), (12, FINAL)]):
        assert not torch.is_inference_mode_enabled()
        weight = torch.ones(2, requires_grad=True)
        (weight * 2).sum().backward()  # the caller can still learn
    for _, _, logits, _ in model.requires_grad_(True).steps(
        model.to_input(picture()), [(1, "mlp"), (2, "mlp")], Ticks()
    ):
        # the run itself keeps no graph
        assert not torch.is_inference_mode_enabled() and logits.is_inference()
    assert not torch.is_inference_mode_enabled()


def test_two_runs_side_by_side_do_not_mix(model):
    plan = model.exits("mlp")
    alone = [[e.scores for e in model.run(picture(seed), plan)] for seed in (0, 1)]
    mixed = list(zip(model.run(picture(0), plan), model.run(picture(1), plan), strict=True))
    assert [[pair[i].scores for pair in mixed] for i in (0, 1)] == alone


def test_a_prepared_input_gives_the_same_answer_as_its_picture(model):
    [a] = model.run(picture(), [(2, "mlp")])
    [b] = model.run(model.task.prepare(picture()), [(2, "mlp")])
    assert a.scores == b.scores


def test_a_model_in_bfloat16_answers_and_says_so():
    model = thin_model(depth=3).to(torch.bfloat16)
    table = model.trace(picture())
    assert table.attrs["dtype"] == "bfloat16" and table.confidence.between(0.1, 1).all()


def test_a_trace_of_a_head_that_is_not_there_is_refused_by_name(model):
    calls = count_blocks(model.backbone)
    with pytest.raises(PlanError, match="there is no head 'typo'; there are: mlp, cnn_add, resmlp"):
        model.trace(picture(), heads=["mlp", "typo"])
    assert calls == []
