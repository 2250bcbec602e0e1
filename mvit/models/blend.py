"""Means of networks with the same shapes, weight by weight: what learned from one start often
answers better between two trained states than at either (Wortsman et al., "Robust fine-tuning of
zero-shot models", CVPR 2022, and "Model soups", ICML 2022)."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn


@torch.no_grad()
def blend(model: nn.Module, other: Mapping[str, torch.Tensor], share: float) -> None:
    """Take a model, in place, `share` (0 to 1) of the way to other weights of its; what is not
    among those stays as it is."""
    for name, now in model.state_dict().items():
        if name in other and now.is_floating_point():
            now.lerp_(other[name].to(now), share)
