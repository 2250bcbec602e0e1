"""Closed-form multiply-accumulates against PyTorch's own counter, which watches the real
operations."""

import pytest
import timm
import torch
from thin import thin_model
from timm.layers import GluMlp
from timm.models.vision_transformer import VisionTransformer
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from mvit.models import macs
from mvit.models.backbone import Backbone
from mvit.models.heads import HEADS
from mvit.models.multi_exit import FINAL, MultiExitViT
from mvit.models.transcrowd import transcrowd
from mvit.tasks import TASKS

DIM, GRID, OUT = 192, 14, 10
ONE_PERCENT = 0.01


def counted(work) -> float:
    """Multiply-accumulates that really happen, attention spelled out."""
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        work()
    return counter.get_total_flops() / 2


@pytest.fixture(scope="module")
def model():
    return MultiExitViT.untrained(
        Backbone.create("vit_tiny_patch16_224", OUT), TASKS["cifar10"], tuple(HEADS), [1, 7]
    ).eval()


@pytest.fixture(scope="module")
def tokens():
    return torch.randn(1, 1 + GRID**2, DIM)


def test_the_whole_backbone(model):
    image = torch.randn(1, 3, 224, 224)
    assert model.backbone_macs.total == pytest.approx(
        counted(lambda: model.backbone(image)), rel=ONE_PERCENT
    )


def test_each_part_of_the_backbone(model, tokens):
    parts, image = model.backbone_macs, torch.randn(1, 3, 224, 224)
    assert parts.embed == pytest.approx(
        counted(lambda: model.backbone.embed(image)), rel=ONE_PERCENT
    )
    assert parts.block == pytest.approx(
        counted(lambda: model.backbone.block(tokens, 3)), rel=ONE_PERCENT
    )
    assert parts.final == pytest.approx(
        counted(lambda: model.backbone.final(tokens)), rel=ONE_PERCENT
    )


@pytest.mark.parametrize("name", HEADS)
def test_each_head(name, tokens):
    head = HEADS[name](DIM, GRID, OUT).eval()
    assert head.macs == pytest.approx(counted(lambda: head(tokens)), rel=ONE_PERCENT)


def test_an_exit_costs_the_backbone_up_to_its_layer_and_its_own_head_alone(model):
    assert model.exit_macs(1, "vit") == model.backbone_macs.up_to(1) + model.head_at(1, "vit").macs
    assert model.exit_macs(7, "mlp") - model.exit_macs(1, "mlp") == 6 * model.backbone_macs.block
    assert model.exit_macs(12, FINAL) == model.backbone_macs.total


@pytest.mark.parametrize("dim, grid", [(192, 14), (768, 14), (768, 24), (384, 7)])
def test_mlp_is_the_cheapest_head_and_vit_costs_a_hundredth_of_a_layer(dim, grid):
    with torch.device("meta"):
        cost = {name: HEADS[name](dim, grid, OUT).macs for name in HEADS}
    assert min(cost, key=cost.get) == "mlp"
    layer = macs.encoder_layer(1 + grid**2, dim, 4 * dim)
    assert cost["vit"] < layer / 40 and sorted(cost, key=cost.get)[1] == "vit"


@pytest.mark.parametrize("dim, grid, batch", [(192, 14, 1), (192, 24, 6), (768, 14, 1)])
def test_a_vit_head_costs_exactly_what_pytorch_counts(dim, grid, batch):
    with torch.device("meta"):
        head = HEADS["vit"](dim, grid, OUT).eval()
        tokens = torch.empty(batch, 1 + grid**2, dim)
        assert batch * head.macs == counted(lambda: head(tokens))


def test_a_narrow_encoder_is_counted_with_its_own_hidden_width():
    model = thin_model(heads=("mlp",), depth=2)
    image = torch.randn(1, 3, 64, 64)
    assert model.backbone_macs.total == pytest.approx(
        counted(lambda: model.backbone(image)), rel=ONE_PERCENT
    )


KINDS = {
    "DeiT-III": {"no_embed_class": True, "init_values": 1e-6},
    "gated MLP, patches of 14": {"mlp_layer": GluMlp, "patch_size": 14, "img_size": 70},
    "thirty-six layers": {"depth": 36},
    "one channel": {"in_chans": 1},
    "mean of the patches": {"global_pool": "avg"},
}


@pytest.mark.parametrize("options", KINDS.values(), ids=KINDS)
def test_every_kind_of_backbone_costs_what_pytorch_counts(options):
    size = {"img_size": 64, "embed_dim": 64, "depth": 2, "num_heads": 2, "num_classes": 3}
    with torch.device("meta"):
        vit = Backbone(VisionTransformer(**size | options)).vit.eval()
        x = torch.empty(1, options.get("in_chans", 3), *vit.patch_embed.img_size)
        assert macs.BackboneMacs(vit).total == counted(lambda: vit(x))


def test_every_plain_vit_of_timms_small_ones_is_counted_exactly_or_refused():
    counts, names = {}, ["test_vit*", "vit_tiny_r_*", "vit_small_patch1*", "deit3_small*16_224"]
    for name in timm.list_models(names):
        with torch.device("meta"):
            try:
                vit = Backbone.create(name, 3).vit.eval()
            except ValueError as refusal:
                assert "one class token" in str(refusal)
                continue
            x = torch.empty(1, 3, 224, 224)
            counts[name] = macs.BackboneMacs(vit).total, counted(lambda v=vit, x=x: v(x))
    assert {"deit3_small_patch16_224", "vit_small_patch16_36x1_224"} <= counts.keys()
    assert all(own == real for own, real in counts.values())
    assert not any("_r_" in name for name in counts)  # hybrids


@pytest.mark.parametrize("regressor", ["token", "gap"])
def test_a_counter_of_either_kind_costs_what_pytorch_counts(regressor):
    with torch.device("meta"):
        vit = transcrowd("vit_tiny_patch16_224", regressor).vit.eval()
        image = torch.empty(1, 3, 384, 384)
        assert macs.BackboneMacs(vit).total == counted(lambda: vit(image))
