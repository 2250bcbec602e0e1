"""Growth: a wider network gives the same answers at every exit, costs what its width costs, and can
use that width when trained."""

import copy
import sys

import pytest
import torch
from bundles import BACKBONE
from thin import picture, thin_model
from timm.models import register_model
from timm.models.vision_transformer import VisionTransformer

import mvit
from mvit.bundles import weights
from mvit.clock import CpuClock
from mvit.models.backbone import Backbone
from mvit.models.extra_heads import EVERY
from mvit.models.growth import GrowthError, copied, grow, shares
from mvit.models.heads import HEADS
from mvit.models.multi_exit import FINAL, MultiExitViT
from mvit.models.transcrowd import transcrowd
from mvit.tasks import CrowdTask

BASE = "vit_base_patch16_224"
DEPTH = 2


def architecture(name: str, dim: int, **changes) -> None:
    """Let timm know a small plain ViT of that name."""

    def build(
        pretrained=False,
        pretrained_cfg=None,
        pretrained_cfg_overlay=None,
        cache_dir=None,
        **options,
    ):
        sizes = {"patch_size": 16, "embed_dim": dim, "depth": DEPTH, "num_heads": dim // 64}
        return VisionTransformer(**(sizes | changes | options))

    build.__name__, build.__module__ = name, __name__
    register_model(build)


sys.modules[__name__].__all__ = []  # timm notes its models there
for width in (64, 128, 192, 256, 320):
    architecture(f"thin_{width}", width)
architecture("thin_deep", 256, depth=3)
architecture("thin_patch", 256, patch_size=32)
architecture("thin_heads", 256, num_heads=8)
architecture("thin_ragged", 100, num_heads=1)


def trained(model: MultiExitViT) -> MultiExitViT:
    """The model with every parameter shaken, so that norms, biases and scales matter as after
    training."""
    generator = torch.Generator().manual_seed(1)
    for parameter in model.parameters():
        parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
    return model


def logits(model: MultiExitViT, x: torch.Tensor) -> dict:
    plan = [*model.exits(), (model.depth, FINAL)]
    return {
        (layer, head): found.float()
        for layer, head, found, _ in model.steps(x.to(model.dtype), plan, CpuClock())
    }


@pytest.fixture(scope="module")
def small() -> MultiExitViT:
    """Two blocks of 64 channels with every head that there is."""
    return trained(thin_model(64, DEPTH, heads=tuple(EVERY)))


@pytest.fixture(scope="module")
def x() -> torch.Tensor:
    return torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def large(small) -> MultiExitViT:
    return grow(small, "thin_256")


@pytest.mark.parametrize("head", [*HEADS, "gmlp", "perceiver"])
def test_every_exit_says_the_same_four_times_as_wide(small, large, x, head):
    before, after = logits(small, x), logits(large, x)
    for layer in range(1, DEPTH + 1):
        assert (after[layer, head] - before[layer, head]).abs().max() < 1e-4
        assert before[layer, head].std() > 0.01  # not one constant answer


def test_the_backbone_says_the_same_and_its_tokens_are_copies(small, large, x):
    assert (logits(small, x)[DEPTH, FINAL] - logits(large, x)[DEPTH, FINAL]).abs().max() < 1e-4
    tokens, wide = small.backbone.embed(x), large.backbone.embed(x)
    for layer in (1, DEPTH):
        tokens, wide = small.backbone.block(tokens, layer), large.backbone.block(wide, layer)
        assert all((part - tokens).abs().max() < 1e-4 for part in wide.split(64, dim=2))


@pytest.mark.parametrize("dim", [128, 192, 320])
def test_any_whole_factor_will_do(small, x, dim):
    heads = ["cnn_project", "mixer"]  # whose inner widths are no multiples then
    before, after = logits(small, x), logits(grow(small, f"thin_{dim}", heads), x)
    assert (
        max((after[e] - before[e]).abs().max() for e in after) < 1e-4
        and len(after) == 2 * DEPTH + 1
    )


def test_it_is_an_ordinary_wide_model_with_its_sizes_and_macs(large):
    names = list(large.heads)
    plain = MultiExitViT.untrained(Backbone.create("thin_256", 10, img_size=64), large.task, names)
    assert {k: v.shape for k, v in large.state_dict().items()} == {
        k: v.shape for k, v in plain.state_dict().items()
    }
    assert [large.exit_macs(*e) for e in large.exits()] == [
        plain.exit_macs(*e) for e in plain.exits()
    ]
    assert large.backbone.vit.blocks[0].attn.num_heads == 4 and not any(
        m.training for m in large.modules()
    )
    assert large.grown_from == "ViT of 64 channels" and plain.grown_from is None
    assert all(v.isfinite().all() for v in large.state_dict().values())


def test_fnet_mixes_channels_and_is_named_or_left_out(small, large):
    assert set(large.heads) == set(EVERY) - {"fnet"}
    with pytest.raises(GrowthError, match="head 'fnet' cannot be grown: repeated channels change"):
        grow(small, "thin_256", ["mlp", "fnet"])


def test_a_head_comes_out_the_same_alone_and_the_seed_decides(small, large):
    alone = grow(small, "thin_256", ["vit"])
    assert list(alone.heads) == ["vit"]
    other = grow(small, "thin_256", ["vit"], seed=1)
    for layer in "12":
        a, b, c = (m.heads["vit"][layer].encoder.mlp.fc1.weight for m in (large, alone, other))
        assert torch.equal(a, b) and not torch.allclose(a, c)


def test_training_can_tell_the_copies_apart(small, x):
    model = grow(small, "thin_128", []).requires_grad_(True)
    model.backbone(x).square().sum().backward()
    gradient = model.backbone.vit.blocks[0].mlp.fc1.weight.grad
    first, second = gradient.split(len(gradient) // 2)
    assert (first - second).abs().max() > 0.01 * gradient.abs().max()


def test_shares_are_positive_random_and_sum_to_one():
    source = copied(3, 7)
    assert source.tolist() == [0, 1, 2, 0, 1, 2, 0] and copied(4, 8, groups=2).tolist() == [
        0,
        1,
        0,
        1,
        2,
        3,
        2,
        3,
    ]
    found = shares(source, 5, torch.Generator().manual_seed(0))
    sums = torch.stack([found[:, source == c].sum(1) for c in range(3)])
    assert (
        torch.allclose(sums, torch.ones(3, 5))
        and (found > 0).all()
        and found[:, 0].unique().numel() == 5
    )
    assert torch.equal(shares(copied(3, 3), 2, torch.Generator()), torch.ones(2, 3))


def test_half_the_digits_keep_the_answers(small, x):
    model = grow(small, "thin_256", ["resmlp"], torch.bfloat16)
    assert {p.dtype for p in model.parameters()} == {torch.bfloat16}
    before, after = logits(small, x), logits(model, x)
    assert all((after[e].softmax(1) - before[e].softmax(1)).abs().max() < 0.03 for e in after)


@pytest.mark.parametrize(
    "to, words",
    [
        ("thin_deep", "3 encoder layers instead of 2"),
        ("thin_patch", "2 patches a side instead of 4"),
        ("thin_heads", "32 channels for an attention head instead of 64"),
        ("thin_ragged", "channels for an attention head"),
        ("thin_64", "64 channels are not a multiple of its 64"),
        ("no_such_vit", "no_such_vit"),
        ("resnet18", "'resnet18' cannot be a backbone"),
    ],
)
def test_what_is_no_wider_version_is_refused(small, to, words):
    with pytest.raises(GrowthError, match=words):
        grow(small, to)


def test_a_head_that_the_model_lacks_is_refused():
    with pytest.raises(GrowthError, match="has no head 'vit'; it has: mlp"):
        grow(thin_model(64, DEPTH, heads=("mlp",)), "thin_256", ["vit"])


def test_the_small_model_is_left_as_it_was(small):
    before = copy.deepcopy(small.state_dict())
    small.train()
    grow(small, "thin_128", ["mlp"])
    assert small.training and all(torch.equal(v, before[k]) for k, v in small.state_dict().items())
    small.eval()


@pytest.mark.parametrize("regressor", ["token", "gap"])
def test_a_counter_grows_where_its_regressor_can(x, regressor):
    task = CrowdTask("crowd", regressor=regressor, input_px=64)
    body = transcrowd("thin_64", regressor, 64).requires_grad_(False)
    model = trained(
        MultiExitViT(body, task, {"mlp": {1: HEADS["mlp"](64, 4, 1).requires_grad_(False)}}).eval()
    )
    if regressor == "gap":  # it averages neighbouring channels
        with pytest.raises(GrowthError, match="head 'final' cannot be grown"):
            grow(model, "thin_256")
        return
    before, after = logits(model, x), logits(grow(model, "thin_256"), x)
    assert max((after[e] - before[e]).abs().max() for e in before) < 1e-4


@pytest.mark.skipif(
    not (weights.ROOT / "cifar10" / BACKBONE / "card.json").exists(),
    reason="the bundled CIFAR-10 weights are not here",
)
def test_the_bundled_weights_grow_to_the_papers_size(monkeypatch):
    monkeypatch.setenv("MVIT_WEIGHTS", str(weights.ROOT))
    if ("cifar10", BASE) in weights.bundles():
        pytest.skip("ViT-B/16 has weights of its own here")
    heads = ["mlp"]
    small, large = (mvit.load("cifar10", b, device="cpu", heads=heads) for b in (BACKBONE, BASE))
    assert sum(p.numel() for p in large.backbone.parameters()) > 85e6 and large.backbone.dim == 768
    x = small.to_input(picture())
    before, after = logits(small, x), logits(large, x)
    assert len(before) == 13 and max((after[e] - before[e]).abs().max() for e in before) < 1e-4
