"""Classifier-wise training: exits learn, the backbone does not, each exit settles by itself, and an
interruption changes nothing."""

import dataclasses
import math

import pytest
import torch
from accelerate import Accelerator
from interruption import interrupted
from thin import TASK, thin_model
from timm.models.vision_transformer import VisionTransformer
from toys import colours, count_blocks, same, snapshot

from mvit.data import labelled as data
from mvit.evaluation.predictions import predict
from mvit.models.backbone import Backbone
from mvit.models.multi_exit import MultiExitViT
from mvit.training import exits as training
from mvit.training.checkpoints import CheckpointError
from mvit.training.exits import (
    ExitRecipe,
    Learner,
    choose_rates,
    classifier_wise,
    name_of,
    validation_losses,
    warm_start,
)
from mvit.training.loop import TrainingError

# 2 rounds of 2 steps for 24 pictures
RECIPE = ExitRecipe(rates=(1e-3,), batch=12, max_rounds=2, trial_steps=1, trial_layers=(2,), seed=1)
TINY = dataclasses.replace(TASK, native_px=8, input_px=32)


@pytest.fixture
def accelerator():
    return Accelerator(cpu=True)


def small(heads=("mlp", "resmlp"), depth: int = 3, seed: int = 0):
    """A thin model whose heads may learn; its pictures are 32 px, so four patches."""
    model = thin_model(depth=depth, px=32, heads=heads, seed=seed)
    model.task = TINY
    model.heads.requires_grad_(True)
    return model


def recipe(**changes) -> ExitRecipe:
    return dataclasses.replace(RECIPE, **changes)


@pytest.fixture
def teach(accelerator, tmp_path):
    """A function that trains a model's exits with RECIPE on eight pictures a class, unless told
    otherwise; it returns the progress. Its checkpoint is c.safetensors."""
    usual = {
        "train": colours(8),
        "val": colours(4, seed=1),
        "recipe": RECIPE,
        "accelerator": accelerator,
        "checkpoint": tmp_path / "c.safetensors",
    }
    return lambda model, **given: classifier_wise(model, **usual | given)


def learner(model, accelerator, rate: float = 1e-3, **changes) -> Learner:
    return Learner(
        model,
        dict.fromkeys(model.exits(), rate),
        train=colours(8),
        recipe=recipe(**changes),
        accelerator=accelerator,
        steps=3,
    )


def test_one_step_of_twelve_exits_runs_the_frozen_backbone_once(accelerator):
    model = small(("mlp",), depth=12)
    learning, calls, before = (
        learner(model, accelerator),
        count_blocks(model.backbone),
        snapshot(model),
    )
    learning.loop.step(0)
    assert calls == list(range(1, 13))
    changed = {
        name.split(".")[2]
        for name, tensor in model.state_dict().items()
        if not torch.equal(tensor, before[name]) and name.startswith("heads")
    }
    assert changed == {str(b) for b in range(1, 13)}  # and yet every exit learnt


def test_blocks_behind_the_last_exit_that_still_learns_do_not_run(accelerator):
    model = small(depth=6)
    learning, calls, before = (
        learner(model, accelerator),
        count_blocks(model.backbone),
        snapshot(model.heads),
    )
    learning.learn_on({(2, "mlp"), (3, "resmlp")})
    learning.loop.step(0)
    assert calls == [1, 2, 3]
    changed = {
        tuple(name.split(".")[:2])
        for name, tensor in model.heads.state_dict().items()
        if not torch.equal(tensor, before[name])
    }
    assert changed == {("mlp", "2"), ("resmlp", "3")}


def test_a_whole_training_runs_the_backbone_once_per_batch_and_leaves_it_bit_for_bit(teach):
    model = small()
    calls, before = count_blocks(model.backbone), snapshot(model.backbone)
    teach(model)
    # one trial step and its validation; that of the beginning; two steps and one a round
    trial, rounds = [1, 2] * 2, [1, 2, 3] * 3 * 2
    assert calls == trial + [1, 2, 3] + rounds
    assert same(before, snapshot(model.backbone))
    assert not model.training


def test_exits_learn_what_can_be_told_apart(accelerator, teach):
    model, val = small(("mlp", "vit", "cnn_ignore", "mixer", "resmlp")), colours(10, seed=1)
    longer = recipe(max_rounds=8, rates=(3e-3,), mean_decay=0.8)
    progress = teach(model, train=colours(16), val=val, recipe=longer)
    for name, exit in progress["exits"].items():
        assert exit["losses"][-1] < 0.8 * exit["losses"][0], name
        assert exit["best"] == pytest.approx(min(exit["losses"]), abs=1e-4)
    scored = predict(model, val, accelerator, show=False)
    assert dict(zip(scored.exits, scored.accuracy, strict=True))[3, "resmlp"] > 0.9


def test_an_exit_that_training_makes_worse_stays_as_it_began(accelerator, teach):
    model, val = small(), colours(4, seed=1)
    before = validation_losses(model, val, set(model.exits()), accelerator)
    done = teach(model, recipe=recipe(max_rounds=1, rates=(1.0,), mean_decay=0.0))["exits"]
    after = validation_losses(model, val, set(model.exits()), accelerator)
    worse = [e for e, loss in before.items() if done[name_of(e)]["losses"][0] > loss]
    assert worse and all(after[e] == pytest.approx(before[e]) for e in worse)


def test_each_exit_is_left_at_its_best_validation_loss(accelerator, teach):
    model, val = small(), colours(6, seed=1)
    progress = teach(model, val=val, recipe=recipe(max_rounds=4))
    losses = validation_losses(model, val, set(model.exits()), accelerator)
    for key, loss in losses.items():
        assert loss == pytest.approx(progress["exits"]["{}:{}".format(*key)]["best"], abs=1e-5)


def test_the_kept_weights_are_a_running_mean_of_the_trained_ones(accelerator):
    model = small()
    learning, mean = learner(model, accelerator, mean_decay=0.15), snapshot(model.heads)
    for number, decay in enumerate((0, 0.15, 0.15)):  # the first is taken whole
        learning.loop.step(number)
        mean = {
            name: decay * mean[name] + (1 - decay) * new
            for name, new in model.heads.state_dict().items()
        }
    assert all(
        torch.allclose(tensor, mean[name], atol=1e-6)
        for name, tensor in learning.mean.module.state_dict().items()
    )


def test_validation_loss_is_the_mean_cross_entropy(accelerator):
    model, val = small(), colours(5)
    found = validation_losses(model, val, {(2, "mlp")}, accelerator, batch=4)
    answers = [next(model.run(x.permute(1, 2, 0).numpy(), [(2, "mlp")])) for x in val.x]
    expected = [-math.log(answer.scores[y]) for answer, y in zip(answers, val.y, strict=True)]
    assert found == {(2, "mlp"): pytest.approx(sum(expected) / 15, abs=1e-4)}


def test_a_resumed_training_ends_where_an_uninterrupted_one_ends(teach, tmp_path, monkeypatch):
    whole, resumed = small(), small()
    first = teach(whole, checkpoint=tmp_path / "whole.safetensors")
    with interrupted(monkeypatch):
        teach(resumed)
    resumed.heads = small(seed=9).heads  # a new process draws other heads ...
    torch.manual_seed(99)  # ... and another state of the generator that dropout draws from
    again = teach(resumed)
    assert again["round"] == 2 and again["rates"]["mlp"]["rate"] == 1e-3
    assert first["exits"] == again["exits"]
    assert same(snapshot(whole), snapshot(resumed))


def test_a_finished_training_does_no_step_again(teach, monkeypatch):
    model = small()
    first = teach(model)
    end = snapshot(model)
    monkeypatch.setattr(data.Pictures, "augmented", lambda *_: pytest.fail("took a step"))
    again = teach(model)
    assert again["exits"] == first["exits"] and same(end, snapshot(model))


def test_a_loss_that_is_no_number_stops_with_the_step_and_keeps_the_checkpoint(
    teach, tmp_path, monkeypatch
):
    model, path, taken, augment = small(), tmp_path / "c.safetensors", [], data.augment

    def spoiled(pictures, size, generator):
        taken.append(path.read_bytes() if path.exists() else None)
        # after one trial step and two rounds
        return augment(pictures, size, generator) * (torch.nan if len(taken) == 1 + 4 else 1)

    monkeypatch.setattr(data, "augment", spoiled)
    with pytest.raises(
        TrainingError, match="the loss is nan at step 3; the last good state is in .*c.safetensors"
    ):
        teach(model)
    assert path.read_bytes() == taken[-1] is not None
    assert all(p.isfinite().all() for p in model.parameters())


def test_an_exit_that_is_done_learns_no_more_while_others_go_on(teach, monkeypatch):
    rounds = []

    def losses(model, val, active, accelerator):
        rounds.append(sorted(active))
        # layer 1 never gets better
        return {key: 1.0 if key == (1, "mlp") else 1 / len(rounds) for key in active}

    monkeypatch.setattr(training, "validation_losses", losses)
    progress = teach(small(("mlp",), depth=2), recipe=recipe(max_rounds=8, stop=5))
    assert len(progress["exits"]["1:mlp"]["losses"]) == 5
    assert len(progress["exits"]["2:mlp"]["losses"]) == 8
    assert rounds[-1] == [(2, "mlp")]


def test_training_ends_when_all_exits_are_done(teach, monkeypatch):
    monkeypatch.setattr(
        training,
        "validation_losses",
        lambda model, val, active, accelerator: dict.fromkeys(active, 1.0),
    )
    assert teach(small(("mlp",), depth=2), recipe=recipe(max_rounds=50, stop=3))["round"] == 3


def test_the_rate_is_chosen_for_each_head_by_validation(accelerator):
    model = small()
    before = snapshot(model)
    found = choose_rates(
        model,
        train=colours(8),
        val=colours(4, seed=1),
        recipe=recipe(rates=(3e-3, 1e-9), trial_steps=8),
        accelerator=accelerator,
    )
    assert {head: choice["rate"] for head, choice in found.items()} == {"mlp": 3e-3, "resmlp": 3e-3}
    losses = found["mlp"]["losses"]
    assert set(losses) == {3e-3, 1e-9} and losses[3e-3] < losses[1e-9]
    assert same(before, snapshot(model))  # a trial leaves no trace


def test_a_warm_start_goes_on_where_the_layer_leaves_off():
    model = small(("mlp", "vit"))
    warm_start(model)
    vit = model.backbone.vit
    x = torch.randn(2, 5, 64)
    with torch.inference_mode():
        assert torch.allclose(
            model.head_at(1, "vit").describe(x), vit.norm(vit.blocks[1](x))[:, 0], atol=1e-5
        )
        # behind the last: the last
        assert torch.allclose(
            model.head_at(3, "vit").describe(x), vit.norm(vit.blocks[2](x))[:, 0], atol=1e-5
        )
        assert torch.allclose(model.head_at(2, "mlp").describe(x), vit.norm(x)[:, 0], atol=1e-5)


@pytest.mark.parametrize(
    "built", [{"mlp_ratio": 2}, {"init_values": 0.1}, {"qk_norm": True}, {"qkv_bias": False}]
)
def test_a_backbone_built_otherwise_leaves_the_heads_as_they_are(built):
    torch.manual_seed(0)
    vit = VisionTransformer(img_size=32, embed_dim=64, depth=2, num_heads=1, num_classes=3, **built)
    model = MultiExitViT.untrained(Backbone(vit), TINY, ("mlp", "vit"))
    before = snapshot(model.heads["vit"]["1"].encoder)
    torch.nn.init.constant_(vit.norm.weight, 0.5)
    warm_start(model)
    assert same(before, snapshot(model.heads["vit"]["1"].encoder))
    # what fits is still taken over
    assert torch.equal(model.head_at(1, "mlp").norm.weight, vit.norm.weight)


def test_a_training_goes_on_with_more_rounds_but_not_with_another_recipe(teach, tmp_path):
    path = tmp_path / "c.safetensors"
    teach(small())
    assert teach(small(), recipe=recipe(max_rounds=3))["round"] == 3
    kept = path.read_bytes()
    with pytest.raises(
        CheckpointError,
        match="c.safetensors was begun with batch 12, now it is 8: go on with the old value",
    ):
        teach(small(), recipe=recipe(batch=8))
    assert path.read_bytes() == kept
