"""End-to-end and layer-wise training of a counter: backbone and exits learn together from random
squares, each exit from the count, the patches after some layers from where people are (see
mvit.training.counter)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from accelerate import Accelerator

from mvit.data.crowds import Tiles
from mvit.models.multi_exit import MultiExitViT
from mvit.training.counter import CrowdRecipe, patch_loss, readouts, squares_of
from mvit.training.finetune import explicit_attention
from mvit.training.joint import Lesson
from mvit.training.joint_loss import Phase, of_part, phase_logits
from mvit.training.loop import Step


@dataclass(kw_only=True)
class JointCrowdRecipe(CrowdRecipe):
    """How a counter's backbone and exits learn together: as in fine-tuning a counter, with a
    learning rate of their own for the exits, and gentler to early layers. start_share: as in
    `mvit.training.joint.JointRecipe`."""

    layer_decay: float = 0.9
    exit_rate: float = 1e-3
    start_share: float = 0.0


def counts(
    model: MultiExitViT,
    tiles: Tiles,
    phase: Phase,
    *,
    recipe: JointCrowdRecipe,
    accelerator: Accelerator,
) -> Lesson:
    """What a phase learns from tiles: the counts of its exits, each by its weight, and people in
    each patch after those of `recipe.patch_layers` that learn in it."""
    device, task, backbone = accelerator.device, model.task, model.backbone
    layers = [b for b in recipe.patch_layers if phase.first <= b <= phase.last]
    torch.manual_seed(recipe.seed)
    patches = readouts(backbone.dim, layers).to(device)

    def losses(step: Step) -> Iterator[torch.Tensor]:
        x, truth = squares_of(tiles, step, task, backbone=backbone, device=device)
        read = []

        def watch(layer: int, tokens: torch.Tensor) -> None:
            if str(layer) in patches:
                read.append(patches[str(layer)](tokens[:, 1:])[..., 0])

        with explicit_attention(model, device):
            logits = phase_logits(
                model, x, phase=phase, equilibrium=False, accelerator=accelerator, watch=watch
            )
        y = truth.sum(1)
        own = {key: task.loss(of_part(z, step.side, task), y) for key, z in logits.items()}
        total = sum(weight * own[key] for key, weight in phase.weights.items())
        if read:
            places = patch_loss(torch.stack(read), truth, task.people_per_unit)
            total = total + recipe.patch_weight * places
        yield total

    return Lesson(losses, along=patches, rate=recipe.learning_rate)
