"""Closed-form multiply-accumulates (MACs) of one picture, attention products and heads included.

Counted as in the paper's figures: matrix products and convolutions (and FNet's transform);
additions, norms and activations are not.
"""

from __future__ import annotations

import math

from timm.models.vision_transformer import VisionTransformer
from torch import nn


def linear(rows: int, inputs: int, outputs: int) -> int:
    """A dense layer applied to `rows` vectors."""
    return rows * inputs * outputs


def conv(positions: int, kernel: int, inputs: int, outputs: int) -> int:
    """A square convolution evaluated at `positions` places."""
    return positions * kernel * kernel * inputs * outputs


def attention(tokens: int, dim: int) -> int:
    """Self-attention of all tokens: query, key, value and output projections, and the two products
    with the N x N weights."""
    return 4 * linear(tokens, dim, dim) + 2 * tokens * tokens * dim


def encoder_layer(tokens: int, dim: int, hidden: int) -> int:
    """One transformer encoder layer: attention, then the two-layer MLP on every token."""
    return attention(tokens, dim) + 2 * linear(tokens, dim, hidden)


def class_token_layer(tokens: int, dim: int, hidden: int, heads: int) -> int:
    """One transformer encoder layer for its class token alone (mvit.models.class_token): its query,
    that through the key weights, the heads' scores and mixtures of all tokens, value weights,
    projection, and the MLP."""
    own = 4 * linear(1, dim, dim) + 2 * linear(1, dim, hidden)
    return own + 2 * heads * tokens * dim


def fourier(rows: int, columns: int) -> int:
    """A two-dimensional fast Fourier transform: 5 n log2(n) operations by the usual count, and two
    operations are one MAC."""
    n = rows * columns
    return round(2.5 * n * math.log2(n))


def mlp(inputs: int, hidden: int, outputs: int) -> int:
    """The three dense layers that every head ends in."""
    return inputs * hidden + hidden * hidden + hidden * outputs


def dense(module: nn.Module) -> int:
    """All dense layers of a module, for one vector each."""
    return sum(m.weight.numel() for m in module.modules() if isinstance(m, nn.Linear))


class BackboneMacs:
    """MACs of a plain timm ViT (see `mvit.models.backbone`): `embed`, one `block`, the `final`
    exit, and `up_to(layer)`; read off its layers, so that a gated MLP costs what it computes."""

    def __init__(self, vit: VisionTransformer):
        patches, attn = vit.patch_embed.num_patches, vit.blocks[0].attn
        tokens = 1 + patches
        self.depth = len(vit.blocks)
        self.embed = patches * vit.patch_embed.proj.weight.numel()
        products = 2 * tokens * tokens * attn.num_heads * attn.head_dim
        self.block = tokens * dense(vit.blocks[0]) + products
        # a regressor that reads more than one vector says its own
        self.final = getattr(vit.head, "macs", dense(vit.head))

    def up_to(self, layer: int) -> int:
        """The backbone's share of an exit at `layer` (1..depth)."""
        return self.embed + layer * self.block

    @property
    def total(self) -> int:
        """The whole plain forward pass."""
        return self.up_to(self.depth) + self.final
