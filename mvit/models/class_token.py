"""timm's encoder layer, computed for its class token alone: the same weights, and the same answer
to rounding, at less than a hundredth of the multiply-accumulates.

A single query asks, so no token needs a key or a value of its own. With tokens x_i, a query q, and
the weights K, V and offsets k, v that make keys and values:

    q . (K x_i + k) = (K^T q) . x_i + q . k, and q . k, the same for all, changes no softmax;
    sum_i a_i (V x_i + v) = V (sum_i a_i x_i) + v, since the a_i add to one.

So each attention head's question is brought to the tokens, and their mixture back: one vector each,
instead of two for every token.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from timm.models.vision_transformer import Block
from torch.nn import functional as F

from mvit.models.inline_layers import Dense, Norm, Own, Unpacked


class ClassTokenLayer(Block):
    """What a plain encoder layer of timm's makes of the first token."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """x: (B, 1+N, D) -> (B, 1, D)."""
        qkv = self.attn.qkv
        mixed = attend(self.norm1(x), qkv.weight, qkv.bias, heads=self.attn.num_heads)
        p0 = x[:, :1] + self.attn.proj(mixed)
        return p0 + self.mlp(self.norm2(p0))


def attend(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, heads: int) -> torch.Tensor:
    """What the first token hears from all. x: (B, 1+N, D); weight: (3D, D) and bias: (3D,) of
    queries, keys and values -> (B, 1, D)."""
    b, _, d = x.shape
    _, to_keys, to_values = weight.view(3, heads, -1, d)  # (h, D/h, D)
    q = F.linear(x[:, 0], weight[:d], bias[:d]).view(b, heads, 1, -1) * (d // heads) ** -0.5
    shares = ((q @ to_keys).squeeze(2) @ x.transpose(1, 2)).softmax(-1)  # (B, h, 1+N)
    heard = (shares @ x).unsqueeze(2) @ to_values.transpose(1, 2)  # (B, h, 1, D/h)
    return heard.reshape(b, 1, d) + bias[2 * d :]


class StraightClassToken:
    """A ClassTokenLayer in straight-line code. dense: what computes each dense layer."""

    def __init__(self, layer: ClassTokenLayer, dense: Callable[..., Dense] = Unpacked):
        self.norm1, self.norm2 = Norm(layer.norm1), Norm(layer.norm2)
        self.qkv, self.heads = Own(layer.attn.qkv), layer.attn.num_heads
        self.proj = dense(layer.attn.proj)
        self.fc1, self.fc2 = dense(layer.mlp.fc1), dense(layer.mlp.fc2)

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """x: (B, 1+N, D) -> (B, 1, D), as the layer itself."""
        mixed = attend(self.norm1(x), self.qkv.weight, self.qkv.bias, heads=self.heads)
        p0 = self.proj(mixed, add=x[:, :1])
        return self.fc2(self.fc1(self.norm2(p0), gelu=True), add=p0)
