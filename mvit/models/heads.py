"""The early-exit heads (paper, section III): one signature, seven architectures, one registry.

Every head is built as `Head(dim, grid, out)` and maps the tokens P of one layer, class token p0
first, to outputs: tokens: (B, 1+N, D) -> (B, out), N = grid * grid. Every head ends in the same
three-layer MLP and says its own MACs, its help text and what growth must know of it. A new head is
one class here and one line in HEADS.
"""

from __future__ import annotations

from functools import partial
from typing import ClassVar

import torch
from torch import nn
from torch.nn import functional as F

from mvit.models import macs
from mvit.models.class_token import ClassTokenLayer


class Head(nn.Module):
    """What all heads share: sizes, the closing MLP (three dense layers, two dropouts between them,
    GELU), and MACs."""

    def __init__(
        self, dim: int, grid: int, out: int, features: int | None = None, dropout: float = 0.1
    ):
        super().__init__()
        self.dim, self.grid, self.out = dim, grid, out
        self.tokens = 1 + grid * grid
        self.features = features or dim
        hidden = dim // 2
        self.mlp = nn.Sequential(
            nn.Linear(self.features, hidden),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Linear(hidden, hidden),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Linear(hidden, out),
        )

    def distil(self) -> Head:
        """Replace the MLP by one dense layer to the D features that the final exit's classifier
        reads, and room for that classifier; return the head."""
        self.mlp = nn.Sequential(nn.Linear(self.features, self.dim), nn.Linear(self.dim, self.out))
        self.distilled = True
        return self

    def describe(self, tokens: torch.Tensor) -> torch.Tensor:
        """What the head does before its MLP. tokens: (B, 1+N, D) -> (B, features)."""
        raise TypeError(f"{type(self).__name__} does not describe its tokens")

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return self.mlp(self.describe(tokens))

    @property
    def macs(self) -> int:
        """Multiply-accumulates of this head alone, for one picture."""
        if self.distilled:
            ending = macs.linear(1, self.features, self.dim) + macs.linear(1, self.dim, self.out)
        else:
            ending = macs.mlp(self.features, self.dim // 2, self.out)
        return self.describe_macs + ending

    describe_macs = 0
    # for a user who chooses a head: what it does, in a few words
    about = "an extra head"
    # for growth: of which layers the outputs, and the inputs, are how many vectors side by side
    side_by_side: ClassVar[dict[str, tuple[int, int]]] = {"qkv": (3, 1)}
    # True: takes any number of patches, so that small pictures need no enlarged map while training
    any_grid = False
    # True: ends in the features that the final exit's classifier reads, and in that classifier
    distilled = False


class MLPHead(Head):
    """`mlp`: Norm(P), take p0."""

    about = "reads only the class token; three dense layers. The cheapest."

    any_grid = True

    def __init__(self, dim: int, grid: int, out: int):
        super().__init__(dim, grid, out)
        self.norm = nn.LayerNorm(dim, eps=1e-6)

    def describe(self, tokens: torch.Tensor) -> torch.Tensor:
        return self.norm(tokens[:, 0])  # the norm acts on each token by itself, so only p0 needs it


class ViTHead(Head):
    """`vit`: one transformer encoder layer on P, Norm, take p0, which is all that is computed."""

    about = "runs one more transformer layer, but only what its class token needs, which it reads."

    any_grid = True

    def __init__(self, dim: int, grid: int, out: int):
        super().__init__(dim, grid, out)
        self.encoder = ClassTokenLayer(
            dim,
            num_heads=max(1, dim // 64),
            mlp_ratio=4,
            qkv_bias=True,
            norm_layer=partial(nn.LayerNorm, eps=1e-6),
        )
        self.norm = nn.LayerNorm(dim, eps=1e-6)

    def describe(self, tokens: torch.Tensor) -> torch.Tensor:
        return self.norm(self.encoder(tokens)[:, 0])

    @property
    def describe_macs(self) -> int:
        heads = self.encoder.attn.num_heads
        return macs.class_token_layer(self.tokens, self.dim, 4 * self.dim, heads=heads)


class ConvHead(Head):
    """What the three convolutional heads share: a 3 x 3 convolution over the patch map, max pooling
    to at most 7 x 7, flatten."""

    inputs_per_dim = 1

    def __init__(self, dim: int, grid: int, out: int):
        channels, window = dim // 6, -(-grid // 7)
        super().__init__(dim, grid, out, features=channels * (grid // window) ** 2)
        self.conv = nn.Conv2d(self.inputs_per_dim * dim, channels, kernel_size=3, padding=1)
        self.pool = nn.MaxPool2d(window)

    def map(self, p0: torch.Tensor, patches: torch.Tensor) -> torch.Tensor:
        """p0: (B, 1, D), patches: (B, N, D) -> the vectors (B, N, D or 2D) that make up the map."""
        raise TypeError(f"{type(self).__name__} does not lay out a map")

    def describe(self, tokens: torch.Tensor) -> torch.Tensor:
        vectors = self.map(tokens[:, :1], tokens[:, 1:])
        image = vectors.transpose(1, 2).unflatten(2, (self.grid, self.grid))  # (B, C, grid, grid)
        return self.pool(self.conv(image)).flatten(1)

    @property
    def describe_macs(self) -> int:
        return macs.conv(self.grid**2, 3, self.conv.in_channels, outputs=self.conv.out_channels)


class CNNAddHead(ConvHead):
    """`cnn_add`: patches + p0."""

    about = "adds the class token to every patch, then runs a convolution over the map of patches."

    def map(self, p0: torch.Tensor, patches: torch.Tensor) -> torch.Tensor:
        return patches + p0


class CNNProjectHead(ConvHead):
    """`cnn_project`: [patch, p0] concatenated on channels."""

    about = "puts the class token beside every patch's numbers, then runs a convolution."

    inputs_per_dim = 2
    side_by_side: ClassVar = {"conv": (1, 2)}

    def map(self, p0: torch.Tensor, patches: torch.Tensor) -> torch.Tensor:
        return torch.cat([patches, p0.expand_as(patches)], dim=2)


class CNNIgnoreHead(ConvHead):
    """`cnn_ignore`: patches alone."""

    about = "runs a convolution over the patches alone, without the class token."

    def map(self, p0: torch.Tensor, patches: torch.Tensor) -> torch.Tensor:
        return patches


class MixerHead(Head):
    """`mixer`: one MLP-Mixer layer, U = X + f2(gelu(f1(Norm(X)^T)))^T ; Y = U +
    f4(gelu(f3(Norm(U)))), global average pooling."""

    about = "runs one MLP-Mixer layer, which mixes the patches, then each patch's numbers."

    def __init__(self, dim: int, grid: int, out: int):
        super().__init__(dim, grid, out)
        self.norm1, self.norm2 = nn.LayerNorm(dim, eps=1e-6), nn.LayerNorm(dim, eps=1e-6)
        self.f1, self.f2 = nn.Linear(self.tokens, dim // 2), nn.Linear(dim // 2, self.tokens)
        self.f3, self.f4 = nn.Linear(dim, 2 * dim), nn.Linear(2 * dim, dim)

    def describe(self, tokens: torch.Tensor) -> torch.Tensor:
        # (B, 1+N, D)
        u = tokens + self.f2(F.gelu(self.f1(self.norm1(tokens).transpose(1, 2)))).transpose(1, 2)
        # f4 is linear, so the average over tokens may go before it: the same Y, once instead of 1+N
        # times.
        return u.mean(1) + self.f4(F.gelu(self.f3(self.norm2(u))).mean(1))

    @property
    def describe_macs(self) -> int:
        mixing = 2 * macs.linear(self.dim, self.tokens, self.dim // 2)
        return (
            mixing
            + macs.linear(self.tokens, self.dim, 2 * self.dim)
            + macs.linear(1, 2 * self.dim, self.dim)
        )


class Affine(nn.Module):
    """ResMLP's Aff(x) = diag(alpha) x + beta, instead of a norm."""

    def __init__(self, dim: int, alpha: float = 1.0):
        super().__init__()
        self.alpha, self.beta = (
            nn.Parameter(torch.full((dim,), alpha)),
            nn.Parameter(torch.zeros(dim)),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.addcmul(self.beta, x, self.alpha)


class ResMLPHead(Head):
    """`resmlp`: one ResMLP layer, U = X + Aff(f1(Aff(X)^T)^T) ; Y = U + Aff(f3(gelu(f2(Aff(U))))),
    global average pooling."""

    about = "runs one ResMLP layer, a simpler mixer with learned scales and no normalisation."

    def __init__(self, dim: int, grid: int, out: int):
        super().__init__(dim, grid, out)
        self.aff1, self.aff2 = Affine(dim), Affine(dim, 0.1)
        self.aff3, self.aff4 = Affine(dim), Affine(dim, 0.1)
        self.f1 = nn.Linear(self.tokens, self.tokens)
        self.f2, self.f3 = nn.Linear(dim, 2 * dim), nn.Linear(2 * dim, dim)

    def describe(self, tokens: torch.Tensor) -> torch.Tensor:
        # (B, 1+N, D)
        u = tokens + self.aff2(self.f1(self.aff1(tokens).transpose(1, 2)).transpose(1, 2))
        # Aff and f3 are linear, so the average over tokens may go before them: the same Y, once
        # instead of 1+N times.
        return u.mean(1) + self.aff4(self.f3(F.gelu(self.f2(self.aff3(u))).mean(1)))

    @property
    def describe_macs(self) -> int:
        mixing = macs.linear(self.dim, self.tokens, self.tokens)
        return (
            mixing
            + macs.linear(self.tokens, self.dim, 2 * self.dim)
            + macs.linear(1, 2 * self.dim, self.dim)
        )


HEADS: dict[str, type[Head]] = {
    "mlp": MLPHead,
    "vit": ViTHead,
    "cnn_add": CNNAddHead,
    "cnn_project": CNNProjectHead,
    "cnn_ignore": CNNIgnoreHead,
    "mixer": MixerHead,
    "resmlp": ResMLPHead,
}
