"""The one training loop: which pictures a step sees in which process, its random numbers, the
learning rate's way, checkpoints, and the stop at a loss that is no number."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch
from accelerate import Accelerator
from accelerate.optimizer import AcceleratedOptimizer
from torch import nn
from torch.nn.utils import parameters_to_vector, vector_to_parameters
from torch.optim.lr_scheduler import LambdaLR
from torch.optim.swa_utils import AveragedModel
from tqdm import tqdm

from mvit.training import checkpoints

AT_MOST_S = 600  # of work that an interruption can cost


class TrainingError(ValueError):
    """Training that cannot go on; the message says at which step and what is kept."""


class Step(NamedTuple):
    """What one optimisation step learns from: pictures by their index (B,) and the side in pixels
    that they get. All chance comes from the generator, or from torch's own, seeded alike."""

    number: int
    side: int
    index: torch.Tensor
    generator: torch.Generator


def batch_of(step: int, n: int, batch: int, seed: int) -> torch.Tensor:
    """Return the indices (batch,) of the pictures of a step: whole epochs in seeded random order,
    the same after a resume."""
    wanted = torch.arange(step * batch, (step + 1) * batch)
    parts = []
    for epoch in (wanted // n).unique().tolist():
        order = torch.randperm(n, generator=torch.Generator().manual_seed(seed * 10_007 + epoch))
        parts.append(order[wanted[wanted // n == epoch] % n])
    return torch.cat(parts)


def running_mean(module: nn.Module, decay: float) -> AveragedModel:
    """Return the running mean of a module's weights, to be updated after each step. decay: how much
    of it stays in a step; less of it while there have been few."""

    def average(means: list, nows: list, number: torch.Tensor) -> None:
        kept = min(decay, (1 + number.item()) / (10 + number.item()))
        torch._foreach_lerp_(means, nows, 1 - kept)

    return AveragedModel(module, multi_avg_fn=average)


def begin(checkpoint: Path, about: dict, free: Sequence[str] = ()) -> dict:
    """Return the progress to go on from: the checkpoint's, or that of a training not yet begun.

    about: what the checkpoint must have been begun with, but for the `free` fields. Raises
    CheckpointError.
    """
    if checkpoint.exists():
        return checkpoints.begun(checkpoint, about, free)
    return {"step": 0, "loss": [], "seconds": 0.0, "recipe": about}


@dataclass(kw_only=True)
class Loop:
    """A training from its first step to its last. Every step draws from `pictures` pictures.

    plan: (side in pixels, pictures in the batch) of every step. losses: yields the losses of a
    step, whose sum is learnt from; each is a mean over its pictures, and is done with before the
    next is asked for. state: the module that a checkpoint holds. warmup: steps after which the
    learning rate has risen to its peak, to fall as a cosine; without it the rate stays. clip: the
    longest gradient. after: what happens after each step, as weight averaging. before: steps that
    an earlier part took.
    """

    plan: Sequence[tuple[int, int]]
    losses: Callable[[Step], Iterable[torch.Tensor]]
    pictures: int
    state: nn.Module
    optimizer: torch.optim.Optimizer
    accelerator: Accelerator
    seed: int
    checkpoint: Path | None = None
    warmup: int | None = None
    clip: float | None = None
    after: Callable[[], None] = lambda: None
    before: int = 0
    title: str = "fine-tuning"
    part: int | None = None

    @classmethod
    def along(cls, recipe, pictures: int, **more) -> Loop:
        """Return the loop of a recipe for a backbone: its steps, seed and warm-up, gradients no
        longer than 1."""
        given = {"plan": recipe.plan(pictures), "pictures": pictures, "seed": recipe.seed}
        return cls(**given, warmup=recipe.warmup_steps, clip=1.0, **more)

    def __post_init__(self) -> None:
        # not by accelerator.prepare, which would keep every optimiser of a run alive
        self.prepared = AcceleratedOptimizer(
            self.optimizer, device_placement=False, scaler=self.accelerator.scaler
        )

    def resume(self) -> None:
        """Load the checkpoint, if there is one."""
        if self.checkpoint and self.checkpoint.exists():
            checkpoints.load(self.checkpoint, self.state, self.optimizer)

    def save(self, progress: dict) -> None:
        """Write the checkpoint, in one process."""
        if self.accelerator.is_main_process:
            checkpoints.save(self.checkpoint, self.state, self.optimizer, progress=progress)

    def run(
        self, progress: dict, every: int, book: Callable[[dict], bool] = lambda progress: True
    ) -> dict:
        """Take the steps that are left and return the progress.

        After `every` steps and at the end `book` may add to the progress, and says whether to go
        on; then a checkpoint is written, and also where the last is longer ago than `AT_MOST_S`.
        Raises TrainingError at a loss that is no number.
        """
        schedule = self._cosine(progress["step"]) if self.warmup else None
        saved = time.monotonic()
        started = saved - progress["seconds"]
        bar = tqdm(
            range(progress["step"], len(self.plan)),
            initial=progress["step"],
            total=len(self.plan),
            desc=self.title,
            mininterval=10,
            disable=not self.accelerator.is_main_process,
        )
        for number in bar:
            loss = self.step(number)
            if schedule:
                schedule.step()
            mean = loss if number == 0 else 0.98 * progress["mean"] + 0.02 * loss
            progress["mean"], side = mean, self.plan[number][0]
            bar.set_postfix(px=side, loss=f"{mean:.3f}", refresh=False)
            now, due = time.monotonic(), (number + 1) % every == 0 or number + 1 == len(self.plan)
            if not due and now - saved < AT_MOST_S:
                continue
            progress |= {"step": number + 1, "seconds": now - started}
            part = [] if self.part is None else [self.part]
            progress["loss"].append([*part, number + 1, side, round(mean, 4)])
            going = book(progress) if due else True
            self.save(progress)
            saved = now
            if not going:
                break
        return progress

    def step(self, number: int) -> float:
        """Take one step and return its mean loss, over all processes. Raises TrainingError if that
        is no number; nothing has been changed then."""
        accelerator, (side, batch) = self.accelerator, self.plan[number]
        place = self.before + number
        index = batch_of(place, self.pictures, batch, seed=self.seed)
        mine = index[accelerator.process_index :: accelerator.num_processes]
        # so that a resumed training repeats the uninterrupted one, its dropouts too
        seed = self.seed * 1_000_003 + place * 64 + accelerator.process_index
        torch.manual_seed(seed)
        at = Step(number, side, mine, generator=torch.Generator().manual_seed(seed))
        # a process's mean counts by its pictures, of which it may have none
        share = len(mine) * accelerator.num_processes / len(index)
        total, count = torch.zeros((), device=accelerator.device), 0
        for loss in self.losses(at) if len(mine) else ():
            accelerator.backward(loss * share)
            total += loss.detach() * share
            count += 1
        if accelerator.num_processes > 1:
            total = accelerator.reduce(total, "mean")
            count = int(accelerator.gather(torch.tensor([count], device=total.device)).max())
        if not math.isfinite(total.item()):
            where = "" if self.part is None else f" of part {self.part}"
            kept = f"; the last good state is in {self.checkpoint}" if self.checkpoint else ""
            raise TrainingError(f"the loss is {total.item()} at step {number}{where}{kept}")
        learning = [p for g in self.optimizer.param_groups for p in g["params"] if p.requires_grad]
        if accelerator.num_processes > 1:
            self._average(learning)
        if self.clip is not None:
            accelerator.unscale_gradients(self.prepared)
            nn.utils.clip_grad_norm_(learning, self.clip)
        self.prepared.step()
        self.prepared.zero_grad()
        self.after()
        return total.item() / count

    def _average(self, learning: list[nn.Parameter]) -> None:
        """Set every gradient to its mean over the processes, in one exchange."""
        for parameter in learning:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        gradients = [parameter.grad for parameter in learning]
        mean = self.accelerator.reduce(parameters_to_vector(gradients), "mean")
        vector_to_parameters(mean, gradients)

    def _cosine(self, step: int) -> LambdaLR:
        """The learning rates' way up and down, from `step` on."""

        def factor(number: int) -> float:
            fall = (1 + math.cos(math.pi * number / max(1, len(self.plan)))) / 2
            return min(1.0, (number + 1) / self.warmup) * fall

        return LambdaLR(self.optimizer, factor, last_epoch=step - 1)
