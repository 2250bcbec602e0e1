"""End-to-end and layer-wise training: what learns when, how exits are weighed, and that an
interruption changes nothing."""

import dataclasses

import pytest
import torch
from accelerate import Accelerator
from interruption import interrupted
from joint_toys import TINY, small
from torch.nn import functional as F
from toys import colours, count_blocks, same, snapshot

from mvit.clock import NoClock
from mvit.data import labelled as data
from mvit.data.labelled import Pictures
from mvit.evaluation.predictions import predict
from mvit.models.multi_exit import FINAL, MultiExitViT
from mvit.training import checkpoints
from mvit.training.checkpoints import CheckpointError
from mvit.training.joint import JointRecipe, exit_weights, learn_together, phases_of
from mvit.training.joint_loss import Phase, phase_loss
from mvit.training.loop import TrainingError

# 2 + 2 steps
RECIPE = JointRecipe(
    stages=((16, 1.0), (32, 1.0)),
    batch=12,
    learning_rate=1e-3,
    exit_rate=3e-3,
    warmup_steps=1,
    seed=2,
)


def end_to_end(model, weights="half", **given) -> dict:
    return learn_together(model, phases_of(model, "end-to-end", weights), **given)


def layer_wise(model, **given) -> dict:
    return learn_together(model, phases_of(model, "layer-wise"), **given)


@pytest.fixture
def accelerator():
    return Accelerator(cpu=True)


def moved(before: dict, model: MultiExitViT) -> set[str]:
    """The parts of a model that have changed: embed, block 1.., final, and exits as head.layer."""
    parts = set()
    for name, tensor in model.state_dict().items():
        if not torch.equal(tensor, before[name]):
            words = name.split(".")
            deep = (
                f"block {int(words[3]) + 1}"
                if "blocks" in words
                else "final"
                if words[2] in ("norm", "head")
                else "embed"
            )
            parts.add(deep if words[0] == "backbone" else f"{words[1]}.{words[2]}")
    return parts


def test_the_final_exit_counts_double_unless_told_otherwise():
    assert exit_weights([(2, "mlp"), (6, "mlp")], 12) == {(2, "mlp"): 0.5, (6, "mlp"): 0.5}
    assert exit_weights([(3, "mlp"), (6, "mlp"), (12, "mlp")], 12, "depth") == {
        (3, "mlp"): 0.25,
        (6, "mlp"): 0.5,
        (12, "mlp"): 1.0,
    }
    assert exit_weights([(3, "mlp"), (6, "mlp"), (6, "vit")], 12, (0.2, 0.8)) == {
        (3, "mlp"): 0.2,
        (6, "mlp"): 0.4,
        (6, "vit"): 0.4,
    }


@pytest.mark.parametrize("given", ["loud", (0.5,), (0.1, -1), (0.1, float("nan"))])
def test_weights_that_do_not_fit_are_refused(given):
    with pytest.raises(TrainingError, match="'half', 'depth' or 2 numbers"):
        exit_weights([(2, "mlp"), (6, "mlp")], 12, given)


def test_end_to_end_minimises_the_papers_sum(accelerator):
    model, pictures = small().eval(), colours(4)
    [phase] = phases_of(model, "end-to-end", (0.25, 0.75))
    x, y = pictures.whole(torch.arange(12), TINY, torch.device("cpu"))
    with torch.no_grad():
        found = phase_loss(model, x, y, phase=phase, recipe=RECIPE, accelerator=accelerator)
        exits = [
            F.cross_entropy(logits, y)
            for *_, logits, _ in model.steps(x, [(1, "mlp"), (2, "mlp"), (3, FINAL)], NoClock())
        ]
    assert found.item() == pytest.approx(
        (0.25 * exits[0] + 0.75 * exits[1] + exits[2]).item(), abs=1e-5
    )


def test_layer_wise_has_one_part_a_branch_and_one_for_the_rest():
    assert phases_of(small(("mlp", "resmlp"), (1, 3), depth=4), "layer-wise") == [
        Phase(1, 1, {(1, "mlp"): 0.5, (1, "resmlp"): 0.5}),
        Phase(2, 3, {(3, "mlp"): 0.5, (3, "resmlp"): 0.5}),
        Phase(4, 4, {(4, FINAL): 1.0}),
    ]


@pytest.mark.parametrize(
    "train_it, parts",
    [
        (end_to_end, [{"embed", "block 1", "block 2", "block 3", "final", "mlp.1", "mlp.2"}]),
        (layer_wise, [{"embed", "block 1", "mlp.1"}, {"block 2", "mlp.2"}, {"block 3", "final"}]),
    ],
)
def test_each_part_learns_in_its_turn_and_is_frozen_after(
    accelerator, tmp_path, monkeypatch, train_it, parts
):
    model, found = small(), []
    before = snapshot(model)
    save = checkpoints.save

    def saved(path, model, optimizer, progress):
        nonlocal before
        found.append(moved(before, model))
        before = snapshot(model)
        save(path, model, optimizer, progress)

    monkeypatch.setattr(checkpoints, "save", saved)
    train_it(
        model,
        train=colours(8),
        recipe=RECIPE,
        accelerator=accelerator,
        checkpoint=tmp_path / "c.safetensors",
    )
    assert found == parts
    assert not model.training and not any(p.requires_grad for p in model.parameters())


def test_layers_above_the_part_that_learns_do_not_run(accelerator, tmp_path):
    model = small()
    calls = count_blocks(model.backbone)
    layer_wise(
        model,
        train=colours(8),
        recipe=RECIPE,
        accelerator=accelerator,
        checkpoint=tmp_path / "c.safetensors",
    )
    assert calls == [1] * 4 + [1, 2] * 4 + [1, 2, 3] * 4


@pytest.mark.parametrize("train_it", [end_to_end, layer_wise])
def test_all_exits_learn_what_can_be_told_apart(accelerator, tmp_path, train_it):
    model, val = small(("mlp", "cnn_ignore", "resmlp"), (2,)), colours(10, seed=1)
    recipe = dataclasses.replace(RECIPE, stages=((16, 6.0), (32, 8.0)))
    progress = train_it(
        model,
        train=colours(16),
        recipe=recipe,
        accelerator=accelerator,
        checkpoint=tmp_path / "c.safetensors",
        every=8,
    )
    assert progress["loss"][-1][0] == progress["phase"] + 1 and {
        entry[2] for entry in progress["loss"]
    } == {16, 32}
    scored = predict(model, val, accelerator, show=False)
    accuracy = dict(zip(scored.exits, scored.accuracy, strict=True))
    assert len(accuracy) == 4 and min(accuracy.values()) > 0.85, accuracy


@pytest.mark.parametrize(
    "train_it, stop_at", [(end_to_end, 1), (layer_wise, 1), (layer_wise, 2), (layer_wise, 4)]
)
def test_a_resumed_training_ends_where_an_uninterrupted_one_ends(
    accelerator, tmp_path, monkeypatch, train_it, stop_at
):
    def train(model, name: str) -> dict:
        given = {"train": colours(8), "recipe": RECIPE, "accelerator": accelerator, "every": 3}
        return train_it(model, checkpoint=tmp_path / f"{name}.safetensors", **given)

    heads = ("mlp", "vit")
    whole, resumed = small(heads), small(heads, seed=9)  # a new process starts elsewhere ...
    first = train(whole, "whole")
    with interrupted(monkeypatch, stop_at):
        train(small(heads), "halves")
    torch.manual_seed(99)  # ... and draws other dropouts
    again = train(resumed, "halves")
    assert first["loss"] == again["loss"] and same(snapshot(whole), snapshot(resumed))


def test_a_finished_training_does_no_step_again(accelerator, tmp_path, monkeypatch):
    model, path = small(), tmp_path / "c.safetensors"
    first = layer_wise(
        model, train=colours(8), recipe=RECIPE, accelerator=accelerator, checkpoint=path
    )
    end = snapshot(model)
    monkeypatch.setattr(Pictures, "augmented", lambda *_: pytest.fail("took a step"))
    fresh = small(seed=5)
    again = layer_wise(
        fresh, train=colours(8), recipe=RECIPE, accelerator=accelerator, checkpoint=path
    )
    assert again["loss"] == first["loss"] and same(end, snapshot(fresh))


def test_a_loss_that_is_no_number_stops_with_the_step_and_keeps_the_checkpoint(
    accelerator, tmp_path, monkeypatch
):
    model, path, augment, taken = small(), tmp_path / "c.safetensors", data.augment, []

    def spoiled(pictures, size, generator):
        taken.append(path.read_bytes() if path.exists() else None)
        return augment(pictures, size, generator) * (torch.nan if len(taken) == 6 else 1)

    monkeypatch.setattr(data, "augment", spoiled)
    with pytest.raises(
        TrainingError,
        match="the loss is nan at step 1 of part 2; the last good state is in .*c.safetensors",
    ):
        layer_wise(model, train=colours(8), recipe=RECIPE, accelerator=accelerator, checkpoint=path)
    assert path.read_bytes() == taken[-1] is not None
    assert all(p.isfinite().all() for p in model.parameters())


@pytest.mark.parametrize(
    "change, words",
    [
        ({"learning_rate": 2e-3}, "begun with learning rate 0.001, now it is 0.002"),
        (
            {"stages": ((16, 2.0),)},
            r"begun with stages \[\[16, 1.0\], \[32, 1.0\]\], now it is \[\[16, 2.0\]\]",
        ),
        ({"exit_rate": 1e-4}, "begun with exit rate 0.003"),
    ],
)
def test_a_training_is_not_resumed_with_another_recipe(accelerator, tmp_path, change, words):
    path = tmp_path / "c.safetensors"
    end_to_end(small(), train=colours(8), recipe=RECIPE, accelerator=accelerator, checkpoint=path)
    kept = path.read_bytes()
    with pytest.raises(CheckpointError, match=words):
        end_to_end(
            small(),
            train=colours(8),
            recipe=dataclasses.replace(RECIPE, **change),
            accelerator=accelerator,
            checkpoint=path,
        )
    with pytest.raises(CheckpointError, match="begun with exits and their weights"):
        end_to_end(
            small(),
            train=colours(8),
            recipe=RECIPE,
            accelerator=accelerator,
            checkpoint=path,
            weights="depth",
        )
    with pytest.raises(CheckpointError, match="begun with training pictures 24, now it is 27"):
        end_to_end(
            small(), train=colours(9), recipe=RECIPE, accelerator=accelerator, checkpoint=path
        )
    assert path.read_bytes() == kept
