"""The backbone: one block at a time says what timm's own forward pass says, and what is not a plain
ViT is refused."""

import pytest
import timm
import torch
from timm.layers import GluMlp
from timm.models.vision_transformer import ParallelScalingBlock, VisionTransformer
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
        {"init_values": 0.1, "no_embed_class": True, "dynamic_img_size": True},  # DeiT-III
        {"depth": 36, "init_values": 0.1},
        {"patch_size": 14, "img_size": 56, "mlp_layer": GluMlp},  # DINOv2's giant
    ],
)
def test_block_by_block_is_timms_own_forward(options):
    backbone = Backbone(small(**options))
    image = torch.randn(2, 3, *backbone.vit.patch_embed.img_size)
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


REFUSED = {
    "convolutional": (lambda: timm.create_model("resnet18", num_classes=2), "it is a ResNet"),
    "hybrid": (lambda: timm.create_model("vit_tiny_r_s16_p8_224"), "a convolutional stem"),
    "distilled": (lambda: timm.create_model("deit_tiny_distilled_patch16_224"), "2 class tokens"),
    "no class token": (lambda: small(class_token=False, global_pool="avg"), "no class tokens"),
    "registers": (lambda: small(reg_tokens=4), "4 register token"),
    "a register alone": (
        lambda: small(class_token=False, reg_tokens=1, global_pool="avg"),
        "1 register token",
    ),
    "parallel layers": (lambda: small(block_fn=ParallelScalingBlock), "ParallelScalingBlock"),
    "attention pooling": (lambda: small(global_pool="map"), "pools its tokens with attention"),
    "patches that leave a rest": (lambda: small(patch_size=14), "14 pixels do not divide .* 64"),
    "not square": (lambda: small(img_size=(64, 96)), "4 x 6 patches is not square"),
    "no ViT": (lambda: torch.nn.Linear(2, 2), "it is a Linear"),
}


@pytest.mark.parametrize("model, why", REFUSED.values(), ids=REFUSED)
def test_what_is_not_a_plain_vit_is_refused_in_one_sentence(model, why):
    plain = "plain timm VisionTransformer with one class token"
    with pytest.raises(ValueError, match=f"{plain}.*{why}") as refusal:
        Backbone(model())
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    "name",
    [
        "resnet18",
        "deit_tiny_distilled_patch16_224",
        "vit_tiny_r_s16_p8_224",
        "beit_base_patch16_224",
        "vit_medium_patch16_reg1_gap_256",
        "vit_colossal_patch1_9999",
    ],
)
def test_a_name_that_is_no_plain_vit_is_refused_by_name(name):
    with torch.device("meta"), pytest.raises(ValueError, match=f"'{name}' cannot be a backbone: "):
        Backbone.create(name, 3)


def test_patches_that_do_not_divide_the_pictures_are_refused_before_anything_runs():
    with torch.device("meta"):
        assert Backbone.create("vit_small_patch14_dinov2", 3, img_size=224).grid == 16
        with pytest.raises(ValueError, match="patches of 14 pixels do not divide pictures of 384"):
            Backbone.create("vit_small_patch14_dinov2", 3, img_size=384)
