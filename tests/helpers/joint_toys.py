"""A network of three thin blocks with exits, for joint training."""

import dataclasses

import torch
from thin import TASK
from timm.models.vision_transformer import VisionTransformer

from mvit.models.backbone import Backbone
from mvit.models.multi_exit import MultiExitViT

TINY = dataclasses.replace(TASK, labels=("a", "b", "c"), native_px=8, input_px=32)


def small(heads=("mlp",), layers=(1, 2), depth: int = 3, seed: int = 0) -> MultiExitViT:
    """Three thin blocks that take any picture size, with exits."""
    torch.manual_seed(seed)
    vit = VisionTransformer(
        img_size=32,
        patch_size=8,
        embed_dim=64,
        depth=depth,
        num_heads=1,
        num_classes=3,
        dynamic_img_size=True,
    )
    return MultiExitViT.untrained(Backbone(vit), TINY, heads, layers)
