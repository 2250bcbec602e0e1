"""A timm Vision Transformer, run one encoder block at a time."""

from __future__ import annotations

import timm
import torch
from timm.layers import Attention, PatchEmbed
from timm.models.vision_transformer import Block, VisionTransformer
from torch import nn

from mvit.models.inline_layers import (
    Packed,
    StraightLayer,
    Unpacked,
    Watch,
    embedding,
    plain_embedding,
    plain_layer,
)


def unlike(vit: nn.Module) -> str | None:
    """What keeps a model from being a backbone; None if it is a plain ViT with one class token.

    Heads read token 0 as the class token and lay the others out as a square map, and MACs are those
    of a patch embedding and of timm's own encoder layers. Whatever differs would give wrong numbers
    without a word, so it is refused.
    """
    if not isinstance(vit, VisionTransformer):
        return f"it is a {type(vit).__name__}"
    if not isinstance(vit.patch_embed, PatchEmbed):
        return "it is a hybrid: a convolutional stem comes before its patches"
    if vit.reg_token is not None:
        return f"it has {vit.reg_token.shape[1]} register token(s)"
    if vit.num_prefix_tokens != 1:
        return f"it has {vit.num_prefix_tokens or 'no'} class tokens"
    if strange := [b for b in vit.blocks if type(b) is not Block or type(b.attn) is not Attention]:
        attn = getattr(strange[0], "attn", None)
        kind = strange[0] if type(strange[0]) is not Block else attn
        return f"its layers are made of {type(kind).__name__}s"
    if vit.attn_pool is not None:
        return "it pools its tokens with attention"
    rows, columns = vit.patch_embed.grid_size
    if rows != columns:
        return f"its map of {rows} x {columns} patches is not square"
    if (side := vit.patch_embed.img_size[0]) % (patch := vit.patch_embed.patch_size[0]):
        return f"patches of {patch} pixels do not divide pictures of {side}"
    return None


class Backbone(nn.Module):
    """A plain ViT as: embed -> block 1 .. block L -> final exit. Holds the timm model itself, so
    its weights keep timm's names.

    Raises ValueError if the model is not a plain ViT with one class token.
    """

    def __init__(self, vit: VisionTransformer):
        super().__init__()
        if why := unlike(vit):
            raise ValueError(
                "the backbone must be a plain timm VisionTransformer with one class token, "
                f"such as vit_tiny_patch16_224; {why}"
            )
        self.vit = vit
        # False: its patches are embedded otherwise; else what tells whether modules are needed
        vit.straight = plain_embedding(vit) and Watch(vit.patch_embed)
        for block in vit.blocks:
            block.straight = StraightLayer(block) if plain_layer(block) else None

    @classmethod
    def create(
        cls, name: str, outputs: int, pretrained: bool = False, img_size: int = 224, **options
    ) -> Backbone:
        """Build the timm model `name` for square inputs of `img_size` pixels; `pretrained` asks the
        hub for its weights.

        Raises ValueError if timm has no such model, if it cannot be had from the hub, or if it is
        not a plain ViT.
        """
        sizes = {"num_classes": outputs, "img_size": img_size, "dynamic_img_size": True}
        if torch.get_default_device().type == "meta":
            # there is nothing to draw at random, and to draw it would import PyTorch's compiler
            options["weight_init"] = "skip"
        try:
            return cls(timm.create_model(name, pretrained=pretrained, **sizes, **options))
        except TypeError as error:  # a model without these options
            plain = "it is no plain timm VisionTransformer with one class token"
            raise ValueError(f"'{name}' cannot be a backbone: {plain} ({error})") from error
        except (RuntimeError, ValueError) as error:  # also a name that timm does not know
            raise ValueError(f"'{name}' cannot be a backbone: {error}") from error

    @property
    def depth(self) -> int:
        """Number L of encoder layers."""
        return len(self.vit.blocks)

    @property
    def dim(self) -> int:
        """Channels D of a token."""
        return self.vit.embed_dim

    @property
    def grid(self) -> int:
        """Side of the square patch map, so that N = grid * grid."""
        return self.vit.patch_embed.grid_size[0]

    def embed(self, image: torch.Tensor, packed: Packed | None = None) -> torch.Tensor:
        """image: (B, 3, H, W) -> tokens: (B, 1+N, D), class token first, positions added. packed:
        see `block`."""
        patches = self.vit.patch_embed
        if (
            self.vit.straight
            and tuple(image.shape[2:]) == patches.img_size
            and not self.vit.straight()
        ):
            return embedding(self.vit, image, packed.dense if packed else Unpacked)
        return self.vit.norm_pre(self.vit._pos_embed(self.vit.patch_embed(image)))

    def block(self, tokens: torch.Tensor, layer: int, packed: Packed | None = None) -> torch.Tensor:
        """Run encoder layer `layer` (1..L) alone. tokens: (B, 1+N, D) -> (B, 1+N, D).

        packed: what computes it where timm's modules themselves are not needed.
        """
        # as self.vit.blocks[layer - 1], which takes a twentieth of a small layer's time
        block = self._modules["vit"]._modules["blocks"]._modules[str(layer - 1)]
        straight = block.__dict__.get("straight")
        return (packed.layer(block) if packed and straight else straight or block)(tokens)

    def final(self, tokens: torch.Tensor, head: nn.Module | None = None) -> torch.Tensor:
        """The backbone's own exit. tokens after layer L: (B, 1+N, D) -> (B, out). head: computed in
        place of the backbone's own."""
        vit = self.vit
        if vit.global_pool == "token":
            tokens = tokens[:, :1]  # the norm acts on each token by itself
        return (head or vit.head)(vit.forward_head(vit.norm(tokens), pre_logits=True))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """The plain forward pass, exactly timm's. image: (B, 3, H, W) -> (B, out)."""
        return self.vit(image)
