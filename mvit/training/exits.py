"""Classifier-wise training (paper, section III-C): the backbone is frozen and every exit learns by
itself.

The frozen backbone runs once per picture and step, and all heads at all layers learn from the same
pass. Each exit has its own learning rate, which falls on a plateau of its own validation loss, and
stops early by itself.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import torch
from accelerate import Accelerator
from torch import nn
from tqdm import tqdm

from mvit.data.labelled import Pictures
from mvit.models.multi_exit import MultiExitViT
from mvit.training.identity import fingerprint
from mvit.training.joint_loss import fitted, of_part
from mvit.training.loop import Loop, Step, begin, running_mean

Key = tuple[int, str]


@dataclass(kw_only=True)
class ExitRecipe:
    """The paper's recipe: Adam, the learning rate chosen among `rates` by validation, times
    `factor` after `patience` rounds without a better validation loss, stopped after `stop` such
    rounds. A round is `round_images` pictures (None: the whole training set).

    `px`: side of the pictures that exits learn from (None: the task's own); they are validated on
    whole ones. `mean_decay`: the weights that are validated and kept are a running mean of the
    trained ones.
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
    px: int | None = None


def warm_start(model: MultiExitViT, exits: Sequence[Key] | None = None) -> None:
    """Start each `vit` head as the backbone's next encoder layer and final norm: what the backbone
    would have done next.

    exits: only these, all by default. A backbone whose layers are built otherwise (another MLP
    width, layer scale, normalised queries) leaves them as they are.
    """
    for layer, head in model.exits() if exits is None else exits:
        module = model.head_at(layer, head)
        if head == "vit":
            copied(model.backbone.vit.blocks[min(layer, model.depth - 1)], module.encoder)
        if head in ("vit", "mlp", "mlp_mean"):
            copied(model.backbone.vit.norm, module.norm)


def copied(of: nn.Module, to: nn.Module) -> bool:
    """Copy the tensors of one module to another, if those have the same names and shapes; return
    whether they have."""
    state, own = of.state_dict(), to.state_dict()
    fits = {k: v.shape for k, v in state.items()} == {k: v.shape for k, v in own.items()}
    if fits:
        to.load_state_dict(state)
    return fits


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
                head = model.head_at(*key)
                logits = head(fitted(tokens, head))
            yield key, model.task.loss(of_part(logits, x.shape[-1], model.task), y)


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
        for key, loss in exit_losses(model, x, y, active=active, accelerator=accelerator):
            totals[key] += loss.item() * len(y)
    return {key: total / len(val) for key, total in totals.items()}


class Learner:
    """The exits of a model while they learn: one Adam with a group for each exit, the running mean
    of their weights, and the best of each so far. active: the exits that still learn."""

    def __init__(
        self,
        model: MultiExitViT,
        rates: dict[Key, float],
        *,
        train: Pictures,
        recipe: ExitRecipe,
        accelerator: Accelerator,
        checkpoint: Path | None = None,
        steps: int | None = None,
    ):
        self.model, self.accelerator, self.train = model, accelerator, train
        self.recipe = recipe
        self.keys, self.active = list(rates), set(rates)
        model.requires_grad_(False)
        model.heads.requires_grad_(True)
        self.mean = running_mean(model.heads, recipe.mean_decay)
        self.best = copy.deepcopy(model.heads)
        groups = [
            {"params": list(model.head_at(*key).parameters()), "lr": rate}
            for key, rate in rates.items()
        ]
        self.loop = Loop(
            plan=[(recipe.px or model.task.input_px, recipe.batch)] * (steps or recipe.trial_steps),
            losses=self._losses,
            pictures=len(train),
            state=nn.ModuleDict({"now": model.heads, "mean": self.mean, "best": self.best}),
            optimizer=torch.optim.Adam(groups),
            accelerator=accelerator,
            seed=recipe.seed,
            checkpoint=checkpoint,
            after=lambda: self.mean.update_parameters(model.heads),
            title="exits learning",
        )

    def _losses(self, step: Step) -> Iterator[torch.Tensor]:
        """The losses of all active exits from one pass of the frozen backbone."""
        model, device = self.model, self.accelerator.device
        x, y = self.train.augmented(
            step.index, model.task, step.side, generator=step.generator, device=device
        )
        model.heads.train()
        model.backbone.eval()
        for _, loss in exit_losses(model, x, y, active=self.active, accelerator=self.accelerator):
            yield loss

    def learn_on(self, active: set[Key]) -> bool:
        """Let these exits alone learn from now on; return whether there are any."""
        self.active = active
        for key in self.keys:
            self.model.head_at(*key).requires_grad_(key in active)
        return bool(active)

    def fresh(self, booked: dict[str, dict]) -> set[Key]:
        """The exits that are not stale, by what was booked of each."""
        return {key for key in self.keys if booked[name_of(key)]["stale"] < self.recipe.stop}

    def book(self, val: Pictures, progress: dict) -> bool:
        """Validate and book each exit after a round; whether any still learns."""
        losses = self.validate(val)
        for group, key in zip(self.loop.optimizer.param_groups, self.keys, strict=True):
            exit = progress["exits"][name_of(key)]
            if key in losses and book_loss(exit, losses[key], group, recipe=self.recipe):
                self.keep(key)
        progress["round"] += 1
        return self.learn_on(self.fresh(progress["exits"]))

    def validate(self, val: Pictures) -> dict[Key, float]:
        """Validation losses of the active exits' running means."""
        now, self.model.heads = self.model.heads, self.mean.module
        try:
            return validation_losses(self.model, val, self.active, accelerator=self.accelerator)
        finally:
            self.model.heads = now

    def keep(self, key: Key) -> None:
        """Remember the running mean of an exit as its best state."""
        layer, head = key
        mean = self.mean.module[head][str(layer)]
        self.best[head][str(layer)].load_state_dict(mean.state_dict())


def choose_rates(
    model: MultiExitViT,
    *,
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
        learner = Learner(
            trial, dict.fromkeys(keys, rate), train=train, recipe=recipe, accelerator=accelerator
        )
        for number in tqdm(range(recipe.trial_steps), desc=f"trying rate {rate:g}"):
            learner.loop.step(number)
        losses = learner.validate(val)
        for name in model.heads:
            own = [loss for (_, head), loss in losses.items() if head == name]
            tried[name][rate] = sum(own) / len(own)
    return {
        name: {"rate": min(losses, key=losses.get), "losses": losses}
        for name, losses in tried.items()
    }


def classifier_wise(
    model: MultiExitViT,
    *,
    train: Pictures,
    val: Pictures,
    recipe: ExitRecipe,
    accelerator: Accelerator,
    checkpoint: Path,
    known: dict | None = None,
) -> dict:
    """Train every exit of the model on its frozen backbone and leave each at its best validation
    loss, that of its beginning included; resumes from `checkpoint`.

    Returns the progress: rates, rounds, and each exit's validation losses. Raises TrainingError at
    a loss that is no number, CheckpointError if the checkpoint was begun otherwise (more rounds may
    be asked for).
    """
    model.to(accelerator.device)
    if recipe.val_images is not None:
        order = torch.randperm(len(val), generator=torch.Generator().manual_seed(0))
        val = val.subset(order[: recipe.val_images])
    about = asdict(recipe) | {"training pictures": len(train)} | (known or {})
    about["frozen backbone"] = fingerprint(list(model.backbone.state_dict().items()))
    progress = begin(checkpoint, about, free=("max_rounds",))
    data = {"train": train, "recipe": recipe, "accelerator": accelerator}
    if "rates" not in progress:
        found = choose_rates(model, val=val, **data)
        before = validation_losses(model, val, set(model.exits()), accelerator=accelerator)
        exits = {name_of(e): {"losses": [], "stale": 0, "best": before[e]} for e in model.exits()}
        progress |= {"round": 0, "rates": found, "exits": exits}
    rates = {key: progress["rates"][key[1]]["rate"] for key in model.exits()}
    per_round = max(1, (recipe.round_images or len(train)) // recipe.batch)
    steps = recipe.max_rounds * per_round
    learner = Learner(model, rates, checkpoint=checkpoint, steps=steps, **data)
    learner.loop.resume()
    if learner.learn_on(learner.fresh(progress["exits"])):
        learner.loop.run(progress, per_round, partial(learner.book, val))
    model.heads.load_state_dict(learner.best.state_dict())
    model.eval().requires_grad_(False)
    return progress


def name_of(key: Key) -> str:
    """The name of an exit in a checkpoint, as `3:mlp`."""
    return "{}:{}".format(*key)


def book_loss(exit: dict, loss: float, group: dict, recipe: ExitRecipe) -> bool:
    """Book one validation loss of one exit and return whether it is the best so far; else count the
    exit stale, and lower its rate on a plateau."""
    exit["losses"].append(round(loss, 5))
    if loss < exit["best"]:
        exit["best"], exit["stale"] = loss, 0
        return True
    exit["stale"] += 1
    if exit["stale"] % (recipe.patience + 1) == 0:
        group["lr"] *= recipe.factor
    return False
