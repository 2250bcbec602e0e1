"""Learning only a change of low rank: nothing changes at first, only thin matrices learn, and whole
weights come out."""

import pytest
import torch
from torch import nn
from toys import same, snapshot

from mvit.models.backbone import Backbone
from mvit.training.finetune import Recipe, compile_layers, parameter_groups
from mvit.training.low_rank import LIFT, confine, low_rank, release

X = torch.randn(6, 3, 32, 32, generator=torch.Generator().manual_seed(0))


def layers() -> nn.Module:
    """A convolution and two dense layers, of which the last is too small to be confined."""
    torch.manual_seed(0)
    parts = [nn.Conv2d(3, 16, 8, stride=8), nn.Flatten(), nn.Linear(256, 32), nn.Linear(32, 3)]
    return nn.Sequential(*parts)


def learn(module: nn.Module, steps: int = 3) -> None:
    optimizer = torch.optim.AdamW(module.parameters(), lr=0.1)
    for _ in range(steps):
        module(X).square().mean().backward()
        optimizer.step()
        optimizer.zero_grad()


def test_confined_layers_begin_by_changing_nothing_and_learn_a_change_of_their_rank():
    module = layers()
    before, said = snapshot(module), module(X)
    confine(module, 2)
    assert torch.equal(module(X), said)
    learn(module)
    thin = module(X)
    release(module)
    assert torch.allclose(module(X), thin, atol=1e-5)
    after = snapshot(module)
    assert after.keys() == before.keys() and type(module[0]) is nn.Conv2d
    for name in ("0.weight", "2.weight"):
        change = (after[name] - before[name]).flatten(1)
        assert torch.linalg.matrix_rank(change, rtol=1e-4) == 2
    for name in ("2.bias", "3.weight"):
        assert not torch.equal(after[name], before[name])


def test_rank_0_learns_as_always():
    plain, other = layers(), layers()
    with low_rank(other, 0):
        learn(other)
    learn(plain)
    assert same(snapshot(plain), snapshot(other))


def test_an_error_within_leaves_whole_weights():
    module = layers()
    before = snapshot(module)
    with pytest.raises(KeyError), low_rank(module, 2):
        raise KeyError
    assert same(before, snapshot(module))


def test_thin_matrices_learn_faster_than_whole_weights_and_all_learn():
    backbone = Backbone.create("vit_tiny_patch16_224", 3, img_size=32, depth=2)
    recipe = Recipe(layer_decay=1.0)
    confine(backbone.vit, 4)
    rates = {p: g["lr"] for g in parameter_groups(backbone, recipe) for p in g["params"]}
    named = dict(backbone.vit.named_parameters())
    assert rates.keys() == set(named.values())
    layer = "blocks.0.mlp.fc1"
    assert rates[named[f"{layer}.up"]] == pytest.approx(LIFT * rates[named[f"{layer}.bias"]])


def test_compiling_layers_marks_each_and_is_not_copied(monkeypatch):
    backbone = Backbone.create("vit_tiny_patch16_224", 3, img_size=32, depth=2)
    asked = []
    monkeypatch.setattr(nn.Module, "compile", lambda self, **how: asked.append((self, how)))
    compile_layers(backbone)
    assert asked == [(block, {"dynamic": False}) for block in backbone.vit.blocks]
