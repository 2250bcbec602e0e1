"""Packed weights say what the plain layers say, in every layer and head, and step aside where the
modules are needed."""

from collections.abc import Callable

import pytest
import torch
from thin import thin_model
from timm.models.vision_transformer import Block
from torch import nn

from mvit.inference.packed import LIBRARIES, Packed
from mvit.models.extra_heads import EVERY
from mvit.models.inline_layers import embedding, encoder_layer, unpacked


@pytest.fixture(params=LIBRARIES, ids=lambda library: library.name)
def dense(request) -> Packed:
    """Packed layers by each library that this PyTorch has."""
    try:
        return Packed(request.param())
    except AttributeError:
        pytest.skip("this PyTorch was built without it")


@pytest.fixture(autouse=True)
def _inference():
    torch.manual_seed(0)
    with torch.inference_mode():
        yield


def made(kind: Callable, *sizes, **options) -> nn.Module:
    """A module with weights as a loaded model has them."""
    with torch.inference_mode(False):
        return kind(*sizes, **options).eval().requires_grad_(False)


def layer() -> Block:
    return made(Block, 64, 2, qkv_bias=True)


def near(a: torch.Tensor, b: torch.Tensor) -> bool:
    return a.shape == b.shape and bool((a - b).abs().max() < 1e-5 * (1 + b.abs().max()))


@pytest.mark.parametrize("batch", [1, 6])
def test_an_encoder_layer_agrees_and_leaves_the_tokens_that_heads_read(dense, batch):
    block, x = layer(), torch.randn(batch, 17, 64)
    before = x.clone()
    assert near(encoder_layer(block, x, dense), block(x)) and not dense.problem
    assert torch.equal(x, before)


def test_the_embedding_agrees(dense):
    vit, image = made(thin_model).backbone.vit, torch.randn(2, 3, 64, 64)
    assert near(embedding(vit, image, dense), embedding(vit, image)) and not dense.problem


@pytest.mark.parametrize("name", EVERY)
def test_every_head_agrees(dense, name):
    head, tokens = made(EVERY[name], 64, 4, 10), torch.randn(2, 17, 64)
    assert dense.exit(head) is dense.exit(head) is not head
    assert near(dense.exit(head)(tokens), head(tokens)) and not dense.problem


def test_a_weight_that_changes_is_laid_out_anew(dense):
    block, x = layer(), torch.randn(1, 17, 64)
    first = encoder_layer(block, x, dense)
    with torch.inference_mode(False):
        block.mlp.fc1.weight.mul_(3)
    assert not near(encoder_layer(block, x, dense), first)
    assert near(encoder_layer(block, x, dense), block(x)) and not dense.problem
    with torch.inference_mode(False):
        block.double()
    assert near(encoder_layer(block, x.double(), dense), block(x.double()))


def test_another_number_of_rows_is_no_obstacle(dense):
    block = layer()
    for tokens in (17, 5, 17):
        x = torch.randn(1, tokens, 64)
        assert near(encoder_layer(block, x, dense), block(x)) and not dense.problem


def test_tokens_that_do_not_lie_in_order_are_no_obstacle(dense):
    linear, x = made(nn.Linear, 17, 8), torch.randn(2, 17, 64).transpose(1, 2)
    assert near(dense(linear, x), linear(x)) and not dense.problem


def test_a_head_that_learns_or_is_hooked_or_lean_is_left_alone(dense):
    head = made(EVERY["mlp"], 64, 4, 10)
    assert dense.exit(head) is not head
    hook = head.mlp[0].register_forward_hook(lambda *_: None)
    assert dense.exit(head) is head
    hook.remove()
    head.lean = True
    assert dense.exit(head) is head
    head.lean = False
    assert dense.exit(head.train()) is head


def test_heads_are_packed_while_there_is_room(dense, monkeypatch):
    monkeypatch.setattr(dense, "_room", 100_000)
    heads = [made(EVERY["resmlp"], 64, 4, 10) for _ in range(3)]
    assert [dense.exit(head) is head for head in heads] == [False, True, True]
    assert dense.exit(heads[0]) is not heads[0]


class Dying:
    """A library whose products fail."""

    name = "dying"

    def pack(self, weight, rows):
        return weight

    def product(self, *_, **how):
        raise RuntimeError("could not create a primitive\nand much more")


def test_a_product_that_dies_is_computed_plainly_from_then_on():
    linear, x, dying = made(nn.Linear, 64, 8), torch.randn(3, 64), Packed(Dying())
    assert torch.equal(dying(linear, x, gelu=True), unpacked(linear, x, gelu=True))
    assert dying.problem == "could not create a primitive"
