"""timm's patch embedding and encoder layer in straight-line code, for timing's sake: the same
mathematics on the same weights.

A ViT-Ti layer at batch 1 takes about a millisecond, of which a twentieth is the way through timm's
dozen little modules (identities, dropouts, stochastic depth) that do nothing when nobody trains. A
layer is bit for bit timm's. The embedding writes the convolution, whose windows do not overlap, as
one matrix product, which sums in another order. All matrix products go through one function,
`unpacked`, so that packed weights (mvit.inference.packed) can take its place.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import torch
from timm.layers import Attention, Mlp, PatchEmbed
from timm.models.vision_transformer import Block, VisionTransformer
from torch import nn
from torch.nn import functional as F


class Dense(Protocol):
    """How a dense layer is computed: x (..., in) -> (..., out), then GELU, then `add` added."""

    def __call__(
        self,
        layer: nn.Linear | nn.Conv2d,
        x: torch.Tensor,
        *,
        gelu: bool = False,
        add: torch.Tensor | None = None,
    ) -> torch.Tensor: ...


class Packed(Dense, Protocol):
    """Dense layers that also know how to compute a head faster than its modules do."""

    def exit(self, head: nn.Module) -> Callable[[torch.Tensor], torch.Tensor]: ...


class Engine(Protocol):
    """What computes a run's layers on x: (B, 3, S, S); None stands for the modules."""

    def packed(self, model: nn.Module, x: torch.Tensor) -> Packed | None: ...


def matrix(layer: nn.Linear | nn.Conv2d) -> torch.Tensor:
    """The weight of a dense layer, or of a convolution whose windows do not overlap: (out, in)."""
    weight = layer.weight
    return weight if weight.ndim == 2 else weight.flatten(1)


def unpacked(
    layer: nn.Linear | nn.Conv2d,
    x: torch.Tensor,
    *,
    gelu: bool = False,
    add: torch.Tensor | None = None,
) -> torch.Tensor:
    """A dense layer, or a convolution whose windows x already holds, as PyTorch computes it."""
    found = F.linear(x, matrix(layer), layer.bias)
    if gelu:
        found = F.gelu(found)
    return found if add is None else found.add_(add)


def plain_layer(block: nn.Module) -> bool:
    """Whether a block is timm's plain one: no layer scale, no normalised queries, no gate, exact
    GELU, layer norms."""
    if type(block) is not Block or type(block.attn) is not Attention or type(block.mlp) is not Mlp:
        return False
    attn, mlp = block.attn, block.mlp
    idle = (block.ls1, block.ls2, attn.q_norm, attn.k_norm, attn.norm, mlp.norm)
    return (
        all(type(m) is nn.Identity for m in idle)
        and isinstance(block.norm1, nn.LayerNorm)
        and isinstance(block.norm2, nn.LayerNorm)
        and attn.gate is None
        and type(mlp.act) is nn.GELU
        and mlp.act.approximate == "none"
    )


def plain_embedding(vit: VisionTransformer) -> bool:
    """Whether a ViT embeds as the first one did: patches projected, class token in front, one
    learnt position for each token."""
    return (
        type(vit.patch_embed) is PatchEmbed
        and type(vit.patch_embed.norm) is nn.Identity
        and type(vit.norm_pre) is nn.Identity
        and vit.reg_token is None
        and vit.pos_embed is not None
        and not vit.no_embed_class
    )


def watched(module: nn.Module) -> bool:
    """Whether something needs the modules themselves: training, gradients or a hook on any of
    them."""
    if module.training or torch.is_grad_enabled():
        return True
    # Walked by hand: `modules()` takes longer than a small layer's own overhead.
    todo = [module]
    while todo:
        one = todo.pop()
        if one._forward_hooks or one._forward_pre_hooks:
            return True
        todo += filter(None, one._modules.values())
    return False


def embedding(vit: VisionTransformer, image: torch.Tensor, dense: Dense = unpacked) -> torch.Tensor:
    """Tokens of an image of the ViT's own size, if `plain_embedding` and not `watched`. image: (B,
    3, S, S) -> (B, 1+N, D)."""
    patch_embed = vit.patch_embed
    (rows, columns), (height, width) = patch_embed.grid_size, patch_embed.patch_size
    # (B, 3, rows, height, columns, width)
    windows = image.unflatten(3, (columns, width)).unflatten(2, (rows, height))
    # (B, N, 3 * height * width)
    windows = windows.permute(0, 2, 4, 1, 3, 5).flatten(3).flatten(1, 2)
    patches = dense(patch_embed.proj, windows)
    return torch.cat([vit.cls_token.expand(image.shape[0], -1, -1), patches], 1).add_(vit.pos_embed)


def encoder_layer(block: Block, x: torch.Tensor, dense: Dense = unpacked) -> torch.Tensor:
    """What `block(x)` says, if it is a `plain_layer` and not `watched`. x: (B, 1+N, D) -> (B, 1+N,
    D)."""
    attn, mlp, (b, n, d) = block.attn, block.mlp, x.shape
    # (B, h, 1+N, d)
    q, k, v = (
        dense(attn.qkv, _norm(block.norm1, x))
        .view(b, n, 3, attn.num_heads, -1)
        .permute(2, 0, 3, 1, 4)
        .unbind(0)
    )
    mixed = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(b, n, d)
    x = dense(attn.proj, mixed, add=x)
    return dense(mlp.fc2, dense(mlp.fc1, _norm(block.norm2, x), gelu=True), add=x)


def _norm(layer: nn.LayerNorm, x: torch.Tensor) -> torch.Tensor:
    return F.layer_norm(x, layer.normalized_shape, layer.weight, layer.bias, layer.eps)
