"""What exits minimise when they learn together with their backbone: the paper's weighted sum
(section III-C), and two ways that the field found later to let exits help each other.

Self-distillation (Phuong and Lampert, "Distillation-Based Training for Multi-Exit Architectures",
ICCV 2019): an early exit also learns the final exit's answer of that moment. Gradient equilibrium
(Li et al., "Improved Techniques for Training Adaptive Deep Networks", ICCV 2019): where an exit
branches off and k exits are left, that one included, its gradient is scaled by 1 / k on its way
into the backbone and that of all later exits by (k - 1) / k, so that no layer gets a larger
gradient for having more exits above it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from accelerate import Accelerator
from torch.nn import functional as F

from mvit.models.heads import Head
from mvit.models.multi_exit import FINAL, MultiExitViT

if TYPE_CHECKING:
    from mvit.tasks import Task
    from mvit.training.joint import JointRecipe

Key = tuple[int, str]
TEMPERATURE = 3.0  # of both answers in self-distillation: so that unlikely classes count too


@dataclass(frozen=True)
class Phase:
    """What learns together: encoder layers first..last (with the embedding if first is 1), and the
    exits in `weights`.

    weights: {(layer, head): how much that exit's loss counts}, the final exit under (L, "final").
    """

    first: int
    last: int
    weights: dict[Key, float]


class ScaledGradient(torch.autograd.Function):
    """The identity, whose gradient is multiplied by a factor."""

    @staticmethod
    def forward(ctx, tokens: torch.Tensor, factor: float) -> torch.Tensor:
        ctx.factor = factor
        return tokens.view_as(tokens)

    @staticmethod
    def backward(ctx, gradient: torch.Tensor) -> tuple[torch.Tensor, None]:
        return gradient * ctx.factor, None


def fitted(tokens: torch.Tensor, head: Head) -> torch.Tensor:
    """Tokens of a smaller picture as a head built for a grid * grid map takes them: (B, 1+n, D) ->
    (B, 1+N, D), the map enlarged."""
    side = math.isqrt(tokens.shape[1] - 1)
    if head.any_grid or side == head.grid:
        return tokens
    patches = tokens[:, 1:].transpose(1, 2).unflatten(2, (side, side))  # (B, D, side, side)
    patches = F.interpolate(patches, (head.grid, head.grid), mode="bilinear", align_corners=False)
    return torch.cat([tokens[:, :1], patches.flatten(2).transpose(1, 2)], 1)


def of_part(logits: torch.Tensor, side: int, task: Task) -> torch.Tensor:
    """What logits (B, out) say of pictures of `side` pixels a side. A counter's exit speaks for a
    whole tile; of a smaller square it counts by the share of the area."""
    return logits * (side / task.input_px) ** 2 if task.counts else logits


def phase_logits(
    model: MultiExitViT,
    x: torch.Tensor,
    *,
    phase: Phase,
    equilibrium: bool,
    accelerator: Accelerator,
    watch: Callable[[int, torch.Tensor], None] = lambda layer, tokens: None,
) -> dict[Key, torch.Tensor]:
    """The outputs (B, out) of a phase's exits on x: (B, 3, S, S), without gradient below its first
    layer. equilibrium: scale gradients where exits branch off. watch: is given the tokens (B, 1+N,
    D) after every layer."""
    found, left = {}, len({layer for layer, _ in phase.weights})
    with torch.set_grad_enabled(phase.first == 1), accelerator.autocast():
        tokens = model.backbone.embed(x)
    for layer in range(1, phase.last + 1):
        with torch.set_grad_enabled(layer >= phase.first), accelerator.autocast():
            tokens = model.backbone.block(tokens, layer)
            watch(layer, tokens)
        here = [head for at, head in phase.weights if at == layer]
        branch = tokens
        if here and equilibrium:
            branch = ScaledGradient.apply(tokens, 1 / left)
            tokens = ScaledGradient.apply(tokens, (left - 1) / left)
            left -= 1
        for name in here:
            with accelerator.autocast():
                head = model.head_at(layer, name)
                found[layer, name] = (
                    model.backbone.final(branch) if name == FINAL else head(fitted(branch, head))
                )
    return found


def phase_loss(
    model: MultiExitViT,
    x: torch.Tensor,
    y: torch.Tensor,
    *,
    phase: Phase,
    recipe: JointRecipe,
    accelerator: Accelerator,
) -> torch.Tensor:
    """The weighted sum of the losses of a phase's exits on x: (B, 3, S, S) with labels y: (B,)."""
    logits = phase_logits(
        model, x, phase=phase, equilibrium=recipe.gradient_equilibrium, accelerator=accelerator
    )
    final = logits.get((model.depth, FINAL))
    share = recipe.self_distillation if final is not None else 0.0
    total = torch.zeros((), device=x.device)
    for key, weight in phase.weights.items():
        loss = model.task.loss(logits[key], y)
        if share and key[1] != FINAL:
            loss = (1 - share) * loss + share * distance(logits[key], final.detach())
        total = total + weight * loss
    return total


def distance(student: torch.Tensor, teacher: torch.Tensor) -> torch.Tensor:
    """Kullback-Leibler divergence of softened answers, logits (B, out) both (Hinton et al., 2015:
    times the temperature squared, so that gradients keep their size)."""
    student, teacher = (F.log_softmax(z.float() / TEMPERATURE, 1) for z in (student, teacher))
    return TEMPERATURE**2 * F.kl_div(student, teacher, log_target=True, reduction="batchmean")
