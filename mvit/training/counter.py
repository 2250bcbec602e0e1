"""Fine-tune a counter on random tiles: the published L1 loss on the count, and a per-patch loss
where the points allow it.

The published recipe learns one number a tile. Points say more, so while training a linear readout
on the patches of some layers also learns how many people stand in each patch; the readouts are
thrown away afterwards, and the network that is left is TransCrowd's.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator
from torch import nn
from torch.nn import functional as F
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from mvit.data.crowds import ZOOM, Crowds, Tiles
from mvit.models.backbone import Backbone
from mvit.tasks import CrowdTask
from mvit.training.finetune import explicit_attention, parameter_groups
from mvit.training.joint_loss import of_part
from mvit.training.loop import Loop, Step, begin


@dataclass(kw_only=True)
class CrowdRecipe:
    """How to fine-tune a counter: `stages` are (tile side in pixels, tiles, batch), small tiles of
    the same pixel scale first.

    patch_layers: after which layers the patches are read out; patch_weight: of that loss beside the
    count's. solved_tiles: on how many tiles, drawn at random, the last layers are solved at the end
    (None: on all). zoom, repeat: how squares are drawn, see `Crowds`; repeat as (set, times). Then
    as mvit.training.finetune.Recipe.
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
    solved_tiles: int | None = None
    zoom: float = ZOOM
    repeat: tuple[tuple[str, int], ...] = ()
    from_layer = 1  # all of it learns

    def plan(self, n: int = 0) -> list[tuple[int, int]]:
        """(tile side, batch) of every optimisation step, however many tiles there are."""
        return [
            (side, batch)
            for side, tiles, batch in self.stages
            for _ in range(max(1, tiles // batch))
        ]


def readouts(dim: int, layers: Iterable[int]) -> nn.ModuleDict:
    """A linear readout after each of some layers: patches (B, N, D) -> people in each (B, N, 1)."""
    kinds = {str(b): nn.Sequential(nn.LayerNorm(dim, eps=1e-6), nn.Linear(dim, 1)) for b in layers}
    return nn.ModuleDict(kinds)


class Counter(nn.Module):
    """A counter while it learns: the backbone, and a linear patch readout after some layers."""

    def __init__(self, backbone: Backbone, layers: tuple[int, ...]):
        super().__init__()
        self.backbone = backbone
        self.patches = readouts(backbone.dim, layers)

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


def loss_of(
    counter: Counter, task: CrowdTask, x: torch.Tensor, truth: torch.Tensor, weight: float
) -> torch.Tensor:
    """The loss of tiles x (B, 3, S, S) with people in each patch (B, N): that of the count, and
    `weight` times that of the patches."""
    y = truth.sum(1)
    logits, read = counter(x)
    own = task.loss(of_part(logits, x.shape[-1], task), y)
    return own + weight * patch_loss(read, truth, task.people_per_unit)


def patch_loss(read: torch.Tensor, truth: torch.Tensor, unit: float) -> torch.Tensor:
    """The loss of K maps of people in each patch (K, B, N) against the truth (B, N), cell by cell
    and in sum; unit: so many people count as one in the sum."""
    read, y = read.float(), truth.sum(1)
    cells = F.smooth_l1_loss(read, truth.expand_as(read), beta=1.0) * 2
    sums = F.smooth_l1_loss(read.sum(2) / unit, (y / unit).expand(read.shape[:2]), beta=0.05)
    return 10 * cells + sums


def squares_of(
    tiles: Tiles, step: Step, task: CrowdTask, backbone: Backbone, device: torch.device
) -> tuple[torch.Tensor, torch.Tensor]:
    """What a step learns from: squares x (B, 3, S, S), normalised, and people in each patch
    (B, N)."""
    x, points = tiles.squares(step.index, step.side, step.generator)
    truth = splat(points, step.side, backbone.vit.patch_embed.patch_size[0]).to(device)
    return task.normalise(x.to(device).float() / 255), truth


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
    wrong = (torch.cat(found).view(-1, 6).sum(1).numpy() - crowds.counts).__abs__()
    sets = np.array([n.split("/")[0] for n in crowds.names])
    return {str(s): float(wrong[sets == s].mean()) for s in sorted(set(sets))}


def fine_tune_counter(
    backbone: Backbone,
    task: CrowdTask,
    *,
    train: Crowds,
    val: Crowds,
    recipe: CrowdRecipe,
    accelerator: Accelerator,
    checkpoint: Path,
    known: dict | None = None,
    every: int = 100,
) -> dict:
    """Fine-tune the counter and leave it at the running mean of its weights; otherwise as
    `fine_tune`, with validation errors instead of an accuracy."""
    torch.manual_seed(recipe.seed)
    device, tiles = accelerator.device, train.tiles()
    counter = Counter(backbone, recipe.patch_layers).to(device).train()
    mean = AveragedModel(counter, multi_avg_fn=get_ema_multi_avg_fn(recipe.mean_decay))
    patches = {"params": list(counter.patches.parameters()), "lr": recipe.learning_rate}
    groups = [*parameter_groups(backbone, recipe), patches | {"weight_decay": 0.0}]

    def losses(step: Step) -> Iterator[torch.Tensor]:
        x, truth = squares_of(tiles, step, task, backbone=backbone, device=device)
        with accelerator.autocast(), explicit_attention(counter, device):
            loss = loss_of(counter, task, x, truth=truth, weight=recipe.patch_weight)
        yield loss

    progress = begin(checkpoint, asdict(recipe) | (known or {}))
    loop = Loop.along(
        recipe,
        len(tiles),
        losses=losses,
        state=nn.ModuleDict({"now": counter, "mean": mean}),
        optimizer=torch.optim.AdamW(groups, fused=True),
        accelerator=accelerator,
        checkpoint=checkpoint,
        after=lambda: mean.update_parameters(counter),
    )
    loop.resume()
    loop.run(progress, every)
    backbone.load_state_dict(mean.module.backbone.state_dict())
    if "val_mae" not in progress:
        progress["val_mae"] = mean_errors(backbone, task, val, accelerator=accelerator)
        loop.save(progress)
    return progress
