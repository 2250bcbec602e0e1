"""Fine-tune a plain backbone: small pictures first, full size last (progressive resizing)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from accelerate import Accelerator
from timm.layers import DropPath
from timm.optim import param_groups_layer_decay
from torch.nn import functional as F
from torchvision.transforms import v2

from mvit.data.labelled import Pictures
from mvit.models.backbone import Backbone
from mvit.tasks import Task
from mvit.training.loop import Loop, Step, begin, running_mean
from mvit.training.low_rank import LIFT


@dataclass(kw_only=True)
class Recipe:
    """How to fine-tune: `stages` are (input side in pixels, epochs); the learning rate falls as a
    cosine over all of them.

    from_layer: what lies below this encoder layer stays as it is, and so do the exits there. For
    large networks, which learn small data by heart: mix, the chance that a batch is mixed with
    itself (MixUp, Zhang et al., 2018, or CutMix, Yun et al., 2019), and drop_path, how often the
    last layer is left out in training (stochastic depth, Huang et al., 2016), the layers before it
    less often. mean_decay: with one, the backbone ends as a running mean of its trained weights
    (Polyak averaging), which is steadier than the last of them.
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
    mean_decay: float = 0.0

    def plan(self, n: int) -> list[tuple[int, int]]:
        """(input side, batch) of every optimisation step, for a training set of n pictures."""
        return [
            (size, self.batch)
            for size, epochs in self.stages
            for _ in range(max(1, round(epochs * n / self.batch)))
        ]


def layer_of(name: str, depth: int) -> int:
    """The encoder layer (1..L) that a parameter of a backbone belongs to; 0 for the embedding, L +
    1 for the final exit."""
    if name.startswith("vit.blocks."):
        return int(name.split(".")[2]) + 1
    return depth + 1 if name.startswith(("vit.norm.", "vit.fc_norm.", "vit.head.")) else 0


def parameter_groups(backbone: Backbone, recipe, lift: float = 1.0) -> list[dict]:
    """timm's optimiser groups of what learns: the learning rate falls from the final exit to the
    patches; norms, biases, positions and the class token do not decay. lift: of all rates."""
    vit = backbone.vit
    groups = param_groups_layer_decay(
        vit,
        weight_decay=recipe.weight_decay,
        no_weight_decay_list=vit.no_weight_decay(),
        layer_decay=recipe.layer_decay,
    )
    groups = [g | {"lr": recipe.learning_rate * g["lr_scale"] * lift} for g in groups]
    thin = {p for name, p in vit.named_parameters() if name.endswith((".up", ".down"))}
    return [
        g | {"params": params, "lr": g["lr"] * factor}
        for g in groups
        for own, factor in ((False, 1), (True, LIFT))
        if (params := [p for p in g["params"] if (p in thin) is own])
    ]


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


def compile_layers(backbone: Backbone) -> None:
    """Let PyTorch's compiler make one program of what all encoder layers do while they learn: on a
    GPU, half a minute of waiting for steps in half to two thirds of the time. Answers differ by
    rounding."""
    for block in backbone.vit.blocks:
        block.compile(dynamic=False)


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
    for index in torch.arange(len(pictures)).split(batch):
        x, y = pictures.whole(index, task, accelerator.device)
        with accelerator.autocast():
            logits = backbone(x)
        right += (logits.argmax(1) == y).sum().item()
    return right / len(pictures)


def losses_of(
    backbone: Backbone, task: Task, train: Pictures, *, recipe: Recipe, accelerator: Accelerator
) -> Callable[[Step], Iterator[torch.Tensor]]:
    """Return what yields a step's loss: the final exit's cross-entropy on augmented pictures, mixed
    as the recipe says."""

    def losses(step: Step) -> Iterator[torch.Tensor]:
        x, y = train.augmented(
            step.index, task, step.side, generator=step.generator, device=accelerator.device
        )
        x, y = mixed(x, y, task, chance=recipe.mix)
        with accelerator.autocast(), explicit_attention(backbone, accelerator.device):
            logits = backbone(x)
        yield F.cross_entropy(logits.float(), y, label_smoothing=recipe.label_smoothing)

    return losses


def fine_tune(
    backbone: Backbone,
    task: Task,
    *,
    train: Pictures,
    val: Pictures,
    recipe: Recipe,
    accelerator: Accelerator,
    checkpoint: Path,
    known: dict | None = None,
    every: int = 200,
) -> dict:
    """Fine-tune the backbone with cross-entropy, all of it or from `recipe.from_layer` up; resumes
    from `checkpoint` if it is there.

    known: what else the checkpoint must have been begun with. Returns the progress with the history
    of (step, side in pixels, loss) and the validation accuracy. Raises TrainingError at a loss that
    is no number, CheckpointError if the checkpoint was begun otherwise.
    """
    for name, parameter in backbone.named_parameters():
        parameter.requires_grad_(
            recipe.from_layer == 1 or layer_of(name, backbone.depth) >= recipe.from_layer
        )
    stochastic_depth(backbone, recipe.drop_path)
    backbone.to(accelerator.device).train()
    about = asdict(recipe) | {"training pictures": len(train)} | (known or {})
    progress = begin(checkpoint, about)
    mean = running_mean(backbone, recipe.mean_decay) if recipe.mean_decay else None
    loop = Loop.along(
        recipe,
        len(train),
        losses=losses_of(backbone, task, train, recipe=recipe, accelerator=accelerator),
        state=torch.nn.ModuleDict({"now": backbone, "mean": mean}) if mean else backbone,
        optimizer=torch.optim.AdamW(parameter_groups(backbone, recipe), fused=True),
        accelerator=accelerator,
        checkpoint=checkpoint,
        after=(lambda: mean.update_parameters(backbone)) if mean else lambda: None,
    )
    loop.resume()
    loop.run(progress, every)
    if mean:
        backbone.load_state_dict(mean.module.state_dict())
    if "val_accuracy" not in progress:
        progress["val_accuracy"] = accuracy(backbone, task, val, accelerator=accelerator)
        loop.save(progress)
    return progress
