"""Fine-tuning: it learns, it resumes as if never interrupted, and it stops with the step named when
the loss is lost."""

import dataclasses

import pytest
import torch
from accelerate import Accelerator
from interruption import interrupted
from thin import TASK
from timm.models.vision_transformer import VisionTransformer
from toys import colours, same, snapshot

from mvit.data import labelled as data
from mvit.models.backbone import Backbone
from mvit.training.checkpoints import CheckpointError
from mvit.training.finetune import Recipe, accuracy, fine_tune, mixed, stochastic_depth
from mvit.training.initial import starting_tensors
from mvit.training.loop import TrainingError, batch_of

TINY = dataclasses.replace(TASK, labels=("a", "b", "c"), native_px=8, input_px=32)
# 3 + 6 steps for 24 pictures
RECIPE = Recipe(stages=((16, 1.0), (32, 2.0)), batch=8, learning_rate=1e-3, warmup_steps=2, seed=3)


def recipe(**changes) -> Recipe:
    return dataclasses.replace(RECIPE, **changes)


@pytest.fixture
def accelerator():
    return Accelerator(cpu=True)


@pytest.fixture
def tune(accelerator, tmp_path):
    """A function that fine-tunes a backbone with RECIPE on eight pictures a class, unless told
    otherwise; it returns the progress. Its checkpoint is c.safetensors."""
    usual = {
        "train": colours(8),
        "val": colours(1),
        "recipe": RECIPE,
        "accelerator": accelerator,
        "checkpoint": tmp_path / "c.safetensors",
    }
    return lambda backbone, **given: fine_tune(backbone, TINY, **usual | given)


def fresh(seed: int = 0) -> Backbone:
    """Two thin blocks that take any picture size."""
    torch.manual_seed(seed)
    return Backbone(
        VisionTransformer(
            img_size=32, embed_dim=64, depth=2, num_heads=1, num_classes=3, dynamic_img_size=True
        )
    )


@pytest.fixture
def backbone():
    return fresh()


def test_small_pictures_come_first_and_each_stage_has_its_epochs():
    assert RECIPE.plan(24) == [(16, 8)] * 3 + [(32, 8)] * 6
    assert Recipe(stages=((96, 0.001),), batch=64).plan(100) == [(96, 64)]  # never no step at all


@pytest.mark.parametrize("n, batch", [(24, 8), (10, 4), (5, 16)])
def test_every_picture_is_seen_once_an_epoch_in_an_order_of_its_own(n, batch):
    # n * batch: whole epochs
    seen = torch.cat([batch_of(step, n, batch, seed=1) for step in range(n)])
    epochs = seen.view(-1, n)
    assert all(sorted(epoch.tolist()) == list(range(n)) for epoch in epochs)
    assert len({tuple(epoch.tolist()) for epoch in epochs}) > 1


def test_the_order_depends_on_the_seed_and_the_step_alone():
    assert torch.equal(batch_of(5, 24, 8, seed=1), batch_of(5, 24, 8, seed=1))
    assert not torch.equal(batch_of(5, 24, 8, seed=1), batch_of(5, 24, 8, seed=2))


def test_it_learns_and_reports_how_well(backbone, accelerator, tune):
    val = colours(4, seed=1)
    before = accuracy(backbone, TINY, val, accelerator)
    progress = tune(backbone, val=val, recipe=recipe(stages=((32, 10.0),)), every=5)
    assert progress["step"] == 30
    assert [entry[0] for entry in progress["loss"]] == [5, 10, 15, 20, 25, 30]
    assert progress["loss"][-1][2] < 0.9 * progress["loss"][0][2]
    assert (
        progress["val_accuracy"] == accuracy(backbone, TINY, val, accelerator) >= max(0.9, before)
    )


def test_accuracy_is_the_share_of_right_answers_at_the_tasks_size(backbone, accelerator):
    val = colours(5)
    with torch.inference_mode():
        answers = torch.cat(
            [backbone.eval()(TINY.normalise(TINY.enlarge(x[None]))).argmax(1) for x in val.x]
        )
    assert accuracy(backbone, TINY, val, accelerator, batch=4) == pytest.approx(
        (answers == val.y).float().mean().item()
    )


@pytest.mark.parametrize("changes", [{}, {"mix": 0.5, "drop_path": 0.2}])
def test_a_resumed_run_ends_where_an_uninterrupted_one_ends(changes, tune, tmp_path, monkeypatch):
    given = {"recipe": recipe(**changes), "every": 4}
    whole = fresh()
    tune(whole, **given, checkpoint=tmp_path / "whole.safetensors")
    with interrupted(monkeypatch):
        tune(fresh(), **given)
    resumed = fresh(seed=9)  # a new process starts elsewhere
    torch.manual_seed(99)
    progress = tune(resumed, **given)
    assert progress["step"] == 9
    assert [entry[:2] for entry in progress["loss"]] == [[4, 32], [8, 32], [9, 32]]
    assert all(p.isfinite().all() for p in whole.parameters())
    assert same(snapshot(whole), snapshot(resumed))


def test_a_finished_run_does_no_step_again(backbone, tune, monkeypatch):
    first = tune(backbone)
    monkeypatch.setattr(data, "augment", lambda *_: pytest.fail("took a step"))
    again = tune(backbone)
    assert all(again[name] == first[name] for name in ("step", "loss", "seconds", "val_accuracy"))


def test_a_loss_that_is_no_number_stops_with_the_step_and_keeps_the_checkpoint(
    backbone, tune, tmp_path, monkeypatch
):
    path, seen, augment, kept = tmp_path / "c.safetensors", [], data.augment, []

    def spoiled(pictures, size, generator):
        seen.append(size)
        if len(seen) == 7:
            kept.append(path.read_bytes())
            return torch.full((len(pictures), 3, size, size), torch.nan)
        return augment(pictures, size, generator)

    monkeypatch.setattr(data, "augment", spoiled)
    with pytest.raises(
        TrainingError, match="the loss is nan at step 6; the last good state is in .*c.safetensors"
    ):
        tune(backbone, every=4)
    assert path.read_bytes() == kept[0]
    assert all(p.isfinite().all() for p in backbone.parameters())


def test_deeper_layers_move_more(backbone, tune):
    before = snapshot(backbone)
    tune(backbone, recipe=recipe(layer_decay=0.1))
    moved = {
        name: (tensor - before[name]).abs().max().item()
        for name, tensor in backbone.state_dict().items()
    }
    names = [
        "vit.patch_embed.proj.weight",
        "vit.blocks.0.mlp.fc1.weight",
        "vit.blocks.1.mlp.fc1.weight",
        "vit.head.weight",
    ]
    assert 0 < moved[names[0]] < moved[names[1]] < moved[names[2]] < moved[names[3]]


@pytest.mark.parametrize(
    "change, words",
    [
        (
            {"learning_rate": 1e-4},
            "c.safetensors was begun with learning rate 0.001, now it is 0.0001: "
            "go on with the old value",
        ),
        ({"stages": ((16, 1.0),)}, "begun with stages"),
        ({"seed": 4}, "begun with seed 3, now it is 4"),
    ],
)
def test_a_run_is_not_resumed_with_another_recipe(backbone, tune, change, words):
    short = {"stages": ((16, 0.4),)}
    tune(backbone, recipe=recipe(**short))
    with pytest.raises(CheckpointError, match=words):
        tune(fresh(), recipe=recipe(**short | change))


def test_mixed_batches_have_soft_labels_and_their_chance(backbone):
    x, y = torch.rand(8, 3, 16, 16), torch.arange(8) % 3
    torch.manual_seed(0)
    assert mixed(x, y, TINY, 0.0) == (x, y)
    pictures, shares = mixed(x, y, TINY, 1.0)
    assert (
        shares.shape == (8, 3)
        and torch.allclose(shares.sum(1), torch.ones(8))
        and (shares.max(1).values < 1).any()
    )
    assert pictures.shape == x.shape and not torch.equal(pictures, x)
    soft = [mixed(x, y, TINY, 0.3)[1].ndim == 2 for _ in range(300)]
    assert 0.2 < sum(soft) / 300 < 0.4


def test_stochastic_depth_leaves_layers_out_in_training_only(backbone):
    stochastic_depth(backbone, 1.0)  # the last of the two layers always, the first never
    x = torch.rand(2, 3, 16, 16)
    tokens = backbone.block(backbone.embed(x), 1)
    assert torch.equal(backbone.train().block(tokens, 2), tokens)
    assert not torch.equal(backbone.eval().block(tokens, 2), tokens)
    before = backbone.state_dict().keys()
    stochastic_depth(backbone, 0.0)
    assert backbone.state_dict().keys() == before and not torch.equal(
        backbone.train().block(tokens, 2), tokens
    )


def test_no_stages_leave_the_backbone_as_it_is(backbone, tune):
    before = snapshot(backbone)
    assert tune(backbone, recipe=recipe(stages=()))["step"] == 0
    assert same(before, snapshot(backbone))


def test_a_running_mean_lags_behind_the_weights_it_is_made_of(tune, tmp_path):
    last, mean = fresh(), fresh()
    tune(last)
    again = recipe(mean_decay=0.9)
    tune(mean, recipe=again, checkpoint=tmp_path / "mean.safetensors")
    start = fresh()

    def way(one: Backbone, other: Backbone) -> float:
        pairs = zip(one.parameters(), other.parameters(), strict=True)
        return sum((a - b).square().sum().item() for a, b in pairs)

    assert 0 < way(start, mean) < way(start, last) and way(mean, last) > 0
    saved = starting_tensors(tmp_path / "mean.safetensors")
    assert same(saved, snapshot(mean.vit))
    resumed = fresh(1)
    tune(resumed, recipe=again, checkpoint=tmp_path / "mean.safetensors")
    assert same(snapshot(resumed), snapshot(mean))
