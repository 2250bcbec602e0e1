"""A trained model is stored in 8 bits only where no exit pays for it, by its task's own measure."""

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from thin import thin_model
from toys import colours, same, snapshot

from mvit.bundles.tensors import is_matrix
from mvit.evaluation.counts import Counts
from mvit.evaluation.predictions import Predictions, predict
from mvit.evaluation.storage import round_for_storage, round_heads
from mvit.models.multi_exit import MultiExitViT
from mvit.tasks import TASKS
from mvit.training.finetune import Recipe
from mvit.training.joint import STRATEGIES
from mvit.training.study import Study, stored


class Half:
    """Stands for what would be measured: the worst exit loses `lost` in 8 bits."""

    def __init__(self, before: float, after: float):
        self.values, self.truth = [before, after], range(500)

    def __call__(self, model) -> "Half":
        self.quality = {(1, "mlp"): 0.5, (2, "mlp"): self.values.pop(0)}
        return Half.of(self.quality)

    @staticmethod
    def of(quality):
        found = object.__new__(Half)
        found.quality, found.truth = quality, range(500)
        return found


@pytest.mark.parametrize(
    "task, before, after, bits",
    [
        ("cifar10", 0.900, 0.8992, 8),
        ("cifar10", 0.900, 0.8988, 16),
        ("cifar10", 0.900, 0.9500, 8),
        ("crowd", 40.0, 40.19, 8),
        ("crowd", 40.0, 40.21, 16),
        ("crowd", 40.0, 30.0, 8),
    ],
)
def test_8_bits_are_taken_where_no_exit_loses_more_than_its_task_allows(task, before, after, bits):
    model = thin_model(depth=2, heads=("mlp",))
    model.task = TASKS[task]
    stored, found = round_for_storage(model, Half(before, after))
    assert stored["bits"] == bits and stored["pictures"] == 500
    assert found.quality[2, "mlp"] == (before if bits == 16 else after)
    if bits == 16:
        worst = {"layer": 2, "head": "mlp", "half": before, "light": after}
        assert stored["worst"] == worst
    # and the model now is what the files will hold
    held = model.state_dict()["backbone.vit.blocks.0.mlp.fc1.weight"]
    levels = torch.unique((held / held.abs().amax(1, keepdim=True) * 127).round()[0])
    is_light = torch.allclose(
        held, (held / (s := held.abs().amax(1, keepdim=True) / 127)).round() * s
    )
    assert is_light == (bits == 8) and len(levels) > 1


def test_it_measures_real_predictions_and_leaves_half_precision_where_8_bits_would_cost():
    model, accelerator = thin_model(depth=2, heads=("mlp",)), Accelerator(cpu=True)
    pictures = colours(4)

    def measure(candidate: MultiExitViT) -> Predictions:
        return predict(candidate, pictures, accelerator, show=False)

    before = snapshot(model)
    stored, found = round_for_storage(model, measure)
    assert stored["pictures"] == 12 and not same(before, snapshot(model))
    worst = stored["worst"]
    assert (worst["layer"], worst["head"]) in model.plan()
    assert stored["bits"] == (8 if worst["half"] - worst["light"] <= 0.001 else 16)
    assert np.array_equal(found.top1, measure(model).top1)


def answers(right: dict[tuple[int, str], int], n: int = 1000) -> Predictions:
    """So many of n pictures answered right by each exit, the first ones."""
    some = np.zeros((len(right), n), np.float32)
    top1 = np.array([np.arange(n) >= count for count in right.values()]).astype(int)
    truth = np.zeros(n, int)
    return Predictions(list(right), top1, some, entropy=some, margin=some, truth=truth)


HALF = {(1, "mlp"): 500, (1, "vit"): 500, (2, "mlp"): 700, (2, "vit"): 700, (2, "final"): 900}


@pytest.mark.parametrize(
    ("lost", "bits"),
    [
        ({}, {"mlp": 8, "vit": 8}),
        ({(1, "vit"): 2, (2, "vit"): -2}, {"mlp": 8, "vit": 8}),
        ({(1, "vit"): 3}, {"mlp": 8, "vit": 16}),  # 0.15 points on average
        ({(1, "vit"): 40, (2, "vit"): -40}, {"mlp": 8, "vit": 16}),  # surely one pays
        ({(2, "mlp"): 30}, {"mlp": 16, "vit": 8}),
    ],
)
def test_each_head_is_stored_on_its_own_terms_and_the_backbone_stays(lost, bits):
    model = thin_model(depth=2, heads=("mlp", "vit"))
    before = snapshot(model.backbone)
    less = {exit: count - lost.get(exit, 0) for exit, count in HALF.items()}
    measured = iter([answers(HALF), answers(less)])
    stored, found = round_heads(model, lambda candidate: next(measured))
    assert stored["head_bits"] == bits and stored["pictures"] == 1000
    assert same(before, snapshot(model.backbone))
    kept = {e: (less if bits.get(e[1]) == 8 else HALF)[e] / 1000 for e in HALF}
    assert found.quality == pytest.approx(kept)
    for name, many in bits.items():
        matrices = [p for at in model.heads[name].values() for p in at.parameters() if is_matrix(p)]
        levels = [p / p.abs().amax(1, keepdim=True) * 127 for p in matrices]
        whole = all(torch.allclose(one, one.round(), atol=0.01) for one in levels)
        assert whole == (many == 8)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_bundle_that_cannot_be_light_as_a_whole_keeps_its_light_heads(tmp_path, strategy):
    study = Study(task=TASKS["cifar10"], data=tmp_path, run=tmp_path, strategy=strategy)
    less = HALF | {(2, "final"): 890}  # a light backbone would pay
    measured = map(answers, [HALF, less, HALF, HALF])
    model = thin_model(depth=2, heads=("mlp", "vit"))
    storage, *_ = stored(study, model, lambda candidate: next(measured))
    assert storage["bits"] == 16 and storage["head_bits"] == {"mlp": 8, "vit": 8}


def test_layers_that_must_stay_as_they_are_are_not_stored_anew(tmp_path):
    above = Recipe(from_layer=2)
    study = Study(task=TASKS["cifar10"], data=tmp_path, run=tmp_path, recipe=above)
    storage, *_ = stored(study, thin_model(depth=2), lambda candidate: answers(HALF))
    assert storage == {"bits": 16, "pictures": 1000}


def test_the_quality_of_counts_is_their_mean_absolute_error():
    tiles = np.array([[[1.0] * 6, [2.0] * 6]])  # one exit, two pictures
    counts = Counts([(1, "mlp")], tiles, np.ones((2, 6)), names=["a/1", "a/2"])
    assert counts.quality == {(1, "mlp"): 3.0}


def counted(mlp: np.ndarray, resmlp: np.ndarray) -> Counts:
    """What two exits and the final one counted in pictures where nobody is. mlp, resmlp: (n,)."""
    exits = [(1, "mlp"), (1, "resmlp"), (2, "final")]
    tiles = np.zeros((3, len(mlp), 6), np.float32)
    tiles[0, :, 0], tiles[1, :, 0] = mlp, resmlp
    names = [f"toy/{i}" for i in range(len(mlp))]
    return Counts(exits, tiles, np.zeros((len(mlp), 6)), names=names)


def test_a_counters_heads_are_judged_by_their_errors_each_on_its_own_terms():
    """One exit is off by a tenth more in every picture, the other by as much less as more."""
    model = MultiExitViT.untrained(
        thin_model(depth=2, heads=()).backbone, TASKS["crowd"], ("mlp", "resmlp"), layers=[1]
    )
    before, swing = np.full(40, 10.0), np.tile([1.0, -1.0], 20)
    measured = iter([counted(before, before), counted(before * 1.1, before + swing)])
    stored, found = round_heads(model, lambda candidate: next(measured))
    assert stored["head_bits"] == {"mlp": 16, "resmlp": 8}
    assert found.exits == [(1, "mlp"), (1, "resmlp"), (2, "final")]
    assert found.counted[0].tolist() == before.tolist()
    assert found.counted[1].tolist() == (before + swing).tolist()
