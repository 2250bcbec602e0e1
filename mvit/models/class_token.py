"""timm's encoder layer, computed for its class token alone: keys and values of all tokens, and the
query, the attention, the projection and the MLP of one. The same weights, and the same answer to
rounding, at about a seventh of the multiply-accumulates.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

import torch
from timm.models.vision_transformer import Block
from torch import nn
from torch.nn import functional as F

from mvit.models.inline_layers import Dense, Norm, Unpacked


class ClassTokenLayer(Block):
    """What a plain encoder layer of timm's makes of the first token."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """x: (B, 1+N, D) -> (B, 1, D)."""
        attn, normed, d = self.attn, self.norm1(x), x.shape[-1]
        weight, bias = attn.qkv.weight, attn.qkv.bias
        q = F.linear(normed[:, :1], weight[:d], bias[:d])
        kv = F.linear(normed, weight[d:], bias[d:])
        p0 = x[:, :1] + attn.proj(attend(q, kv, attn.num_heads))
        return p0 + self.mlp(self.norm2(p0))


def attend(q: torch.Tensor, kv: torch.Tensor, heads: int) -> torch.Tensor:
    """One token's query q: (B, 1, D) on all keys and values kv: (B, 1+N, 2D) -> (B, 1, D)."""
    b, n, _ = kv.shape
    k, v = kv.view(b, n, 2, heads, -1).permute(2, 0, 3, 1, 4).unbind(0)  # (B, h, 1+N, D/h)
    q = q.view(b, 1, heads, -1).transpose(1, 2)
    return F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(b, 1, -1)


class Rows:
    """Some outputs of a dense layer, computed alone."""

    _parameters: ClassVar = {}  # none of its own: it reads those that the layer has now

    def __init__(self, layer: nn.Linear, rows: slice):
        self.layer, self.rows = layer, rows

    @property
    def weight(self) -> torch.Tensor:
        return self.layer.weight[self.rows]

    @property
    def bias(self) -> torch.Tensor:
        return self.layer.bias[self.rows]


class StraightClassToken:
    """A ClassTokenLayer in straight-line code. dense: what computes each dense layer."""

    def __init__(self, layer: ClassTokenLayer, dense: Callable[..., Dense] = Unpacked):
        self.norm1, self.norm2 = Norm(layer.norm1), Norm(layer.norm2)
        self.heads, d = layer.attn.num_heads, layer.attn.qkv.in_features
        self.q = dense(Rows(layer.attn.qkv, slice(d)))
        self.kv = dense(Rows(layer.attn.qkv, slice(d, None)))
        self.proj = dense(layer.attn.proj)
        self.fc1, self.fc2 = dense(layer.mlp.fc1), dense(layer.mlp.fc2)

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """x: (B, 1+N, D) -> (B, 1, D), as the layer itself."""
        normed = self.norm1(x)
        mixed = attend(self.q(normed[:, :1]), self.kv(normed), self.heads)
        p0 = self.proj(mixed, add=x[:, :1])
        return self.fc2(self.fc1(self.norm2(p0), gelu=True), add=p0)
