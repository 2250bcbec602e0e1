"""The last layer of a count exit, solved: it gets the truth back where there is one, and nothing
else moves."""

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from toys import same, snapshot

from mvit.data.crowds import Crowds
from mvit.models.multi_exit import FINAL, MultiExitViT
from mvit.models.transcrowd import transcrowd
from mvit.tasks import CrowdTask
from mvit.training.last_layer import (
    count_nobody,
    inputs_of_last_layers,
    last_linear,
    solve,
    solve_last_layers,
)

TASK = CrowdTask("crowd", input_px=384)


@pytest.fixture
def model():
    torch.manual_seed(0)
    backbone = transcrowd("vit_tiny_patch16_384", embed_dim=64, depth=2, num_heads=1)
    return MultiExitViT.untrained(backbone, TASK, ("mlp", "vit", "cnn_ignore"))


@pytest.fixture(scope="module")
def crowds():
    rng = np.random.default_rng(0)
    pictures = [rng.integers(0, 255, (768, 1152, 3), dtype=np.uint8) for _ in range(2)]
    return Crowds(pictures, [rng.uniform(0, 700, (60, 2)), np.empty((0, 2))], ["a/1", "a/2"])


def test_a_linear_truth_is_found_from_anywhere():
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(300, 5, generator=generator) * torch.tensor([1, 10, 0.1, 3, 1]) + 7
    truth = x @ torch.tensor([2.0, -0.3, 5.0, 0.0, 1.0]) - 4
    layer = torch.nn.Linear(5, 1)
    before, after = solve(
        layer,
        x,
        lambda logits: torch.nn.functional.smooth_l1_loss(logits[:, 0], truth, beta=0.05),
        ridge=0,
    )
    assert after < 1e-3 < before
    assert torch.allclose(layer(x)[:, 0], truth, atol=0.02)


def test_a_heavy_ridge_leaves_the_weights_and_mends_the_level():
    x = torch.randn(200, 4, generator=torch.Generator().manual_seed(1))
    layer = torch.nn.Linear(4, 1)
    truth = layer(x)[:, 0].detach() + 3
    weight, bias = layer.weight.detach().clone(), layer.bias.item()
    solve(
        layer,
        x,
        lambda logits: torch.nn.functional.smooth_l1_loss(logits[:, 0], truth, beta=0.05),
        ridge=1e6,
    )
    assert torch.allclose(layer.weight, weight, atol=1e-3) and layer.bias.item() == pytest.approx(
        bias + 3, abs=0.02
    )


def test_nobody_is_counted_where_nobody_is_and_all_else_stays():
    torch.manual_seed(2)
    x = torch.randn(400, 6).abs()
    x[:, 3] /= 10  # what tells empty tiles from all others
    x[:, 4:] = 0  # units that never fire, as many do behind a ReLU
    empty = torch.tensor([[0.3, 0.1, 0.0, 2.0, 0, 0]]) + 0.01 * torch.rand(20, 6)
    layer = torch.nn.Linear(6, 1)
    layer.bias.data += 3
    before, wrong = layer(x).detach(), layer(empty).abs().mean().item()
    count_nobody(layer, x, empty)
    assert layer(empty).abs().mean() < wrong / 10
    assert (layer(x) - before).abs().mean() < wrong / 10


def test_solving_hears_of_pictures_without_anyone(model, crowds, monkeypatch):
    heard = []
    monkeypatch.setattr(
        "mvit.training.last_layer.count_nobody", lambda layer, x, empty: heard.append(len(empty))
    )
    assert crowds.tiles().empty.tolist() == [False] * 6 + [True] * 6
    solve_last_layers(model, crowds.tiles(), Accelerator(cpu=True))
    assert heard == [12] * 7
    solve_last_layers(model, crowds.subset([0]).tiles(), Accelerator(cpu=True))
    assert len(heard) == 7


def test_every_exit_gets_better_and_only_its_last_layer_moves(model, crowds):
    before = snapshot(model)
    found = solve_last_layers(model, crowds.tiles(), Accelerator(cpu=True), ridge=1e-4)
    assert found["loss_after"] < found["loss_before"] and found["tiles"] == 2 * 12
    exits = [model.head_at(*e) for e in [*model.exits(), (2, FINAL)]]
    for module in exits:
        own = last_linear(module)
        assert own.out_features == 1 and own.weight.abs().sum() > 0
        own.weight.data.zero_(), own.bias.data.zero_()
    moved = {
        name for name, tensor in snapshot(model).items() if not torch.equal(tensor, before[name])
    }
    assert len(moved) == 2 * len(exits) and all("mlp.6." in m or "head.out." in m for m in moved)
    assert not any(m._forward_pre_hooks for m in model.modules())


def test_what_is_read_is_what_the_exit_says(model, crowds):
    inputs, tile = inputs_of_last_layers(model, crowds.tiles(), Accelerator(cpu=True))
    # a batch of tiles, then their mirror images
    assert tile.tolist() == 2 * list(range(12))
    x, _ = crowds.tiles().whole(torch.arange(12), TASK, torch.device("cpu"))
    for place in ((1, "vit"), (2, "cnn_ignore"), (2, FINAL)):
        expected = {(e.layer, e.head): e for e in model.run(x, [place])}[place]
        said = TASK.answers(last_linear(model.head_at(*place))(inputs[place][:12]))[:, 0]
        assert torch.allclose(
            said, torch.tensor(expected.scores), atol=1e-3 * max(1, said.abs().max().item())
        )


def test_the_model_is_as_usable_as_before(model, crowds):
    solve_last_layers(model, crowds.subset([0]).tiles(), Accelerator(cpu=True))
    assert same(snapshot(model), model.state_dict())
