"""The network cut off behind one exit: what an early answer computes, and nothing else."""

from __future__ import annotations

import copy
from collections.abc import Callable

import torch
from torch import nn

from mvit.models.multi_exit import FINAL, MultiExitViT


class Truncated(nn.Module):
    """The backbone up to one layer and the head there. x: (B, 3, S, S), or the tokens (B, 1+N, D)
    after layer `begin` -> logits (B, out). Raises PlanError if there is no such exit."""

    def __init__(self, model: MultiExitViT, layer: int, head: str, *, begin: int = 0):
        super().__init__()
        self.backbone, self.layer, self.begin = model.backbone, layer, begin
        own = model.head_at(layer, head)
        self.exit: Callable = model.backbone.final if head == FINAL else own

    def tokens(self, x: torch.Tensor) -> torch.Tensor:
        """x: (B, 3, S, S) -> tokens (B, 1+N, D) after layer `begin`, where `forward` takes them
        up."""
        return self._blocks(self.backbone.embed(x), 1, self.begin)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        tokens = self.tokens(x) if x.ndim == 4 else x
        return self.exit(self._blocks(tokens, self.begin + 1, self.layer))

    def _blocks(self, tokens: torch.Tensor, first: int, last: int) -> torch.Tensor:
        for layer in range(first, last + 1):
            tokens = self.backbone.block(tokens, layer)
        return tokens

    def alone(self) -> Truncated:
        """A copy in float32 on the CPU that holds nothing of the later layers."""
        cut = copy.deepcopy(self).cpu().float().eval()
        vit = cut.backbone.vit
        vit.blocks = vit.blocks[: self.layer]
        if isinstance(cut.exit, nn.Module):  # an early head has no use for the final exit
            vit.norm = vit.fc_norm = vit.head = nn.Identity()
        return cut
