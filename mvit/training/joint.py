"""End-to-end and layer-wise training (paper, section III-C): backbone and exits learn together, all
at once or part by part.

Both are a list of phases. A phase says which encoder layers learn and how much the loss of each
exit counts; all else is frozen: end-to-end is one phase with everything in it, layer-wise has one
phase a branch. Classifier-wise training is in training.py.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from accelerate import Accelerator
from timm.optim import param_groups_weight_decay
from torch.optim.swa_utils import AveragedModel

from mvit.data.labelled import Pictures
from mvit.models.multi_exit import FINAL, MultiExitViT
from mvit.training.exits import name_of
from mvit.training.finetune import Recipe, explicit_attention, layer_of, mixed, parameter_groups
from mvit.training.joint_loss import Key, Phase, phase_loss
from mvit.training.loop import Loop, Step, TrainingError, begin, running_mean

if TYPE_CHECKING:
    from mvit.data.crowds import Tiles
    from mvit.training.joint_counter import JointCrowdRecipe

STRATEGIES = ("classifier-wise", "end-to-end", "layer-wise")


@dataclass(frozen=True)
class Lesson:
    """What a phase learns from: losses yields those of a step; along: modules that learn with the
    model and are thrown away afterwards, with their learning rate."""

    losses: Callable[[Step], Iterator[torch.Tensor]]
    along: torch.nn.Module | None = None
    rate: float = 0.0


@dataclass(kw_only=True)
class JointRecipe(Recipe):
    """How backbone and exits learn together: as in fine-tuning, with a learning rate of their own
    for the exits (they start from nothing).

    Layer-wise training goes through all the stages in each of its phases. What came after the
    paper, for end-to-end training: self_distillation, how much of an early exit's loss is its
    distance to the final exit's answer; gradient_equilibrium, whether every layer learns equally
    much from the exits above it (see mvit.training.joint_loss). start_share: how much
    of the way back to its start a trained model is left in the end (see mvit.models.blend).
    """

    # gentler than in fine-tuning: early layers now have exits of their own to serve
    layer_decay: float = 0.9
    exit_rate: float = 1e-3
    self_distillation: float = 0.0
    gradient_equilibrium: bool = False
    start_share: float = 0.0


def exit_weights(
    exits: Sequence[Key], depth: int, given: str | Sequence[float] = "half"
) -> dict[Key, float]:
    """lambda_b of every exit, for a final exit that weighs 1: `half` (the paper's choice: the final
    exit counts double), `depth` (layer b of L weighs b / L, so half in the middle), or one number a
    layer that has exits. Exits of one layer share its weight.

    Raises TrainingError if the numbers do not fit.
    """
    layers = sorted({layer for layer, _ in exits})
    if given == "half":
        values = [0.5] * len(layers)
    elif given == "depth":
        values = [layer / depth for layer in layers]
    else:
        values = list(given)
        if (
            isinstance(given, str)
            or len(values) != len(layers)
            or not all(math.isfinite(v) and v >= 0 for v in values)
        ):
            raise TrainingError(
                f"exit weights must be 'half', 'depth' or {len(layers)} numbers from 0, "
                "one for each layer with exits"
            )
    shared = {layer: sum(1 for other, _ in exits if other == layer) for layer in layers}
    return {(layer, head): values[layers.index(layer)] / shared[layer] for layer, head in exits}


def phases_of(
    model: MultiExitViT, strategy: str, weigh: str | Sequence[float] | None = None
) -> list[Phase]:
    """The phases of a strategy (paper, section III-C).

    End-to-end is one that minimises l + sum over b of lambda_b * l_b: everything learns from every
    exit, whose weights are as in `exit_weights`, by default `half` for one layer and `depth` for
    more. Layer-wise trains the network up to the first branch and its exit, then frozen; the layers
    up to the next branch; at last the rest with the final exit.
    """
    exits, final = model.exits(), (model.depth, FINAL)
    branches = sorted({layer for layer, _ in exits})
    if strategy == "end-to-end":
        weigh = weigh or ("depth" if len(branches) > 1 else "half")
        return [Phase(1, model.depth, exit_weights(exits, model.depth, weigh) | {final: 1.0})]
    phases, first = [], 1
    for branch in branches:
        here = [key for key in exits if key[0] == branch]
        phases.append(Phase(first, branch, dict.fromkeys(here, 1 / len(here))))
        first = branch + 1
    return [*phases, Phase(first, model.depth, {final: 1.0})]


def learners(
    model: MultiExitViT, phase: Phase, recipe: JointRecipe, lesson: Lesson | None = None
) -> torch.optim.Optimizer:
    """AdamW over what learns in a phase (all else is frozen): its last layer at the rate that
    fine-tuning gives layer L, those below it at falling ones, exits at their own rate, and what
    learns along with the lesson."""
    layers = set(range(phase.first, phase.last + 1))
    layers |= {0} if phase.first == 1 else set()
    layers |= {model.depth + 1} if (model.depth, FINAL) in phase.weights else set()
    model.requires_grad_(False)
    for name, parameter in model.backbone.named_parameters():
        parameter.requires_grad_(layer_of(name, model.depth) in layers)
    lift = recipe.layer_decay ** -(model.depth - phase.last)
    groups = parameter_groups(model.backbone, recipe, lift)
    for key in phase.weights:
        if key[1] != FINAL:
            head = model.head_at(*key).requires_grad_(True)
            groups += [
                g | {"lr": recipe.exit_rate}
                for g in param_groups_weight_decay(head, recipe.weight_decay)
            ]
    if lesson and lesson.along is not None:
        along = list(lesson.along.parameters())
        groups += [{"params": along, "lr": lesson.rate, "weight_decay": 0.0}] if along else []
    return torch.optim.AdamW(groups, fused=True)


def classes(
    model: MultiExitViT,
    train: Pictures,
    phase: Phase,
    *,
    recipe: JointRecipe,
    accelerator: Accelerator,
) -> Lesson:
    """What a phase learns from labelled pictures."""
    device, how = accelerator.device, {"recipe": recipe, "accelerator": accelerator}

    def losses(step: Step) -> Iterator[torch.Tensor]:
        x, y = train.augmented(
            step.index, model.task, step.side, generator=step.generator, device=device
        )
        x, y = mixed(x, y, model.task, chance=recipe.mix)
        with explicit_attention(model, device):
            loss = phase_loss(model, x, y, phase=phase, **how)
        yield loss

    return Lesson(losses)


def kept(
    model: MultiExitViT, lesson: Lesson, mean: AveragedModel | None
) -> MultiExitViT | torch.nn.ModuleDict:
    """What a checkpoint holds: the model, with what learns along and the running mean if there are
    any."""
    beside = {"along": lesson.along, "mean": mean}
    beside = {name: module for name, module in beside.items() if module is not None}
    return torch.nn.ModuleDict({"now": model, **beside}) if beside else model


def learn_together(
    model: MultiExitViT,
    phases: Sequence[Phase],
    *,
    train: Pictures | Tiles,
    recipe: JointRecipe | JointCrowdRecipe,
    accelerator: Accelerator,
    checkpoint: Path,
    known: dict | None = None,
    every: int = 200,
    lesson: Callable[..., Lesson] = classes,
) -> dict:
    """Train backbone and exits through the phases, each with the recipe's whole schedule, and leave
    them at the running mean of their weights, if the recipe has one; resumes from `checkpoint`,
    also in the middle of a phase. lesson: makes what a phase learns from, as `classes` does.

    Returns the progress: the exits' weights and the history of (phase, step, side in pixels, loss).
    Raises TrainingError at a loss that is no number, CheckpointError for a checkpoint of another.
    """
    weights = [{name_of(key): w for key, w in phase.weights.items()} for phase in phases]
    about = asdict(recipe) | {"training pictures": len(train), "exits and their weights": weights}
    progress = begin(checkpoint, about | (known or {}))
    progress = {"phase": 0, "weights": weights} | progress
    model.to(accelerator.device).train()
    begun = progress["phase"]
    for number, phase in enumerate(phases[begun:], begun):
        if number != begun:
            progress |= {"phase": number, "step": 0}
        own = lesson(model, train, phase, recipe=recipe, accelerator=accelerator)
        mean = running_mean(model, recipe.mean_decay) if recipe.mean_decay else None
        loop = Loop.along(
            recipe,
            len(train),
            losses=own.losses,
            state=kept(model, own, mean),
            optimizer=learners(model, phase, recipe, lesson=own),
            accelerator=accelerator,
            checkpoint=checkpoint,
            after=partial(mean.update_parameters, model) if mean else lambda: None,
            before=number * len(recipe.plan(len(train))),
            title="training" if len(phases) == 1 else f"part {number + 1} of {len(phases)}",
            part=number + 1,
        )
        if number == begun:
            loop.resume()
        loop.run(progress, every)
        model.load_state_dict((mean.module if mean else model).state_dict())
    model.eval().requires_grad_(False)
    return progress
