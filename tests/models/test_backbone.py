"""The backbone: one block at a time says what timm's own forward pass says, and what is not a plain
ViT is refused."""

import pytest
import timm
import torch
from timm.models.vision_transformer import VisionTransformer
from toys import count_blocks

from mvit.models.backbone import Backbone


def small(**options) -> VisionTransformer:
    torch.manual_seed(0)
    return VisionTransformer(
        **{"img_size": 64, "embed_dim": 64, "depth": 5, "num_heads": 2, "num_classes": 7} | options
    ).eval()


@torch.inference_mode()
def stepwise(backbone: Backbone, image: torch.Tensor) -> torch.Tensor:
    tokens = backbone.embed(image)
    for layer in range(1, backbone.depth + 1):
        tokens = backbone.block(tokens, layer)
    return backbone.final(tokens)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"pre_norm": True},
        {"global_pool": "avg"},
        {"dynamic_img_size": True},
        {"no_embed_class": True},
        {"init_values": 0.1, "qk_norm": True},
    ],
)
def test_block_by_block_is_timms_own_forward(options):
    backbone, image = Backbone(small(**options)), torch.randn(2, 3, 64, 64)
    with torch.inference_mode():
        expected = backbone.vit(image)
    assert (stepwise(backbone, image) - expected).abs().max() < 1e-5
    assert (backbone(image) - expected).abs().max() < 1e-5


def test_a_created_vit_tiny_is_timms_at_the_asked_size_and_at_others():
    torch.manual_seed(0)
    backbone = Backbone.create("vit_tiny_patch16_224", 5, img_size=96).eval()
    assert (backbone.depth, backbone.dim, backbone.grid) == (12, 192, 6)
    for side in (96, 64):  # progressive resizing trains at other sizes than the last
        image = torch.randn(1, 3, side, side)
        with torch.inference_mode():
            expected = backbone.vit(image)
        assert expected.shape == (1, 5)
        assert (stepwise(backbone, image) - expected).abs().max() < 1e-5


def test_one_step_runs_one_layer_and_keeps_the_shape():
    backbone = Backbone(small())
    calls = count_blocks(backbone)
    tokens = backbone.embed(torch.randn(3, 3, 64, 64))
    assert tokens.shape == (3, 1 + 16, 64) and calls == []
    assert backbone.block(tokens, 4).shape == tokens.shape and calls == [4]


def test_the_weights_keep_timms_names():
    names = {name.removeprefix("vit.") for name in Backbone(small()).state_dict()}
    assert names == set(small().state_dict())


@pytest.mark.parametrize(
    "model",
    [
        lambda: timm.create_model("resnet18", num_classes=2),
        lambda: timm.create_model("deit_tiny_distilled_patch16_224"),
        lambda: small(class_token=False, global_pool="avg"),
        lambda: small(reg_tokens=4),
        lambda: torch.nn.Linear(2, 2),
    ],
    ids=["convolutional", "two class tokens", "no class token", "registers", "no ViT"],
)
def test_what_is_not_a_plain_vit_is_refused(model):
    with pytest.raises(ValueError, match="plain timm VisionTransformer with one class token"):
        Backbone(model())


@pytest.mark.parametrize(
    "name", ["resnet18", "deit_tiny_distilled_patch16_224", "vit_colossal_patch1_9999"]
)
def test_a_name_that_is_no_plain_vit_is_one_kind_of_error(name):
    with pytest.raises(ValueError):
        Backbone.create(name, 3)
