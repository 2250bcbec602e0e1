"""Fine-tune a plain backbone: small pictures first, full size last (progressive resizing)."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from accelerate import Accelerator
from timm.layers import DropPath
from torch.nn import functional as F
from torchvision.transforms import v2
from tqdm import tqdm

from mvit.data.labelled import Pictures, augment
from mvit.models.backbone import Backbone
from mvit.tasks import Task
from mvit.training import checkpoints


class TrainingError(RuntimeError):
    """Training that cannot go on; the message says at which step and what is kept."""


@dataclass
class Recipe:
    """How to fine-tune: `stages` are (input side in pixels, epochs); the learning rate falls as a
    cosine over all of them.

    from_layer: what lies below this encoder layer stays as it is, and so do the exits there. For
    large networks, which learn small data by heart: mix, the chance that a batch is mixed with
    itself (MixUp, Zhang et al., 2018, or CutMix, Yun et al., 2019), and drop_path, how often the
    last layer is left out in training (stochastic depth, Huang et al., 2016), the layers before it
    less often.
    """

    stages: tuple[tuple[int, float], ...] = ((96, 3.0), (128, 1.5), (224, 0.4))
    batch: int = 64
    learning_rate: float = 2e-4
    layer_decay: float = 0.85
    weight_decay: float = 0.05
    warmup_steps: int = 200
    label_smoothing: float = 0.05
    seed: int = 0
    from_layer: int = 1
    mix: float = 0.0
    drop_path: float = 0.0


def schedule(recipe: Recipe, n: int) -> list[int]:
    """The input side of every optimisation step, for a training set of n pictures."""
    return [
        size
        for size, epochs in recipe.stages
        for _ in range(max(1, round(epochs * n / recipe.batch)))
    ]


def batch_of(step: int, n: int, batch: int, seed: int) -> torch.Tensor:
    """Indices (batch,) of the pictures of a step: whole epochs in seeded random order, the same
    after a resume."""
    wanted = torch.arange(step * batch, (step + 1) * batch)
    parts = []
    for epoch in (wanted // n).unique().tolist():
        order = torch.randperm(n, generator=torch.Generator().manual_seed(seed * 10_007 + epoch))
        parts.append(order[wanted[wanted // n == epoch] % n])
    return torch.cat(parts)


def layer_of(name: str, depth: int) -> int:
    """The encoder layer (1..L) that a parameter of a backbone belongs to; 0 for the embedding, L +
    1 for the final exit."""
    if name.startswith("vit.blocks."):
        return int(name.split(".")[2]) + 1
    return depth + 1 if name.startswith(("vit.norm.", "vit.fc_norm.", "vit.head.")) else 0


def parameter_groups(backbone: Backbone, recipe: Recipe) -> list[dict]:
    """One optimiser group a parameter: the learning rate falls from the final exit to the patches;
    norms and biases do not decay."""
    groups = []
    for name, parameter in backbone.named_parameters():
        layer = layer_of(name, backbone.depth)
        scale = recipe.layer_decay ** (backbone.depth + 1 - layer)
        decay = (
            recipe.weight_decay
            if parameter.ndim > 1 and "pos_embed" not in name and "cls_token" not in name
            else 0.0
        )
        groups.append(
            {
                "params": [parameter],
                "lr": recipe.learning_rate * scale,
                "scale": scale,
                "weight_decay": decay,
            }
        )
    return groups


@contextmanager
def explicit_attention(module: torch.nn.Module, device: torch.device) -> Iterator[None]:
    """On a CPU, let timm's attention be written out as matrix products while training: backwards it
    is twice as fast as the fused one."""
    attentions = [
        m for m in module.modules() if getattr(m, "fused_attn", False) and device.type == "cpu"
    ]
    for attention in attentions:
        attention.fused_attn = False
    try:
        yield
    finally:
        for attention in attentions:
            attention.fused_attn = True


def stochastic_depth(backbone: Backbone, rate: float) -> None:
    """Leave residual branches out at random in training: never in the first layer, with probability
    `rate` in the last."""
    for number, block in enumerate(backbone.vit.blocks):
        share = rate * number / max(1, backbone.depth - 1)
        block.drop_path1, block.drop_path2 = (
            DropPath(share) if share else torch.nn.Identity() for _ in range(2)
        )


def mixed(
    x: torch.Tensor, y: torch.Tensor, task: Task, chance: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """With that chance the batch mixed with itself: x (B, 3, S, S), and y as class shares (B, out);
    else both as they are."""
    if torch.rand(()) >= chance:
        return x, y
    way = (
        v2.MixUp(alpha=0.8, num_classes=task.outputs)
        if torch.rand(()) < 0.5
        else v2.CutMix(alpha=1.0, num_classes=task.outputs)
    )
    return way(x, y)


@torch.inference_mode()
def accuracy(
    backbone: Backbone, task: Task, pictures: Pictures, accelerator: Accelerator, batch: int = 100
) -> float:
    """Share of pictures whose final exit is right, at the task's input size."""
    backbone.eval()
    right = 0
    for start in range(0, len(pictures), batch):
        x = task.normalise(task.enlarge(pictures.x[start : start + batch].to(accelerator.device)))
        with accelerator.autocast():
            logits = backbone(x)
        right += (logits.argmax(1).cpu() == pictures.y[start : start + batch]).sum().item()
    backbone.train()
    return right / len(pictures)


def fine_tune(
    backbone: Backbone,
    task: Task,
    train: Pictures,
    val: Pictures,
    recipe: Recipe,
    accelerator: Accelerator,
    checkpoint: Path,
    save_every: int = 200,
    known: dict | None = None,
) -> dict:
    """Fine-tune the backbone with cross-entropy, all of it or from `recipe.from_layer` up; resumes
    from `checkpoint` if it is there.

    known: what else the checkpoint must have been begun with. Returns the history of (step, loss)
    and the validation accuracy. Raises TrainingError on a loss that is not finite, CheckpointError
    if the checkpoint was begun otherwise.
    """
    sizes = schedule(recipe, len(train))
    for name, parameter in backbone.named_parameters():
        parameter.requires_grad_(
            recipe.from_layer == 1 or layer_of(name, backbone.depth) >= recipe.from_layer
        )
    stochastic_depth(backbone, recipe.drop_path)
    groups = [
        group for group in parameter_groups(backbone, recipe) if group["params"][0].requires_grad
    ]
    optimizer = torch.optim.AdamW(groups, fused=True)
    about = asdict(recipe) | {"training pictures": len(train)} | (known or {})
    progress = {"step": 0, "loss": [], "seconds": 0.0, "recipe": about}
    backbone.to(accelerator.device)
    if checkpoint.exists():
        checkpoints.begun(checkpoint, about)
        progress = checkpoints.load(checkpoint, backbone, optimizer)
    model, optimizer = accelerator.prepare(backbone, optimizer)
    model.train()
    share = recipe.batch // accelerator.num_processes
    mine = slice(accelerator.process_index * share, (accelerator.process_index + 1) * share)
    started, running = time.monotonic() - progress["seconds"], 0.0
    bar = tqdm(
        range(progress["step"], len(sizes)),
        initial=progress["step"],
        total=len(sizes),
        desc="fine-tuning",
        mininterval=10,
    )
    for step in bar:
        index = batch_of(step, len(train), recipe.batch, recipe.seed)[mine]
        generator = torch.Generator().manual_seed(
            recipe.seed * 1_000_003 + step * 64 + accelerator.process_index
        )
        # for mixing and dropping, so that a resumed training repeats the uninterrupted one
        torch.manual_seed(generator.initial_seed())
        x = task.normalise(augment(train.x[index].to(accelerator.device), sizes[step], generator))
        x, y = mixed(x, train.y[index].to(accelerator.device), task, recipe.mix)
        warm = min(1.0, (step + 1) / recipe.warmup_steps)
        factor = warm * 0.5 * (1 + math.cos(math.pi * step / len(sizes)))
        for group in optimizer.param_groups:
            group["lr"] = recipe.learning_rate * group["scale"] * factor
        with accelerator.autocast(), explicit_attention(backbone, accelerator.device):
            logits = model(x)
        loss = F.cross_entropy(logits.float(), y, label_smoothing=recipe.label_smoothing)
        if not math.isfinite(loss.item()):
            raise TrainingError(
                f"the loss is {loss.item()} at step {step}; the last good state is in {checkpoint}"
            )
        accelerator.backward(loss)
        accelerator.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        running = loss.item() if step == progress["step"] else 0.98 * running + 0.02 * loss.item()
        bar.set_postfix(px=sizes[step], loss=f"{running:.3f}", refresh=False)
        if (step + 1) % save_every == 0 or step + 1 == len(sizes):
            progress |= {"step": step + 1, "seconds": time.monotonic() - started}
            progress["loss"].append([step + 1, sizes[step], round(running, 4)])
            if accelerator.is_main_process:
                checkpoints.save(checkpoint, backbone, optimizer.optimizer, progress)
    if "val_accuracy" not in progress:
        progress["val_accuracy"] = accuracy(backbone, task, val, accelerator)
        if accelerator.is_main_process:
            checkpoints.save(checkpoint, backbone, optimizer.optimizer, progress)
    return progress
