"""Heads beyond the paper's seven, named by it as future work: gMLP, FNet and Perceiver layers as
early exits.

They are built, trained and run like the seven. A new one is one class here and one line in EXTRA;
`EVERY` is what can be loaded.
"""

from __future__ import annotations

from functools import partial
from typing import ClassVar

import torch
from timm.layers import AttentionPoolLatent
from timm.models.mlp_mixer import SpatialGatingUnit
from timm.models.vision_transformer import Block
from torch import nn
from torch.nn import functional as F

from mvit.models import macs
from mvit.models.heads import HEADS, Head

LayerNorm = partial(nn.LayerNorm, eps=1e-6)


class GMLPHead(Head):
    """`gmlp`: one gMLP block (Liu et al., 2021, section 2), Y = X + V s(gelu(U Norm(X))), s(Z1, Z2)
    = Z1 * (W Norm(Z2) + b); global average pooling. `s` is the spatial gate: each channel of one
    half is multiplied by a mixture of the other's places."""

    about = "runs one gated MLP layer, in which patches let each other through."
    side_by_side: ClassVar = {"u": (2, 1)}  # the gate and what it gates

    def __init__(self, dim: int, grid: int, out: int):
        super().__init__(dim, grid, out)
        self.norm = LayerNorm(dim)
        self.u, self.v = nn.Linear(dim, 2 * dim), nn.Linear(dim, dim)
        self.gate = SpatialGatingUnit(2 * dim, self.tokens)
        self.gate.init_weights()  # W near 0 and b = 1: the gate begins open, as published

    def describe(self, tokens: torch.Tensor) -> torch.Tensor:
        gated = self.gate(F.gelu(self.u(self.norm(tokens))))  # (B, 1+N, D)
        # V is linear, so the average over tokens may go before it: the same Y, once instead of 1+N
        # times.
        return tokens.mean(1) + self.v(gated.mean(1))

    @property
    def describe_macs(self) -> int:
        gating = macs.linear(self.dim, self.tokens, self.tokens)
        return (
            macs.linear(self.tokens, self.dim, 2 * self.dim)
            + gating
            + macs.linear(1, self.dim, self.dim)
        )


class FNetHead(Head):
    """`fnet`: one FNet encoder layer (Lee-Thorp et al., 2021, section 3.2) on X = Norm(P), U =
    Norm(X + Re(F_tokens(F_channels(X)))) ; Y = Norm(U + f2(gelu(f1(U)))), global average pooling.
    The Fourier transform F mixes tokens and channels and has nothing to learn.

    P is normalised first since FNet's layers hand each other normalised tokens and a ViT's do not;
    F keeps the norm, so that both terms of U weigh the same."""

    about = "runs one FNet layer: a Fourier transform, which needs no learning, mixes the patches."

    def __init__(self, dim: int, grid: int, out: int):
        super().__init__(dim, grid, out)
        self.norm0, self.norm1, self.norm2 = LayerNorm(dim), LayerNorm(dim), LayerNorm(dim)
        self.f1, self.f2 = nn.Linear(dim, 2 * dim), nn.Linear(2 * dim, dim)

    def describe(self, tokens: torch.Tensor) -> torch.Tensor:
        x = self.norm0(tokens)
        # transforms know no half precision
        mixed = torch.fft.fft2(x.float(), norm="ortho").real.to(x.dtype)
        u = self.norm1(x + mixed)  # (B, 1+N, D)
        return self.norm2(u + self.f2(F.gelu(self.f1(u)))).mean(1)

    @property
    def describe_macs(self) -> int:
        return macs.fourier(self.tokens, self.dim) + 2 * macs.linear(
            self.tokens, self.dim, 2 * self.dim
        )


class PerceiverHead(Head):
    """`perceiver`: a few learned latents attend to all tokens, then to each other (Jaegle et al.,
    2021, section 3.1); average over the latents. Its cost grows with latents * tokens instead of
    tokens squared."""

    about = "asks all tokens a few learned questions (cross-attention)."
    side_by_side: ClassVar = {"qkv": (3, 1), "kv": (2, 1)}

    latents, any_grid = 16, True

    def __init__(self, dim: int, grid: int, out: int):
        super().__init__(dim, grid, out)
        heads = max(1, dim // 64)
        self.norm = LayerNorm(dim)
        self.cross = AttentionPoolLatent(
            dim,
            num_heads=heads,
            mlp_ratio=2,
            latent_len=self.latents,
            pool_type="",
            norm_layer=LayerNorm,
        )
        self.latent = Block(dim, num_heads=heads, mlp_ratio=2, qkv_bias=True, norm_layer=LayerNorm)
        self.norm2 = LayerNorm(dim)

    def describe(self, tokens: torch.Tensor) -> torch.Tensor:
        found = self.cross(self.norm(tokens))  # (B, latents, D)
        return self.norm2(self.latent(found)).mean(1)

    @property
    def describe_macs(self) -> int:
        n, d = self.latents, self.dim
        asking = (
            macs.linear(self.tokens, d, 2 * d) + 2 * macs.linear(n, d, d) + 2 * n * self.tokens * d
        )
        return asking + 2 * macs.linear(n, d, 2 * d) + macs.encoder_layer(n, d, 2 * d)


class MLPMeanHead(Head):
    """`mlp_mean`: as `mlp`, with the average of the patches beside the class token: Norm(P), p0 and
    the mean of p1..pN. At early layers the class token has gathered little, the patches have."""

    about = "reads the class token and the average of the patches; three dense layers."
    side_by_side: ClassVar = {"mlp.0": (1, 2)}

    any_grid = True

    def __init__(self, dim: int, grid: int, out: int):
        super().__init__(dim, grid, out, features=2 * dim)
        self.norm = LayerNorm(dim)

    def describe(self, tokens: torch.Tensor) -> torch.Tensor:
        normed = self.norm(tokens)
        return torch.cat([normed[:, 0], normed[:, 1:].mean(1)], 1)  # (B, 2 D)


class LensHead(Head):
    """`lens`: what the final exit would read, guessed linearly (the tuned lens, Belrose et al.,
    2023, section 3): class token, mean and standard deviation of the patches, each brought to mean
    0 and spread 1, then one dense layer to the D features of the final exit and the classifier on
    them.

    It can be solved in closed form, so a few thousand photos without labels teach it
    (mvit.training.distill)."""

    about = "looks ahead: one linear map estimates what the last layer would give, and reads that."
    side_by_side: ClassVar = {"mlp.0": (1, 3)}

    any_grid = True

    def __init__(self, dim: int, grid: int, out: int):
        super().__init__(dim, grid, out, features=3 * dim)
        self.distil()

    def describe(self, tokens: torch.Tensor) -> torch.Tensor:
        patches = tokens[:, 1:]
        parts = tokens[:, 0], patches.mean(1), patches.std(1)
        return torch.cat([F.layer_norm(part, (self.dim,)) for part in parts], 1)  # (B, 3 D)


EXTRA: dict[str, type[Head]] = {
    "gmlp": GMLPHead,
    "fnet": FNetHead,
    "perceiver": PerceiverHead,
    "mlp_mean": MLPMeanHead,
    "lens": LensHead,
}
EVERY: dict[str, type[Head]] = HEADS | EXTRA


def build(name: str, dim: int, grid: int, out: int, *, distilled: bool = False) -> Head:
    """A fresh head of that name; distilled: one that ends in the final exit's features."""
    head = EVERY[name](dim, grid, out)
    return head.distil() if distilled else head


FUTURE_WORK = ("gmlp", "fnet", "perceiver")  # what the paper left for later (section V)
