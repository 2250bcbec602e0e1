"""Closed-form multiply-accumulates (MACs) of one picture, attention products and heads included.

Counted as in the paper's figures: matrix products and convolutions (and FNet's transform);
additions, norms and activations are not.
"""

from __future__ import annotations

import math


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


def fourier(rows: int, columns: int) -> int:
    """A two-dimensional fast Fourier transform: 5 n log2(n) operations by the usual count, and two
    operations are one MAC."""
    n = rows * columns
    return round(2.5 * n * math.log2(n))


def mlp(inputs: int, hidden: int, outputs: int) -> int:
    """The three dense layers that every head ends in."""
    return inputs * hidden + hidden * hidden + hidden * outputs


class BackboneMacs:
    """MACs of a plain ViT: `embed`, one `block`, the `final` exit, and `up_to(layer)`."""

    def __init__(
        self,
        depth: int,
        dim: int,
        grid: int,
        patch: int,
        hidden: int,
        outputs: int,
        channels: int = 3,
    ):
        patches = grid * grid
        self.depth = depth
        self.embed = linear(patches, channels * patch * patch, dim)
        self.block = encoder_layer(1 + patches, dim, hidden)
        self.final = dim * outputs

    def up_to(self, layer: int) -> int:
        """The backbone's share of an exit at `layer` (1..depth)."""
        return self.embed + layer * self.block

    @property
    def total(self) -> int:
        """The whole plain forward pass."""
        return self.up_to(self.depth) + self.final
