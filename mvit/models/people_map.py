"""Where they are: how many people stand in each patch, read from the tokens after one layer."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn
from torch.nn import functional as F


class PeopleMap(nn.Module):
    """People in each patch of a tile: Norm, dense, GELU, dense, softplus, on every patch by itself,
    so the map's sum is a count and no patch is below zero.

    dim: channels that it reads. A grown network's tokens begin with the channels that it was grown
    from, so the same map reads them.
    """

    def __init__(self, dim: int, hidden: int = 64):
        super().__init__()
        self.dim, self.hidden = dim, hidden
        self.f1, self.f2 = nn.Linear(dim, hidden), nn.Linear(hidden, 1)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """tokens: (B, 1+N, D) -> people in each patch (B, N), float32."""
        return self.patches(tokens[:, 1:, : self.dim])

    def patches(self, patches: torch.Tensor) -> torch.Tensor:
        """The same for patches alone: (..., D) -> (...)."""
        return self.read(normed(patches))

    def read(self, patches: torch.Tensor) -> torch.Tensor:
        """The same for patches that are normalised already: (..., D) -> (...)."""
        return F.softplus(self.f2(F.gelu(self.f1(patches)))[..., 0])


def normed(patches: torch.Tensor) -> torch.Tensor:
    """Patches (..., D), each brought to mean 0 and spread 1: what the maps read, float32."""
    return F.layer_norm(patches.float(), patches.shape[-1:], eps=1e-6)


def people_maps(dim: int, layers: Iterable[int], hidden: int = 64) -> nn.ModuleDict:
    """A map after each of these layers, by the layer's number."""
    return nn.ModuleDict({str(layer): PeopleMap(dim, hidden) for layer in layers})
