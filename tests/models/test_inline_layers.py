"""Straight-line code says what timm's modules say, and steps aside where they are needed."""

import copy

import pytest
import torch
from timm.models.vision_transformer import VisionTransformer
from toys import count_blocks

from mvit.models import backbone as module
from mvit.models.backbone import Backbone
from mvit.models.inline_layers import StraightLayer, embedding, plain_embedding, plain_layer


def small(**options) -> VisionTransformer:
    torch.manual_seed(0)
    vit = VisionTransformer(
        **{"img_size": 64, "embed_dim": 64, "depth": 3, "num_heads": 2, "num_classes": 7} | options
    ).eval()
    for p in vit.parameters():
        torch.nn.init.normal_(p, std=0.2)
    return vit


@pytest.fixture
def used(monkeypatch):
    """Which straight-line functions the backbone called, in order."""
    calls = []
    for where, name in ((module, "embedding"), (StraightLayer, "straight")):
        own = getattr(where, name)
        noted = lambda *a, own=own, name=name: (calls.append(name), own(*a))[1]  # noqa: E731
        monkeypatch.setattr(where, name, noted)
    return calls


def stepwise(backbone: Backbone, image: torch.Tensor) -> torch.Tensor:
    tokens = backbone.embed(image)
    for layer in range(1, backbone.depth + 1):
        tokens = backbone.block(tokens, layer)
    return tokens


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_layer_is_bit_for_bit_timms(dtype):
    block, x = small().blocks[0].to(dtype), torch.randn(2, 17, 64).to(dtype)
    before = x.clone()
    with torch.inference_mode():
        assert torch.equal(StraightLayer(block)(x), block(x))
    assert torch.equal(x, before)  # the caller's tokens stay: heads read them


def test_the_embedding_is_timms_up_to_rounding():
    vit, image = small(), torch.randn(2, 3, 64, 64)
    with torch.inference_mode():
        expected = vit._pos_embed(vit.patch_embed(image))
        assert (embedding(vit, image) - expected).abs().max() < 1e-5 * expected.abs().max()
        turned = image.transpose(2, 3)  # not contiguous
        assert torch.allclose(
            embedding(vit, turned), vit._pos_embed(vit.patch_embed(turned)), atol=1e-4
        )


def test_a_plain_backbone_takes_the_straight_way_when_nobody_watches(used):
    backbone, image = Backbone(small()), torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        stepwise(backbone, image)
    assert used == ["embedding", *["straight"] * 3]


def test_gradients_training_hooks_and_other_sizes_get_the_modules(used):
    backbone, image = Backbone(small(dynamic_img_size=True)), torch.randn(1, 3, 64, 64)
    stepwise(backbone, image).sum().backward()
    assert backbone.vit.blocks[0].mlp.fc1.weight.grad is not None
    with torch.no_grad():
        backbone.train()
        stepwise(backbone, image)
        backbone.eval()
        for block in backbone.vit.blocks:
            block.attn.fused_attn = False
        backbone.embed(torch.randn(1, 3, 96, 96))
        assert backbone.block(torch.randn(1, 17, 64), 2).shape == (1, 17, 64) and used == []
        for block in backbone.vit.blocks:
            block.attn.fused_attn = True
        ran = count_blocks(backbone)
        stepwise(backbone, image)
    assert ran == [1, 2, 3] and used == ["embedding"]


def test_what_is_changed_in_a_layer_counts_at_once(used):
    backbone, x = Backbone(small()), torch.randn(1, 17, 64)
    block = backbone.vit.blocks[1]
    with torch.inference_mode():
        first = backbone.block(x, 2)
        assert used == ["straight"]
        block.mlp.fc1 = torch.nn.Linear(64, 256)  # another module in its place
        assert torch.equal(backbone.block(x, 2), block(x)) and used == ["straight"]
        assert not torch.equal(block(x), first)
    twin = copy.deepcopy(backbone)
    with torch.no_grad():
        twin.vit.blocks[0].attn.proj.weight.zero_()
        assert torch.equal(twin.block(x, 1), twin.vit.blocks[0](x)) and used[1:] == ["straight"]
        assert not torch.equal(twin.block(x, 1), backbone.block(x, 1))
        backbone.vit.blocks[0] = block  # another layer in its place
        assert torch.equal(backbone.block(x, 1), block(x))


@pytest.mark.parametrize(
    "options", [{"init_values": 0.1}, {"qk_norm": True}, {"act_layer": torch.nn.ReLU}]
)
def test_another_layer_is_told_apart(options):
    assert (
        plain_layer(small().blocks[0])
        and not plain_layer(small(**options).blocks[0])
        and not plain_layer(torch.nn.Identity())
    )


@pytest.mark.parametrize(
    "options",
    [{"pre_norm": True}, {"no_embed_class": True}, {"reg_tokens": 2}, {"pos_embed": "none"}],
)
def test_another_embedding_is_told_apart(options):
    assert plain_embedding(small()) and not plain_embedding(small(**options))
