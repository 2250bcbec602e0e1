"""Packed weights say what the plain layers say, in every layer and head, and step aside where the
modules are needed."""

from collections.abc import Callable

import pytest
import torch
from thin import thin_model
from timm.models.vision_transformer import Block
from torch import nn

from mvit.inference.packed import LIBRARIES, Ending, Packed
from mvit.models.extra_heads import EVERY
from mvit.models.inline_layers import Unpacked, embedding


@pytest.fixture(params=LIBRARIES, ids=lambda library: library.name)
def packed(request) -> Packed:
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
def test_an_encoder_layer_agrees_and_leaves_the_tokens_that_heads_read(packed, batch):
    block, x = layer(), torch.randn(batch, 17, 64)
    before = x.clone()
    assert near(packed.layer(block)(x), block(x)) and not packed.problem
    assert torch.equal(x, before)


def test_the_embedding_agrees(packed):
    vit, image = made(thin_model).backbone.vit, torch.randn(2, 3, 64, 64)
    assert near(embedding(vit, image, packed.dense), embedding(vit, image)) and not packed.problem


@pytest.mark.parametrize("name", EVERY)
def test_every_head_agrees(packed, name):
    head, tokens = made(EVERY[name], 64, 4, 10), torch.randn(2, 17, 64)
    assert packed.exit(head) is packed.exit(head) is not head
    assert near(packed.exit(head)(tokens), head(tokens)) and not packed.problem


@pytest.mark.parametrize("batch, grid", [(1, 14), (6, 24)])
def test_a_vit_head_agrees_at_its_real_size_in_both_number_formats(packed, batch, grid):
    head, tokens = made(EVERY["vit"], 192, grid, 10), torch.randn(batch, 1 + grid**2, 192)
    exact = head(tokens)
    assert near(packed.exit(head)(tokens), exact) and not packed.problem
    if packed.library.name == "MKL":
        return  # in float32 only
    with torch.inference_mode(False):
        head.bfloat16()
    rounded = head(tokens.bfloat16()).float()
    found = packed.exit(head)(tokens.bfloat16())
    assert (found - exact).norm() < 2 * (rounded - exact).norm() and not packed.problem


def test_a_vit_heads_weights_that_change_are_laid_out_anew(packed):
    head, x = made(EVERY["vit"], 64, 4, 10), torch.randn(2, 17, 64)
    first = packed.exit(head)(x)
    with torch.inference_mode(False):
        head.encoder.attn.qkv.weight.mul_(3)
        head.encoder.attn.qkv.bias.add_(1)
    assert not near(packed.exit(head)(x), first)
    assert near(packed.exit(head)(x), head(x)) and not packed.problem


def test_a_weight_that_changes_is_laid_out_anew(packed):
    block, x = layer(), torch.randn(1, 17, 64)
    first = packed.layer(block)(x)
    with torch.inference_mode(False):
        block.mlp.fc1.weight.mul_(3)
    assert not near(packed.layer(block)(x), first)
    assert near(packed.layer(block)(x), block(x)) and not packed.problem
    with torch.inference_mode(False):
        block.double()
    assert near(packed.layer(block)(x.double()), block(x.double()))


def test_another_number_of_rows_is_no_obstacle(packed):
    block = layer()
    for tokens in (17, 5, 17):
        x = torch.randn(1, tokens, 64)
        assert near(packed.layer(block)(x), block(x)) and not packed.problem


def test_tokens_that_do_not_lie_in_order_are_no_obstacle(packed):
    linear, x = made(nn.Linear, 17, 8), torch.randn(2, 17, 64).transpose(1, 2)
    assert near(packed.dense(linear)(x), linear(x)) and not packed.problem


def test_a_head_that_learns_or_is_hooked_is_left_alone(packed):
    head = made(EVERY["mlp"], 64, 4, 10)
    assert packed.exit(head) is not head
    hook = head.mlp[0].register_forward_hook(lambda *_: None)
    assert packed.exit(head) is head
    hook.remove()
    assert packed.exit(head.train()) is head


def test_heads_are_packed_while_there_is_room(packed, monkeypatch):
    monkeypatch.setattr(packed, "_room", 100_000)
    heads = [made(EVERY["resmlp"], 64, 4, 10) for _ in range(3)]
    assert [packed.exit(head) is head for head in heads] == [False, True, True]
    assert packed.exit(heads[0]) is not heads[0]


def test_the_ending_is_computed_in_float32_and_follows_its_weights(packed):
    head, tokens = made(EVERY["mlp"], 64, 4, 10), torch.randn(1, 17, 64)
    exact = head(tokens)
    with torch.inference_mode(False):
        head.bfloat16()
    rounded = exact - head(tokens.bfloat16()).float()
    straight = packed.exit(head)
    found, bias = straight(tokens.bfloat16()), head.mlp[6].bias.float()
    assert found.dtype == torch.float32 and (exact - found).norm() < rounded.norm()
    with torch.inference_mode(False):
        head.mlp[6].bias.neg_()
    assert near(straight(tokens.bfloat16()), found - 2 * bias)
    with torch.inference_mode(False):
        head.load_state_dict({k: v.clone() for k, v in head.state_dict().items()}, assign=True)
        head.mlp[6].bias.neg_()
    assert near(straight(tokens.bfloat16()), found)


@pytest.mark.parametrize(
    "other",
    [
        nn.Sequential(nn.Linear(8, 8), nn.GELU(), nn.Linear(8, 8)),
        nn.Sequential(*[nn.Linear(8, 8), nn.ReLU(), nn.Dropout()] * 2, nn.Linear(8, 8)),
        nn.Sequential(*[nn.Linear(512, 512), nn.GELU(), nn.Dropout()] * 2, nn.Linear(512, 8)),
        nn.Linear(8, 8),
    ],
)
def test_only_a_small_mlp_as_heads_have_is_an_ending(other):
    assert Ending.fits(EVERY["mlp"](64, 4, 10).mlp) and not Ending.fits(other)


class Dying:
    """A library whose products fail."""

    name = "dying"

    def pack(self, weight, rows):
        return weight

    def product(self, *_, **how):
        raise RuntimeError("could not create a primitive\nand much more")


def test_a_product_that_dies_is_computed_plainly_from_then_on():
    linear, x, dying = made(nn.Linear, 64, 8), torch.randn(3, 64), Packed(Dying())
    assert torch.equal(dying.dense(linear)(x, gelu=True), Unpacked(linear)(x, gelu=True))
    assert dying.problem == "could not create a primitive"
