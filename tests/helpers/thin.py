"""A small untrained model for tests that need blocks to run but no answer to be right."""

import dataclasses

import numpy as np
import torch
from timm.models.vision_transformer import VisionTransformer

from mvit.evaluation.predictions import Predictions
from mvit.models import growth
from mvit.models.backbone import Backbone
from mvit.models.multi_exit import FINAL, MultiExitViT
from mvit.tasks import Task

TASK = Task("thin", tuple("abcdefghij"), native_px=32, input_px=64)
PLAN = [(2, "mlp"), (4, "mlp"), (8, "resmlp"), (12, FINAL)]


def thin_model(
    dim: int = 64,
    depth: int = 12,
    px: int = 64,
    heads: tuple[str, ...] = ("mlp", "resmlp"),
    seed: int = 0,
) -> MultiExitViT:
    """A ViT of `depth` thin blocks with the given heads after every layer, in evaluation mode."""
    torch.manual_seed(seed)
    vit = VisionTransformer(
        img_size=px, patch_size=16, embed_dim=dim, depth=depth, num_heads=dim // 64, num_classes=10
    )
    task = dataclasses.replace(TASK, input_px=px)
    return MultiExitViT.untrained(Backbone(vit), task, heads).eval().requires_grad_(False)


def narrow(monkeypatch, px: int | None = None, **sizes: int) -> None:
    """Until it is undone, build every backbone of timm's a third as wide: ViT-Ti with one head of
    64 channels, others in proportion. px: only ViT-Ti and its like, for so many pixels."""
    create = Backbone.create.__func__

    def created(kind: type, name: str, *more, **options) -> Backbone:
        if px and (px != options.get("img_size") or not name.startswith("vit_")):
            return create(kind, name, *more, **options)
        heads = 4 if "_base_" in name else 2 if "_small_" in name else 1
        narrower = {"embed_dim": 64 * heads, "num_heads": heads} | sizes
        return create(kind, name, *more, **narrower | options)

    monkeypatch.setattr(Backbone, "create", classmethod(created))


def two_widths(monkeypatch) -> None:
    """For one test, build every backbone with two layers: one head of 64 channels for a ViT-Ti,
    else two."""
    create = Backbone.create.__func__

    def created(kind: type, name: str, *more, **options) -> Backbone:
        heads = 1 if "tiny" in name else 2
        sizes = {"embed_dim": 64 * heads, "num_heads": heads, "depth": 2}
        return create(kind, name, *more, **sizes | options)

    monkeypatch.setattr(Backbone, "create", classmethod(created))


def thin_base(monkeypatch) -> None:
    """For one test, build a ViT of 384 channels where a network is grown to ViT-B/16."""
    build, smaller = growth.backbone_for, {"vit_base_patch16_224": "vit_small_patch16_224"}

    def built(architecture: str, task: Task) -> Backbone:
        return build(smaller.get(architecture, architecture), task)

    monkeypatch.setattr(growth, "backbone_for", built)


def picture(seed: int = 0, side: int = 40) -> np.ndarray:
    """Random pixels: (side, side, 3) uint8."""
    return np.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=np.uint8)


def records(model: MultiExitViT, seed: int, head: str = "mlp") -> Predictions:
    """Made-up predictions of 500 pictures that grow right and sure with the layer."""
    rng = np.random.default_rng(seed)
    exits = model.plan(head)
    limit = np.linspace(0.5, 0.05, len(exits))[:, None]
    truth, ease = rng.integers(0, 10, 500), rng.random(500)
    confidence = np.clip(0.6 + 0.5 * (ease - limit), 0, 1)
    return Predictions(
        exits,
        np.where(ease > limit, truth, (truth + 1) % 10),
        confidence,
        entropy=1 - confidence,
        margin=confidence,
        truth=truth,
    )
