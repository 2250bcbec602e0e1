"""Learn only a change of low rank (LoRA: Hu et al., 2021): every dense and convolutional layer
keeps its weight W and learns two thin matrices, W + s * up @ down, which start at no change.

A grown network is stored as such a change (mvit.bundles.delta), so one that has learned in this way
loses nothing by being stored.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

SCALE = 32  # s is this over the rank, so that one learning rate does for every rank
LIFT = 10  # how much faster than whole weights thin matrices should learn


class Confined(nn.Module):
    """A layer whose weight is a fixed one and a change of low rank."""

    base: torch.Tensor

    @property
    def weight(self) -> torch.Tensor:
        """The weight as it is now, in the shape of the layer's."""
        change = (self.up @ self.down).view(self.base.shape)
        return self.base + SCALE / self.up.shape[1] * change


class ConfinedLinear(Confined, nn.Linear):
    """A dense layer."""


class ConfinedConv2d(Confined, nn.Conv2d):
    """A convolution."""


KINDS = {nn.Linear: ConfinedLinear, nn.Conv2d: ConfinedConv2d}


def confine(module: nn.Module, rank: int, seed: int = 0) -> None:
    """Let the layers of a module learn changes of this rank only, but for those that are so small
    that two thin matrices would be larger."""
    generator = torch.Generator().manual_seed(seed)
    for layer in list(module.modules()):
        weight = layer.weight if type(layer) in KINDS else None
        if weight is None or rank * sum(weight.flatten(1).shape) >= weight.numel():
            continue
        rows, columns = weight.flatten(1).shape
        down = torch.randn(rank, columns, generator=generator) / columns**0.5
        del layer.weight
        layer.__class__ = KINDS[type(layer)]
        layer.register_buffer("base", weight.detach())
        layer.up = nn.Parameter(weight.new_zeros(rows, rank))
        layer.down = nn.Parameter(down.to(weight))


@contextmanager
def low_rank(module: nn.Module, rank: int) -> Iterator[None]:
    """Within it a module learns changes of this rank; with rank 0 it learns as always."""
    if rank:
        confine(module, rank)
    try:
        yield
    finally:
        release(module)


@torch.no_grad()
def release(module: nn.Module) -> None:
    """Make whole weights of a module's fixed ones and their changes."""
    for layer in module.modules():
        if isinstance(layer, Confined):
            weight = nn.Parameter(layer.weight)
            for name in ("base", "up", "down"):
                delattr(layer, name)
            layer.__class__ = next(k for k, own in KINDS.items() if own is type(layer))
            layer.weight = weight
