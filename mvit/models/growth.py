"""Growth: a wider network that computes the same function (Net2WiderNet: Chen, Goodfellow and
Shlens, "Net2Net", ICLR 2016).

Every token (D channels) becomes k copies of itself side by side (k * D channels). So whatever a
layer puts out is repeated, and what it takes in from the copies is split among them by random
shares that sum to one: the sum is the same, and since the shares differ, training tells the copies
apart and uses the new width. Norms see the same mean and variance. Attention heads keep their 64
channels and with them their scale; there are k times as many. An exit is widened by the same rules
and checked on random tokens before it is used.
"""

from __future__ import annotations

import copy
import zlib
from collections.abc import Callable, Sequence

import torch
from torch import nn

from mvit.models.backbone import Backbone
from mvit.models.extra_heads import build
from mvit.models.heads import Head
from mvit.models.multi_exit import FINAL, MultiExitViT
from mvit.models.transcrowd import backbone_for
from mvit.tasks import Task

TOLERANCE = 1e-4  # of the logits, in float32


class GrowthError(ValueError):
    """A model or a head that cannot be grown to what was asked; the message names it and says
    why."""


def copied(small: int, large: int, groups: int = 1) -> torch.Tensor:
    """Which of `small` channels each of `large` channels copies: (large,). With groups (as in q, k,
    v) each group is widened by itself."""
    own, each = small // groups, large // groups
    return (torch.arange(groups)[:, None] * own + torch.arange(each) % own).flatten()


def shares(source: torch.Tensor, rows: int, generator: torch.Generator) -> torch.Tensor:
    """Random positive shares that sum to one over all copies of a channel: (rows, large), source:
    (large,) from `copied`."""
    weights = 0.5 + torch.rand(rows, len(source), generator=generator)
    totals = torch.zeros(rows, int(source.max()) + 1).index_add_(1, source, weights)
    return weights / totals[:, source]


def side_by_side(name: str, owner: nn.Module) -> tuple[int, int]:
    """How many vectors, each to be widened by itself, the outputs and the inputs of the owner's
    layer `name` are made of."""
    known = getattr(owner, "side_by_side", Head.side_by_side)
    return next((n for end, n in known.items() if f".{name}".endswith(f".{end}")), (1, 1))


@torch.no_grad()
def widen(narrow: nn.Module, wide: nn.Module, seed: int = 0) -> None:
    """Fill `wide`, the same architecture with more channels, so that it computes what `narrow`
    does; any dtype.

    Raises GrowthError if the two do not correspond or an attention head would change its width.
    """
    generator = torch.Generator().manual_seed(seed)
    small, large = dict(narrow.named_modules()), dict(wide.named_modules())
    if small.keys() != large.keys():
        raise GrowthError(
            f"the two do not correspond: {min(small.keys() ^ large.keys())} is in one only"
        )
    for name, module in small.items():
        if getattr(module, "head_dim", None) != getattr(large[name], "head_dim", None):
            raise GrowthError(
                f"{name} has attention heads of {module.head_dim} channels and would need "
                f"{large[name].head_dim}"
            )
        if type(module) is not type(large[name]):
            kinds = type(module).__name__, type(large[name]).__name__
            raise GrowthError(f"{name} is a {kinds[0]} in one and a {kinds[1]} in the other")
        outputs, inputs = side_by_side(name, narrow)
        for key, value in module.named_parameters(recurse=False):
            target = getattr(large[name], key)
            if key == "weight" and value.ndim > 1:
                _split(value, target, outputs, inputs=inputs, generator=generator)
            else:
                target.copy_(_repeat(value, target.shape, outputs))


def _repeat(value: torch.Tensor, shape: torch.Size, groups: int) -> torch.Tensor:
    """Repeat along every axis that grew."""
    for axis, size in enumerate(shape):
        if size != value.shape[axis]:
            value = value.index_select(axis, copied(value.shape[axis], size, groups))
    return value


def _split(
    value: torch.Tensor, target: torch.Tensor, outputs: int, inputs: int, generator: torch.Generator
) -> None:
    """Weights (O, I, ...) of a dense or convolutional layer: rows repeated, columns shared out anew
    for every repetition of the rows."""
    source = copied(value.shape[1], target.shape[1], inputs)
    for rows, place in zip(value.chunk(outputs), target.chunk(outputs), strict=True):
        spread, places = rows.index_select(1, source), place.split(len(rows))
        for split, part in zip(shares(source, len(places), generator), places, strict=True):
            torch.mul(spread[: len(part)], split.view(-1, *[1] * (value.ndim - 2)), out=part)


def grow(
    model: MultiExitViT,
    to: str,
    heads: Sequence[str] | None = None,
    dtype: torch.dtype | None = None,
    seed: int = 0,
) -> MultiExitViT:
    """Widen a model (float32, on the CPU) to timm's architecture `to`: same logits at every exit,
    at the wider network's cost.

    heads: which early heads to grow (by default all that can be); each comes out the same whatever
    others are asked for. dtype: of the result. `grown_from` of the result names the model's
    architecture. Raises GrowthError for an architecture that is no wider version of the model's
    (the same depth, patches, and width of an attention head), and for a wanted head that cannot be
    grown.
    """
    body, dtype = wider(model, to), dtype or model.dtype
    vit, sizes = model.backbone.vit, (1 + body.grid**2, model.backbone.dim, body.dim)
    if unknown := [name for name in heads or () if name not in model.heads]:
        raise GrowthError(f"the model has no head '{unknown[0]}'; it has: {', '.join(model.heads)}")
    _checked(FINAL, vit.head, copy.deepcopy(body.vit.head), sizes=sizes, seed=seed)
    body.vit.to(dtype).to_empty(device="cpu")
    widen(vit, body.vit, _seed(seed, "backbone"))
    grown = {}
    for name in model.heads if heads is None else heads:
        try:
            grown[name] = _grow_head(model, name, body, sizes=sizes, dtype=dtype, seed=seed)
        except GrowthError:
            if heads is not None:
                raise
    wide = MultiExitViT(
        body, model.task, grown, practical=[e for e in model.practical_exits if e[1] in grown]
    ).eval()
    wide.grown_from = (getattr(vit, "pretrained_cfg", None) or {}).get(
        "architecture"
    ) or f"ViT of {model.backbone.dim} channels"
    return wide


def _grow_head(
    model: MultiExitViT,
    name: str,
    body: Backbone,
    sizes: tuple[int, int, int],
    dtype: torch.dtype,
    seed: int,
) -> dict:
    """One head at all its layers, the first of them checked."""
    grown = {}
    for layer, head in model.heads[name].items():
        own, new = (
            _seed(seed, f"{name}:{layer}"),
            _meta(
                lambda head=head: build(
                    name, body.dim, body.grid, out=model.task.outputs, distilled=head.distilled
                )
            ),
        )
        if not grown:
            new = _checked(name, head, new, sizes=sizes, seed=own).to(dtype)
        else:
            widen(head, new.to(dtype).to_empty(device="cpu"), own)
        grown[int(layer)] = new
    return grown


def wider(model: MultiExitViT, to: str) -> Backbone:
    """The backbone to grow to, without storage (on the meta device). Raises GrowthError if it is no
    wider version of the model's."""
    with torch.device("meta"):
        try:
            body = backbone_for(to, model.task)
        except ValueError as error:
            raise GrowthError(str(error)) from error
    own, new = model.backbone, body
    for what, a, b in (
        ("encoder layers", own.depth, new.depth),
        ("patches a side", own.grid, new.grid),
        ("learnt positions", *(body.vit.pos_embed.shape[1] for body in (own, new))),
        (
            "channels for an attention head",
            own.vit.blocks[0].attn.head_dim,
            new.vit.blocks[0].attn.head_dim,
        ),
    ):
        if a != b:
            raise GrowthError(
                f"the model cannot grow to '{to}', which has {b} {what} instead of {a}"
            )
    if new.dim % own.dim or new.dim == own.dim:
        raise GrowthError(
            f"the model cannot grow to '{to}': {new.dim} channels are not a multiple of its "
            f"{own.dim}"
        )
    return body


def outline(
    architecture: str,
    task: Task,
    layers: Sequence[int],
    heads: Sequence[str],
    *,
    distilled: bool = False,
) -> MultiExitViT:
    """A model without storage (on the meta device): it cannot run, but knows its exits' sizes and
    MACs."""
    return _meta(
        lambda: MultiExitViT.untrained(
            backbone_for(architecture, task),
            task,
            heads,
            layers=[int(b) for b in layers],
            distilled=distilled,
        )
    )


def _meta(build: Callable[[], nn.Module]) -> nn.Module:
    with torch.device("meta"):
        return build()


def _seed(seed: int, name: str) -> int:
    return zlib.crc32(f"{seed}:{name}".encode())


@torch.no_grad()
def _checked(
    name: str, narrow: nn.Module, wide: nn.Module, sizes: tuple[int, int, int], seed: int
) -> nn.Module:
    """Grow one head in float32 and try it on random tokens. sizes: tokens 1+N, channels before,
    channels after.

    Raises GrowthError if it does not answer the same.
    """
    tokens, before, after = sizes
    narrow, wide = copy.deepcopy(narrow).float().eval(), wide.to_empty(device="cpu").eval()
    try:
        widen(narrow, wide, seed)
        x = torch.randn(1, tokens, before, generator=torch.Generator().manual_seed(seed))
        a, b = narrow(x), wide(x[..., copied(before, after)])
    except (GrowthError, RuntimeError) as error:
        raise GrowthError(f"head '{name}' cannot be grown: {error}") from error
    off = (a - b).abs().max().item() / max(1.0, a.abs().max().item())
    if not off <= TOLERANCE:
        raise GrowthError(
            f"head '{name}' cannot be grown: repeated channels change what its layers compute "
            f"(logits off by {off:.2g})"
        )
    return wide
