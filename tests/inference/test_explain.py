"""Attributions: right shape and range, through no later block, the same from any context, and true
to what the exit reads."""

import numpy as np
import pytest
import torch

from mvit.inference.explain import METHODS, ExplainError, attribute
from mvit.models.backbone import Backbone
from mvit.models.multi_exit import FINAL, MultiExitViT, PlanError
from mvit.models.transcrowd import transcrowd
from mvit.models.truncated import Truncated
from mvit.tasks import CIFAR10_LABELS, TASKS, Task

PICTURE = np.random.default_rng(0).integers(0, 256, (50, 70, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def model() -> MultiExitViT:
    torch.manual_seed(0)
    task = Task("cifar10", CIFAR10_LABELS, native_px=32, input_px=64)
    model = MultiExitViT.untrained(
        Backbone.create("vit_tiny_patch16_224", 10, img_size=64), task, ("mlp", "resmlp")
    )
    return model.eval().requires_grad_(False)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("place", [(1, "mlp"), (5, "resmlp"), (12, FINAL)])
def test_every_method_gives_a_map_of_the_picture(model, method, place):
    heat = attribute(model, PICTURE, *place, method)
    assert heat.shape == (64, 64) and heat.dtype == np.float32
    assert heat.min() >= 0 and heat.max() == 1 and np.isfinite(heat).all()
    assert heat.std() > 0.01


@pytest.mark.parametrize("method", METHODS)
def test_no_later_block_runs(model, method):
    ran = []
    hooks = [
        block.register_forward_hook(lambda *_, i=i: ran.append(i))
        for i, block in enumerate(model.backbone.vit.blocks, 1)
    ]
    attribute(model, PICTURE, 4, "mlp", method)
    for hook in hooks:
        hook.remove()
    assert set(ran) == {1, 2, 3, 4}


def test_the_cut_network_answers_as_the_run_does(model):
    x = model.to_input(PICTURE)
    for layer, head in ((3, "resmlp"), (12, FINAL)):
        [fired] = model.run(PICTURE, [(layer, head)])
        for begin in (0, layer - 1):
            cut = Truncated(model, layer, head, begin=begin)
            with torch.no_grad():
                scores = cut(cut.tokens(x))[0].softmax(0)
            assert torch.allclose(scores, torch.tensor(fired.scores), atol=1e-5)


def test_it_works_inside_inference_mode_and_leaves_no_trace_on_the_model(model):
    outside = attribute(model, PICTURE, 3, "mlp")
    with torch.inference_mode():
        inside = attribute(model, model.to_input(PICTURE), 3, "mlp")
    assert np.allclose(outside, inside, atol=1e-5)
    assert all(p.grad is None and not p.requires_grad for p in model.parameters())
    assert not any(m._forward_hooks or m._backward_hooks for m in model.modules())


def test_another_class_gives_another_map(model):
    assert not np.allclose(
        attribute(model, PICTURE, 6, "mlp", target=0), attribute(model, PICTURE, 6, "mlp", target=1)
    )


def test_the_map_lights_where_an_exit_can_look():
    """A head that reads one corner only: its saliency after no mixing at all must lie in that
    corner."""
    torch.manual_seed(1)
    task = Task("cifar10", CIFAR10_LABELS, native_px=32, input_px=64)
    model = (
        MultiExitViT.untrained(
            Backbone.create("vit_tiny_patch16_224", 10, img_size=64), task, ("mlp",)
        )
        .eval()
        .requires_grad_(False)
    )
    model.backbone.vit.blocks[0] = torch.nn.Identity()  # the tokens stay apart

    class Corner(torch.nn.Module):
        def forward(self, tokens):
            return tokens[:, 1, :10]  # the first patch: top left

    model.heads["mlp"]["1"] = Corner()
    for method in METHODS:
        heat = attribute(model, PICTURE, 1, "mlp", method)
        assert heat[:12, :12].mean() > 10 * heat[32:, 32:].mean(), method


def test_nothing_to_see_gives_zeros_not_numbers_that_are_none(model):
    heat = attribute(model, PICTURE, 12, "mlp", "tokens", target=0)
    assert np.isfinite(heat).all()
    blank = attribute(_deaf(), PICTURE, 1, "mlp", "saliency")
    assert (blank == 0).all()


def _deaf() -> MultiExitViT:
    task = Task("cifar10", CIFAR10_LABELS, native_px=32, input_px=64)
    model = (
        MultiExitViT.untrained(
            Backbone.create("vit_tiny_patch16_224", 10, img_size=64), task, ("mlp",)
        )
        .eval()
        .requires_grad_(False)
    )
    model.heads["mlp"]["1"].mlp[-1].weight.zero_()
    return model


def test_unknown_names_are_refused_with_the_known_ones(model):
    with pytest.raises(ExplainError, match="integrated gradients"):
        attribute(model, PICTURE, 3, "mlp", "magic")
    with pytest.raises(PlanError):
        attribute(model, PICTURE, 13, "mlp")


@pytest.mark.parametrize("shape, whole", [((40, 60, 3), (768, 1152)), ((60, 40, 3), (1152, 768))])
@pytest.mark.parametrize("method", ["tokens", "saliency"])
def test_a_counters_tiles_are_explained_and_put_back_in_their_places(method, shape, whole):
    torch.manual_seed(0)
    task = TASKS["crowd"]
    counter = (
        MultiExitViT.untrained(transcrowd("vit_tiny_patch16_384", "token"), task, ("mlp",))
        .eval()
        .requires_grad_(False)
    )
    picture = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    heat = attribute(counter, picture, 1, "mlp", method)
    assert heat.shape == whole and heat.max() == 1 and heat.min() >= 0
    assert all(part.any() for half in np.split(heat, 2) for part in np.split(half, 2, axis=1))
