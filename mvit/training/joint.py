"""End-to-end and layer-wise training (paper, section III-C): backbone and exits learn together, all
at once or part by part.

Both are a list of phases. A phase says which encoder layers learn and how much the loss of each
exit counts; all else is frozen: end-to-end is one phase with everything in it, layer-wise has one
phase a branch. Classifier-wise training is in training.py.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from accelerate import Accelerator
from torch.nn import functional as F
from tqdm import tqdm

from mvit.data.labelled import Pictures
from mvit.models.heads import Head
from mvit.models.multi_exit import FINAL, MultiExitViT
from mvit.training import checkpoints
from mvit.training.finetune import (
    Recipe,
    TrainingError,
    batch_of,
    explicit_attention,
    parameter_groups,
    schedule,
)

Key = tuple[int, str]
STRATEGIES = ("classifier-wise", "end-to-end", "layer-wise")


@dataclass
class JointRecipe(Recipe):
    """How backbone and exits learn together: as in fine-tuning, with a learning rate of their own
    for the exits (they start from nothing).

    Layer-wise training goes through all the stages in each of its phases.
    """

    # gentler than in fine-tuning: early layers now have exits of their own to serve
    layer_decay: float = 0.9
    exit_rate: float = 1e-3


@dataclass(frozen=True)
class Phase:
    """What learns together: encoder layers first..last (with the embedding if first is 1), and the
    exits in `weights`.

    weights: {(layer, head): how much that exit's loss counts}, the final exit under (L, "final").
    """

    first: int
    last: int
    weights: dict[Key, float]


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
                f"exit weights must be 'half', 'depth' or {len(layers)} numbers from 0, one for each layer with exits"
            )
    shared = {layer: sum(1 for other, _ in exits if other == layer) for layer in layers}
    return {(layer, head): values[layers.index(layer)] / shared[layer] for layer, head in exits}


def end_to_end_phases(model: MultiExitViT, weights: dict[Key, float]) -> list[Phase]:
    """One phase that minimises l + sum over b of lambda_b * l_b (paper, section III-C): everything
    learns from every exit."""
    return [Phase(1, model.depth, weights | {(model.depth, FINAL): 1.0})]


def layer_wise_phases(model: MultiExitViT) -> list[Phase]:
    """The network up to the first branch and its exit, then frozen; the layers up to the next
    branch; at last the rest with the final exit (paper, section III-C)."""
    phases, begin = [], 1
    for branch in sorted({layer for layer, _ in model.exits()}):
        here = [key for key in model.exits() if key[0] == branch]
        phases.append(Phase(begin, branch, dict.fromkeys(here, 1 / len(here))))
        begin = branch + 1
    return [*phases, Phase(begin, model.depth, {(model.depth, FINAL): 1.0})]


def end_to_end(
    model: MultiExitViT,
    train: Pictures,
    recipe: JointRecipe,
    accelerator: Accelerator,
    checkpoint: Path,
    weights: str | Sequence[float] = "half",
    save_every: int = 200,
    known: dict | None = None,
) -> dict:
    """Train backbone and exits together on l + sum of lambda_b l_b; resumes from `checkpoint`.
    `weights` as in `exit_weights`.

    Gives back the progress: the weights and the history of (phase, step, side in pixels, loss).
    Raises TrainingError on a loss that is not finite, CheckpointError if the checkpoint was begun
    with another recipe.
    """
    phases = end_to_end_phases(model, exit_weights(model.exits(), model.depth, weights))
    return learn(model, train, phases, recipe, accelerator, checkpoint, save_every, known)


def layer_wise(
    model: MultiExitViT,
    train: Pictures,
    recipe: JointRecipe,
    accelerator: Accelerator,
    checkpoint: Path,
    save_every: int = 200,
    known: dict | None = None,
) -> dict:
    """Train up to the first branch, freeze, go on with the next part; otherwise like
    `end_to_end`."""
    return learn(
        model, train, layer_wise_phases(model), recipe, accelerator, checkpoint, save_every, known
    )


def fitted(tokens: torch.Tensor, head: Head) -> torch.Tensor:
    """Tokens of a smaller picture as a head built for a grid * grid map takes them: (B, 1+n, D) ->
    (B, 1+N, D), the map enlarged."""
    side = math.isqrt(tokens.shape[1] - 1)
    if head.any_grid or side == head.grid:
        return tokens
    patches = tokens[:, 1:].transpose(1, 2).unflatten(2, (side, side))  # (B, D, side, side)
    patches = F.interpolate(patches, (head.grid, head.grid), mode="bilinear", align_corners=False)
    return torch.cat([tokens[:, :1], patches.flatten(2).transpose(1, 2)], 1)


def phase_loss(
    model: MultiExitViT, x: torch.Tensor, y: torch.Tensor, phase: Phase, accelerator: Accelerator
) -> torch.Tensor:
    """The weighted sum of the losses of a phase's exits on x: (B, 3, S, S); no gradient below its
    first layer."""
    total = torch.zeros((), device=x.device)
    with torch.set_grad_enabled(phase.first == 1), accelerator.autocast():
        tokens = model.backbone.embed(x)
    for layer in range(1, phase.last + 1):
        with torch.set_grad_enabled(layer >= phase.first), accelerator.autocast():
            tokens = model.backbone.block(tokens, layer)
        for key, weight in phase.weights.items():
            if key[0] == layer:
                with accelerator.autocast():
                    head = model.head_at(*key)
                    logits = (
                        model.backbone.final(tokens)
                        if key[1] == FINAL
                        else head(fitted(tokens, head))
                    )
                total = total + weight * model.task.loss(logits, y)
    return total


def learners(model: MultiExitViT, phase: Phase, recipe: JointRecipe) -> torch.optim.Optimizer:
    """AdamW over what learns in a phase (all else is frozen): its last layer at the rate that
    fine-tuning gives layer L, those below it at falling ones, exits at their own rate."""
    names = (
        ["vit.cls_token", "vit.pos_embed", "vit.patch_embed", "vit.norm_pre"]
        if phase.first == 1
        else []
    )
    names += [f"vit.blocks.{layer - 1}." for layer in range(phase.first, phase.last + 1)]
    names += (
        ["vit.norm.", "vit.fc_norm.", "vit.head."]
        if any(head == FINAL for _, head in phase.weights)
        else []
    )
    wanted = {
        id(p) for name, p in model.backbone.named_parameters() if name.startswith(tuple(names))
    }
    lift = recipe.layer_decay ** -(model.depth - phase.last)
    groups = [
        g | {"scale": g["scale"] * lift}
        for g in parameter_groups(model.backbone, recipe)
        if id(g["params"][0]) in wanted
    ]
    for key in phase.weights:
        if key[1] != FINAL:
            for parameter in model.head_at(*key).parameters():
                decay = recipe.weight_decay if parameter.ndim > 1 else 0.0
                scale = recipe.exit_rate / recipe.learning_rate
                groups.append(
                    {
                        "params": [parameter],
                        "lr": recipe.exit_rate,
                        "scale": scale,
                        "weight_decay": decay,
                    }
                )
    model.requires_grad_(False)
    for group in groups:
        group["params"][0].requires_grad_(True)
    return torch.optim.AdamW(groups, fused=True)


def learn(
    model: MultiExitViT,
    train: Pictures,
    phases: Sequence[Phase],
    recipe: JointRecipe,
    accelerator: Accelerator,
    checkpoint: Path,
    save_every: int = 200,
    known: dict | None = None,
) -> dict:
    """Go through the phases, each with the recipe's whole schedule; resumes in the middle of one.
    See `end_to_end`."""
    sizes = schedule(recipe, len(train))
    weights = [
        {"{}:{}".format(*key): weight for key, weight in phase.weights.items()} for phase in phases
    ]
    about = asdict(recipe) | {"training pictures": len(train), "exits and their weights": weights}
    about |= known or {}
    progress = {
        "phase": 0,
        "step": 0,
        "loss": [],
        "seconds": 0.0,
        "recipe": about,
        "weights": weights,
    }
    if checkpoint.exists():
        progress = checkpoints.begun(checkpoint, about)
    model.to(accelerator.device).lean(True)
    optimizer = learners(model, phases[progress["phase"]], recipe)
    if checkpoint.exists():
        checkpoints.load(checkpoint, model, optimizer)
    started = time.monotonic() - progress["seconds"]
    for number in range(progress["phase"], len(phases)):
        if number != progress["phase"]:
            optimizer = learners(model, phases[number], recipe)
            progress |= {"phase": number, "step": 0}
        prepared = accelerator.prepare(optimizer)
        title = "training" if len(phases) == 1 else f"part {number + 1} of {len(phases)}"
        bar = tqdm(
            range(progress["step"], len(sizes)),
            initial=progress["step"],
            total=len(sizes),
            desc=title,
            mininterval=10,
        )
        for step in bar:
            loss = _step(
                model,
                train,
                phases[number],
                number,
                step,
                sizes,
                recipe,
                accelerator,
                prepared,
                checkpoint,
            )
            progress["mean"] = loss if step == 0 else 0.98 * progress["mean"] + 0.02 * loss
            bar.set_postfix(px=sizes[step], loss=f"{progress['mean']:.3f}", refresh=False)
            if (step + 1) % save_every == 0 or step + 1 == len(sizes):
                progress |= {"step": step + 1, "seconds": time.monotonic() - started}
                progress["loss"].append(
                    [number + 1, step + 1, sizes[step], round(progress["mean"], 4)]
                )
                if accelerator.is_main_process:
                    checkpoints.save(checkpoint, model, optimizer, progress)
    model.lean(False)
    model.eval().requires_grad_(False)
    return progress


def _step(
    model: MultiExitViT,
    train: Pictures,
    phase: Phase,
    number: int,
    step: int,
    sizes: list[int],
    recipe: JointRecipe,
    accelerator: Accelerator,
    optimizer: torch.optim.Optimizer,
    checkpoint: Path,
) -> float:
    """One optimisation step; gives back its loss. The random numbers depend on seed, phase, step
    and process alone."""
    share = max(1, recipe.batch // accelerator.num_processes)
    mine = slice(accelerator.process_index * share, (accelerator.process_index + 1) * share)
    index = batch_of(number * len(sizes) + step, len(train), recipe.batch, recipe.seed)[mine]
    seed = recipe.seed * 1_000_003 + (number * len(sizes) + step) * 64 + accelerator.process_index
    # for the dropouts, so that a resumed training repeats the uninterrupted one
    torch.manual_seed(seed)
    x, y = train.augmented(
        index, model.task, sizes[step], torch.Generator().manual_seed(seed), accelerator.device
    )
    model.train()
    factor = (
        min(1.0, (step + 1) / recipe.warmup_steps)
        * 0.5
        * (1 + math.cos(math.pi * step / len(sizes)))
    )
    for group in optimizer.param_groups:
        group["lr"] = recipe.learning_rate * group["scale"] * factor
    with explicit_attention(model, accelerator.device):
        loss = phase_loss(model, x, y, phase, accelerator)
    if not math.isfinite(loss.item()):
        raise TrainingError(
            f"the loss is {loss.item()} at step {step} of part {number + 1}; the last good state is in {checkpoint}"
        )
    accelerator.backward(loss)
    learning = [p for group in optimizer.param_groups for p in group["params"]]
    if accelerator.num_processes > 1:
        for parameter in (p for p in learning if p.grad is not None):
            parameter.grad = accelerator.reduce(parameter.grad, "mean")
    accelerator.clip_grad_norm_(learning, 1.0)
    optimizer.step()
    optimizer.zero_grad()
    return loss.item()
