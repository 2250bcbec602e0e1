"""Fine-tune a counter on random tiles: the published L1 loss on the count, and a per-patch loss
where the points allow it.

The published recipe learns one number a tile. Points say more, so while training a linear readout
on the patches of some layers also learns how many people stand in each patch; the readouts are
thrown away afterwards, and the network that is left is TransCrowd's.
"""

from __future__ import annotations

import math
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator
from torch import nn
from torch.nn import functional as F
from tqdm import tqdm

from mvit.data.crowds import Crowds, Tiles
from mvit.models.backbone import Backbone
from mvit.tasks import CrowdTask
from mvit.training import checkpoints
from mvit.training.finetune import TrainingError, batch_of, explicit_attention, parameter_groups


@dataclass
class CrowdRecipe:
    """How to fine-tune a counter: `stages` are (tile side in pixels, tiles, batch), small tiles of
    the same pixel scale first.

    patch_layers: after which layers the patches are read out; patch_weight: of that loss beside the
    count's. Then as mvit.training.finetune.Recipe.
    """

    stages: tuple[tuple[int, int, int], ...] = ((192, 60_000, 32), (384, 16_000, 12))
    patch_layers: tuple[int, ...] = (4, 6, 8, 10, 12)
    patch_weight: float = 1.0
    learning_rate: float = 3e-4
    layer_decay: float = 0.85
    weight_decay: float = 0.05
    warmup_steps: int = 200
    mean_decay: float = 0.998
    seed: int = 0

    def schedule(self) -> list[tuple[int, int]]:
        """(tile side, batch) of every optimisation step."""
        return [
            (side, batch)
            for side, tiles, batch in self.stages
            for _ in range(max(1, tiles // batch))
        ]


class Counter(nn.Module):
    """A counter while it learns: the backbone, and a linear patch readout after some layers."""

    def __init__(self, backbone: Backbone, layers: tuple[int, ...]):
        super().__init__()
        self.backbone = backbone
        kinds = {
            str(b): nn.Sequential(nn.LayerNorm(backbone.dim, eps=1e-6), nn.Linear(backbone.dim, 1))
            for b in layers
        }
        self.patches = nn.ModuleDict(kinds)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """x: (B, 3, S, S) -> logits (B, 1), and people in each patch after each of K layers (K, B,
        N)."""
        tokens, read = self.backbone.embed(x), []
        for layer in range(1, self.backbone.depth + 1):
            tokens = self.backbone.block(tokens, layer)
            if str(layer) in self.patches:
                read.append(self.patches[str(layer)](tokens[:, 1:])[..., 0])
        return self.backbone.final(tokens), torch.stack(read)


def splat(points: list[np.ndarray], size: int, patch: int) -> torch.Tensor:
    """People in each patch, (B, N): every point shared bilinearly by the four nearest patches, so
    that each row sums to its count."""
    grid = size // patch
    maps = np.zeros((len(points), grid, grid), np.float32)
    for number, own in enumerate(points):
        x, y = (own / patch - 0.5).clip(0, grid - 1 - 1e-4).T
        left, top = x.astype(int), y.astype(int)
        for dy, dx in ((0, 0), (0, 1), (1, 0), (1, 1)):
            share = np.abs(1 - dx - (x - left)) * np.abs(1 - dy - (y - top))
            np.add.at(maps[number], (top + dy, left + dx), share)
    return torch.from_numpy(maps).flatten(1)


def losses(
    counter: Counter,
    task: CrowdTask,
    tiles: Tiles,
    index: torch.Tensor,
    side: int,
    generator: torch.Generator,
    accelerator: Accelerator,
) -> tuple[torch.Tensor, torch.Tensor]:
    """(count loss, patch loss) of one batch of random tiles. The patch loss compares maps cell by
    cell and in sum.

    The regressor always speaks for a whole tile: of a smaller square its output counts by the share
    of the area.
    """
    x, points = tiles.squares(index, side, generator)
    truth = splat(points, side, counter.backbone.vit.patch_embed.patch_size[0]).to(
        accelerator.device
    )
    y = truth.sum(1)
    with accelerator.autocast(), explicit_attention(counter, accelerator.device):
        logits, read = counter(task.normalise(x.to(accelerator.device).float() / 255))
    read = read.float()
    cells = F.smooth_l1_loss(read, truth.expand_as(read), beta=1.0) * 2
    sums = F.smooth_l1_loss(
        read.sum(2) / task.people_per_unit,
        (y / task.people_per_unit).expand(read.shape[:2]),
        beta=0.05,
    )
    return task.loss(logits * (side / task.input_px) ** 2, y), 10 * cells + sums


@torch.inference_mode()
def mean_errors(
    backbone: Backbone, task: CrowdTask, crowds: Crowds, accelerator: Accelerator, batch: int = 12
) -> dict[str, float]:
    """Mean absolute error of the final exit on whole pictures, for each set by the name before the
    slash."""
    backbone.eval()
    tiles = crowds.tiles()
    found = []
    for index in torch.arange(len(tiles)).split(batch):
        x, _ = tiles.whole(index, task, accelerator.device)
        with accelerator.autocast():
            found.append(task.answers(backbone(x))[:, 0].cpu())
    backbone.train()
    wrong = (torch.cat(found).view(-1, 6).sum(1).numpy() - crowds.counts).__abs__()
    sets = np.array([n.split("/")[0] for n in crowds.names])
    return {str(s): float(wrong[sets == s].mean()) for s in sorted(set(sets))}


def fine_tune_counter(
    backbone: Backbone,
    task: CrowdTask,
    train: Crowds,
    val: Crowds,
    recipe: CrowdRecipe,
    accelerator: Accelerator,
    checkpoint: Path,
    save_every: int = 100,
    known: dict | None = None,
) -> dict:
    """Fine-tune the counter and leave it at the running mean of its weights; resumes from
    `checkpoint` if it is there.

    Gives back the progress with the validation errors. Raises TrainingError on a loss that is not
    finite.
    """
    torch.manual_seed(recipe.seed)
    plan, tiles = recipe.schedule(), train.tiles()
    counter = Counter(backbone, recipe.patch_layers).to(accelerator.device)
    mean = torch.optim.swa_utils.AveragedModel(
        counter, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(recipe.mean_decay)
    )
    groups = parameter_groups(backbone, recipe) + [
        {"params": list(counter.patches.parameters()), "lr": 0, "scale": 1.0, "weight_decay": 0}
    ]
    optimizer = torch.optim.AdamW(groups, lr=recipe.learning_rate, fused=True)
    about = asdict(recipe) | (known or {})
    progress = {"step": 0, "loss": [], "seconds": 0.0, "recipe": about}
    state = nn.ModuleDict({"now": counter, "mean": mean})
    if checkpoint.exists():
        checkpoints.begun(checkpoint, about)
        progress = checkpoints.load(checkpoint, state, optimizer)
    started, running = time.monotonic() - progress["seconds"], [0.0, 0.0]
    counter.train()
    bar = tqdm(
        range(progress["step"], len(plan)),
        initial=progress["step"],
        total=len(plan),
        desc="fine-tuning",
        mininterval=10,
    )
    for step in bar:
        side, batch = plan[step]
        index = batch_of(step, len(tiles), batch, recipe.seed)
        # for the dropouts, so that a resumed training repeats the uninterrupted one
        torch.manual_seed(recipe.seed * 1_000_003 + step)
        count_loss, patch_loss = losses(
            counter,
            task,
            tiles,
            index,
            side,
            torch.Generator().manual_seed(recipe.seed * 1_000_003 + step),
            accelerator,
        )
        if not math.isfinite(count_loss.item() + patch_loss.item()):
            raise TrainingError(
                f"the loss is {count_loss.item()} at step {step}; the last good state is in {checkpoint}"
            )
        factor = (
            min(1.0, (step + 1) / recipe.warmup_steps)
            * 0.5
            * (1 + math.cos(math.pi * step / len(plan)))
        )
        for group in optimizer.param_groups:
            group["lr"] = recipe.learning_rate * group["scale"] * factor
        (count_loss + recipe.patch_weight * patch_loss).backward()
        nn.utils.clip_grad_norm_(counter.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        mean.update_parameters(counter)
        decay = min(0.98, step / (step + 10))
        running = [
            decay * r + (1 - decay) * now.item()
            for r, now in zip(running, (count_loss, patch_loss), strict=True)
        ]
        bar.set_postfix(
            px=side, count=f"{running[0]:.4f}", patch=f"{running[1]:.4f}", refresh=False
        )
        if (step + 1) % save_every == 0 or step + 1 == len(plan):
            progress |= {"step": step + 1, "seconds": time.monotonic() - started}
            progress["loss"].append([step + 1, side, *(round(r, 5) for r in running)])
            checkpoints.save(checkpoint, state, optimizer, progress)
    backbone.load_state_dict(mean.module.backbone.state_dict())
    if "val_mae" not in progress:
        progress["val_mae"] = mean_errors(backbone, task, val, accelerator)
        checkpoints.save(checkpoint, state, optimizer, progress)
    return progress
