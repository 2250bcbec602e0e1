"""Classifier-wise training (paper, section III-C): the backbone is frozen and every exit learns by
itself.

The frozen backbone runs once per picture and step, and all heads at all layers learn from the same
pass. Each exit has its own learning rate, which falls on a plateau of its own validation loss, and
stops early by itself.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from accelerate import Accelerator
from torch import nn
from tqdm import tqdm

from mvit.data.labelled import Pictures
from mvit.models.multi_exit import MultiExitViT
from mvit.training import checkpoints
from mvit.training.finetune import TrainingError, batch_of
from mvit.training.identity import fingerprint

Key = tuple[int, str]


@dataclass
class ExitRecipe:
    """The paper's recipe: Adam, the learning rate chosen among `rates` by validation, times
    `factor` after `patience` rounds without a better validation loss, stopped after `stop` such
    rounds. A round is `round_images` pictures (None: the whole training set).

    `mean_decay`: the weights that are validated and kept are a running mean of the trained ones.
    `trial_steps`: how long each rate is tried, on the exits after `trial_layers`, before one is
    chosen for each head.
    """

    rates: tuple[float, ...] = (1e-3, 1e-4, 1e-5)
    factor: float = 0.6
    patience: int = 2
    stop: int = 5
    batch: int = 64
    round_images: int | None = None
    max_rounds: int = 100
    val_images: int | None = None
    mean_decay: float = 0.99
    trial_steps: int = 100
    trial_layers: tuple[int, ...] = (3, 6, 9)
    seed: int = 0


def warm_start(model: MultiExitViT, exits: Sequence[Key] | None = None) -> None:
    """Start each `vit` head as the backbone's next encoder layer and final norm: what the backbone
    would have done next.

    exits: only these, all by default. A backbone whose layers are built otherwise (another MLP
    width, layer scale, normalised queries) leaves them as they are.
    """
    for layer, head in model.exits() if exits is None else exits:
        module = model.head_at(layer, head)
        if head == "vit":
            _copy(model.backbone.vit.blocks[min(layer, model.depth - 1)], module.encoder)
        if head in ("vit", "mlp"):
            _copy(model.backbone.vit.norm, module.norm)


def _copy(source: nn.Module, target: nn.Module) -> None:
    """Copy all tensors if both modules hold the same ones, else none."""
    tensors = source.state_dict()
    if {k: v.shape for k, v in tensors.items()} == {
        k: v.shape for k, v in target.state_dict().items()
    }:
        target.load_state_dict(tensors)


def exit_losses(
    model: MultiExitViT,
    x: torch.Tensor,
    y: torch.Tensor,
    active: set[Key],
    accelerator: Accelerator,
):
    """Run the frozen backbone once on x: (B, 3, S, S) and yield ((layer, head), loss) for every
    active exit."""
    with torch.no_grad(), accelerator.autocast():
        tokens = model.backbone.embed(x)
    for layer in range(1, max(layer for layer, _ in active) + 1):
        with torch.no_grad(), accelerator.autocast():
            tokens = model.backbone.block(tokens, layer)
        for key in [k for k in model.exits() if k[0] == layer and k in active]:
            with accelerator.autocast():
                logits = model.head_at(*key)(tokens)
            yield key, model.task.loss(logits, y)


@torch.no_grad()
def validation_losses(
    model: MultiExitViT, val: Pictures, active: set[Key], accelerator: Accelerator, batch: int = 64
) -> dict[Key, float]:
    """Mean cross-entropy of every active exit on the validation pictures."""
    model.eval()
    totals = dict.fromkeys(active, 0.0)
    for start in range(0, len(val), batch):
        x, y = val.whole(
            torch.arange(start, min(start + batch, len(val))), model.task, accelerator.device
        )
        for key, loss in exit_losses(model, x, y, active, accelerator):
            totals[key] += loss.item() * len(y)
    return {key: total / len(val) for key, total in totals.items()}


class Learner:
    """The exits of a model while they learn: one Adam with a group for each exit, and the running
    mean of their weights."""

    def __init__(
        self,
        model: MultiExitViT,
        rates: dict[Key, float],
        recipe: ExitRecipe,
        accelerator: Accelerator,
    ):
        self.model, self.recipe, self.accelerator = model, recipe, accelerator
        self.keys = list(rates)
        self.mean = copy.deepcopy(model.heads)
        self.best = copy.deepcopy(model.heads)
        groups = [
            {"params": list(model.head_at(*key).parameters()), "lr": rate}
            for key, rate in rates.items()
        ]
        self.optimizer = torch.optim.Adam(groups)
        model.backbone.requires_grad_(False)
        model.lean(True)

    def step(self, train: Pictures, number: int, active: set[Key]) -> float:
        """Optimise every active exit once; gives back their mean loss. Raises TrainingError if it
        is not finite."""
        model, share = self.model, max(1, self.recipe.batch // self.accelerator.num_processes)
        mine = slice(
            self.accelerator.process_index * share, (self.accelerator.process_index + 1) * share
        )
        index = batch_of(number, len(train), self.recipe.batch, self.recipe.seed)[mine]
        generator = torch.Generator().manual_seed(
            self.recipe.seed * 1_000_003 + number * 64 + self.accelerator.process_index
        )
        # for the dropouts, so that a resumed training repeats the uninterrupted one
        torch.manual_seed(generator.initial_seed())
        device = self.accelerator.device
        x, y = train.augmented(index, model.task, model.task.input_px, generator, device)
        model.heads.train()
        model.backbone.eval()
        total = torch.zeros((), device=device)
        for _, loss in exit_losses(model, x, y, active, self.accelerator):
            loss.backward()
            total += loss.detach()
        if not math.isfinite(total.item()):
            raise TrainingError(f"the loss is {total.item()} at step {number}")
        if self.accelerator.num_processes > 1:
            for parameter in (p for p in model.heads.parameters() if p.grad is not None):
                parameter.grad = self.accelerator.reduce(parameter.grad, "mean")
        self.optimizer.step()
        self.optimizer.zero_grad()
        decay = min(self.recipe.mean_decay, (1 + number) / (10 + number))
        with torch.no_grad():
            means, news = list(self.mean.parameters()), list(model.heads.parameters())
            torch._foreach_lerp_(means, news, 1 - decay)
        return total.item() / len(active)

    def validate(self, val: Pictures, active: set[Key]) -> dict[Key, float]:
        """Validation losses of the running means."""
        now, self.model.heads = self.model.heads, self.mean
        self.model.lean(True)
        losses = validation_losses(self.model, val, active, self.accelerator)
        self.model.heads = now
        return losses

    def keep(self, key: Key) -> None:
        """Remember the running mean of an exit as its best state."""
        layer, head = key
        self.best[head][str(layer)].load_state_dict(self.mean[head][str(layer)].state_dict())

    def state(self) -> nn.ModuleDict:
        """Everything a checkpoint needs, as one module."""
        return nn.ModuleDict({"now": self.model.heads, "mean": self.mean, "best": self.best})


def choose_rates(
    model: MultiExitViT,
    train: Pictures,
    val: Pictures,
    recipe: ExitRecipe,
    accelerator: Accelerator,
) -> dict[str, dict]:
    """Try every rate for a short while on a few layers: {head: {"rate": chosen, "losses": {rate:
    mean validation loss}}}."""
    tried: dict[str, dict[float, float]] = {name: {} for name in model.heads}
    keys = [k for k in model.exits() if k[0] in recipe.trial_layers] or model.exits()
    for rate in recipe.rates:
        trial = copy.deepcopy(model)
        learner = Learner(trial, dict.fromkeys(keys, rate), recipe, accelerator)
        for number in tqdm(range(recipe.trial_steps), desc=f"trying rate {rate:g}", mininterval=10):
            learner.step(train, number, set(keys))
        losses = learner.validate(val, set(keys))
        for name in model.heads:
            own = [loss for (_, head), loss in losses.items() if head == name]
            tried[name][rate] = sum(own) / len(own)
    return {
        name: {"rate": min(losses, key=losses.get), "losses": losses}
        for name, losses in tried.items()
    }


def classifier_wise(
    model: MultiExitViT,
    train: Pictures,
    val: Pictures,
    recipe: ExitRecipe,
    accelerator: Accelerator,
    checkpoint: Path,
    known: dict | None = None,
) -> dict:
    """Train every exit of the model on its frozen backbone and leave each at its best validation
    loss; resumes from `checkpoint`.

    Gives back the progress: rates, rounds, and each exit's validation losses. Raises TrainingError
    on a loss that is not finite, CheckpointError if the checkpoint was begun with another recipe
    (more rounds may be asked for).
    """
    model.to(accelerator.device)
    seen = (
        val
        if recipe.val_images is None
        else val.subset(
            torch.randperm(len(val), generator=torch.Generator().manual_seed(0))[
                : recipe.val_images
            ]
        )
    )
    names = ["{}:{}".format(*key) for key in model.exits()]
    about = asdict(recipe) | {"training pictures": len(train)} | (known or {})
    about["frozen backbone"] = fingerprint(list(model.backbone.state_dict().items()))
    progress: dict = {
        "round": 0,
        "recipe": about,
        "exits": {n: {"losses": [], "stale": 0, "best": math.inf} for n in names},
    }
    if checkpoint.exists():
        checkpoints.begun(checkpoint, about, free=("max_rounds",))
        rates = dict.fromkeys(model.exits(), recipe.rates[0])  # the checkpoint knows the right ones
    else:
        progress["rates"] = choose_rates(model, train, seen, recipe, accelerator)
        rates = {key: progress["rates"][key[1]]["rate"] for key in model.exits()}
    learner = Learner(model, rates, recipe, accelerator)
    if checkpoint.exists():
        progress = checkpoints.load(checkpoint, learner.state(), learner.optimizer)
    per_round = max(1, (recipe.round_images or len(train)) // recipe.batch)
    for number in range(progress["round"], recipe.max_rounds):
        active = {
            key
            for key, name in zip(model.exits(), names, strict=True)
            if progress["exits"][name]["stale"] < recipe.stop
        }
        if not active:
            break
        bar = tqdm(
            range(number * per_round, (number + 1) * per_round),
            desc=f"round {number + 1}, {len(active)} exits learning",
            mininterval=10,
        )
        for step in bar:
            try:
                bar.set_postfix(loss=f"{learner.step(train, step, active):.3f}", refresh=False)
            except TrainingError as error:
                raise TrainingError(f"{error}; the last good state is in {checkpoint}") from error
        losses = learner.validate(seen, active)
        for group, key in zip(learner.optimizer.param_groups, learner.keys, strict=True):
            if key in active:
                settle(
                    progress["exits"]["{}:{}".format(*key)],
                    losses[key],
                    group,
                    recipe,
                    lambda key=key: learner.keep(key),
                )
        progress["round"] = number + 1
        if accelerator.is_main_process:
            checkpoints.save(checkpoint, learner.state(), learner.optimizer, progress)
    model.heads.load_state_dict(learner.best.state_dict())
    model.lean(False)
    model.eval()
    return progress


def settle(exit: dict, loss: float, group: dict, recipe: ExitRecipe, keep) -> None:
    """Book one validation loss of one exit: keep the exit if it is the best so far, else count it
    stale and lower its rate on a plateau."""
    exit["losses"].append(round(loss, 5))
    if loss < exit["best"]:
        exit["best"], exit["stale"] = loss, 0
        keep()
        return
    exit["stale"] += 1
    if exit["stale"] % (recipe.patience + 1) == 0:
        group["lr"] *= recipe.factor
