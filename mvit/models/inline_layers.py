"""timm's patch embedding and encoder layer in straight-line code, for timing's sake: the same
mathematics on the same weights.

A ViT-Ti layer at batch 1 takes about a millisecond, of which a twentieth is the way through timm's
dozen little modules (identities, dropouts, stochastic depth) that do nothing when nobody trains. A
layer is bit for bit timm's. The embedding writes the convolution, whose windows do not overlap, as
one matrix product, which sums in another order. Dense layers are computed by what `dense` makes of
them, so that packed weights (mvit.inference.packed) can take the place of plain ones. What a layer
needs is looked up once: on a slow processor Python's way to it took a sixth of a bfloat16 layer.
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
    """A dense layer, ready to be computed: x (..., in) -> (..., out), then GELU, then `add`
    added."""

    def __call__(
        self, x: torch.Tensor, gelu: bool = False, add: torch.Tensor | None = None
    ) -> torch.Tensor: ...


class Packed(Protocol):
    """Something that computes dense layers, encoder layers and heads faster than modules do."""

    def dense(self, layer: nn.Linear | nn.Conv2d) -> Dense: ...

    def layer(self, block: nn.Module) -> Callable[[torch.Tensor], torch.Tensor]: ...

    def exit(self, head: nn.Module) -> Callable[[torch.Tensor], torch.Tensor]: ...


class Engine(Protocol):
    """What computes a run's layers on x: (B, 3, S, S); None stands for the modules."""

    def packed(self, model: nn.Module, x: torch.Tensor) -> Packed | None: ...


def matrix(weight: torch.Tensor) -> torch.Tensor:
    """The weight of a dense layer, or of a convolution whose windows do not overlap: (out, in)."""
    return weight if weight.ndim == 2 else weight.flatten(1)


class Own:
    """The weight and bias of a layer as they are now: asked for by name, a module takes longer."""

    def __init__(self, layer: nn.Module):
        self.layer, self.parameters = layer, layer._parameters

    @property
    def weight(self) -> torch.Tensor:
        own = self.parameters.get("weight")
        # a layer that learns a change of low rank has none of its own
        return self.layer.weight if own is None else own

    @property
    def bias(self) -> torch.Tensor | None:
        return self.parameters["bias"]


class Unpacked(Own):
    """A dense layer, or a convolution whose windows x already holds, as PyTorch computes it."""

    def __call__(self, x, gelu=False, add=None):
        found = F.linear(x, matrix(self.weight), self.bias)
        if gelu:
            found = F.gelu(found)
        return found if add is None else found.add_(add)


class Norm(Own):
    """A layer norm."""

    def __init__(self, layer: nn.LayerNorm):
        super().__init__(layer)
        self.shape, self.eps = layer.normalized_shape, layer.eps

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        return torch.layer_norm(x, self.shape, self.weight, self.bias, self.eps)


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


class Watch:
    """Whether something needs a module itself: training, gradients, a hook on any of its modules,
    or one that was put in another's place."""

    def __init__(self, module: nn.Module):
        modules = list(module.modules())
        self.module = module
        self.hooks = [h for m in modules for h in (m._forward_hooks, m._forward_pre_hooks)]
        self.parts = [(m._modules, *part) for m in modules for part in m.named_children()]

    def __call__(self) -> bool:
        return (
            self.module.training
            or torch.is_grad_enabled()
            or any(self.hooks)
            or any(own.get(name) is not part for own, name, part in self.parts)
        )


def embedding(
    vit: VisionTransformer, image: torch.Tensor, dense: Callable[..., Dense] = Unpacked
) -> torch.Tensor:
    """Tokens of an image of the ViT's own size, if `plain_embedding` and nothing needs its modules.
    image: (B, 3, S, S) -> (B, 1+N, D)."""
    patch_embed = vit.patch_embed
    (rows, columns), (height, width) = patch_embed.grid_size, patch_embed.patch_size
    # (B, 3, rows, height, columns, width)
    windows = image.unflatten(3, (columns, width)).unflatten(2, (rows, height))
    # (B, N, 3 * height * width)
    windows = windows.permute(0, 2, 4, 1, 3, 5).flatten(3).flatten(1, 2)
    patches = dense(patch_embed.proj)(windows)
    return torch.cat([vit.cls_token.expand(image.shape[0], -1, -1), patches], 1).add_(vit.pos_embed)


class StraightLayer:
    """What a `plain_layer` says, in straight-line code, and by its modules where something needs
    them. dense: what computes each dense layer."""

    def __init__(self, block: Block, dense: Callable[[nn.Linear], Dense] = Unpacked):
        self.block, self.attn, self.watched = block, block.attn, Watch(block)
        self.norm1, self.norm2 = Norm(block.norm1), Norm(block.norm2)
        self.qkv, self.proj = dense(block.attn.qkv), dense(block.attn.proj)
        self.fc1, self.fc2 = dense(block.mlp.fc1), dense(block.mlp.fc2)

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """x: (B, 1+N, D) -> (B, 1+N, D)."""
        needed = not self.attn.fused_attn or self.watched()
        return self.block(x) if needed else self.straight(x)

    def straight(self, x: torch.Tensor) -> torch.Tensor:
        """As `block(x)`, if nothing needs the modules themselves."""
        b, n, d = x.shape
        # (B, h, 1+N, d)
        qkv = self.qkv(self.norm1(x)).view(b, n, 3, self.attn.num_heads, -1)
        q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        mixed = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(b, n, d)
        x = self.proj(mixed, add=x)
        return self.fc2(self.fc1(self.norm2(x), gelu=True), add=x)
