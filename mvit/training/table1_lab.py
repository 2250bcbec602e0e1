"""The single trainings of Table I: the start, the plain backbone, and every cell."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mvit.evaluation.paper import ALONE
from mvit.models.backbone import Backbone
from mvit.models.multi_exit import FINAL, MultiExitViT
from mvit.training.exits import ExitRecipe, classifier_wise, name_of, warm_start
from mvit.training.joint import learn_together, phases_of
from mvit.training.joint_loss import Phase
from mvit.training.lab import Lab

SOLVED_TILES = 1_000  # of a counter, on which the last layers are solved after each training


@dataclass(kw_only=True)
class Budget:
    """What one cell of the table may cost: `images` pictures of `px` pixels a side. Layer-wise
    training sees them once for each part.

    max_rounds: of `round_images` pictures, at most, for the exits that every cell starts from; they
    stop by themselves when their validation loss no longer falls.
    """

    px: int = 96
    images: int = 12_000
    batch: int = 64
    learning_rate: float = 1e-4
    exit_rate: float = 1e-3
    rates: tuple[float, ...] = (1e-3, 1e-4)
    val_images: int = 512
    round_images: int = 5_000
    max_rounds: int = 30
    seed: int = 0

    def backbone(self, n: int) -> dict:
        """The fields of a recipe for a training set of n pictures."""
        return self._fields() | {"stages": ((self.px, self.images / n),), "batch": self.batch}

    def counter(self) -> dict:
        """The fields of a recipe for a counter, which learns from squares. No running mean, so
        that it is as far as the exits that learn with it."""
        own = {"stages": ((self.px, self.images, self.batch),), "mean_decay": 0.0}
        return self._fields() | own | {"solved_tiles": SOLVED_TILES}

    def _fields(self) -> dict:
        return {
            "learning_rate": self.learning_rate,
            "warmup_steps": max(1, self.images // self.batch // 10),
            "seed": self.seed,
        }

    def start(self) -> ExitRecipe:
        """How the exits are trained that every cell starts from: until the paper's stopping rule
        ends it."""
        return self._exits(self.round_images, self.max_rounds)

    def exits(self) -> ExitRecipe:
        """How a classifier-wise cell goes on: four rounds; the learning rate is chosen among
        `rates` on validation."""
        return self._exits(math.ceil(self.images / 4), 4)

    def _exits(self, round_images: int, rounds: int) -> ExitRecipe:
        return ExitRecipe(
            rates=self.rates,
            batch=self.batch,
            round_images=max(self.batch, round_images),
            max_rounds=rounds,
            val_images=self.val_images,
            mean_decay=0.98,
            trial_steps=max(1, self.images // self.batch // 6),
            seed=self.seed,
            px=self.px,
        )


@dataclass(kw_only=True)
class TableLab(Lab):
    """Trains and measures single cells. keep: checkpoints of trainings stay, as others begin from
    them (see mvit.training.last_step)."""

    budget: Budget
    layer: int
    heads: tuple[str, ...]
    keep: bool = False

    @property
    def fields(self) -> dict:
        """What the budget says in the recipe of a backbone."""
        return self.budget.backbone(len(self.train))

    def trained_plain(self) -> Backbone:
        """The plain backbone after its share of training; from its checkpoint if that is done."""
        backbone, recipe = self.backbone(self.budget.seed), self.kind.recipe(**self.fields)
        file = self.run / "plain.safetensors"
        given = {"val": self.val, "recipe": recipe, "checkpoint": file} | self.given
        self.kind.tune(backbone, self.task, **given)
        return backbone

    def plain(self) -> dict:
        return self.quality(self.finished(MultiExitViT(self.trained_plain(), self.task, {})))

    def finished(self, model: MultiExitViT) -> MultiExitViT:
        """A trained model after the last touch that exits of its kind of task get."""
        given = {"accelerator": self.accelerator, "recipe": self.kind.recipe(**self.fields)}
        self.kind.finish(model, self.kind.lessons(self.train), **given)
        return model

    def untrained(self) -> MultiExitViT:
        """The start backbone with every head, as none has learned yet."""
        backbone = self.backbone(self.budget.seed)
        return MultiExitViT.untrained(backbone, self.task, self.heads, layers=[self.layer])

    def started(self) -> tuple[MultiExitViT, dict]:
        """The start backbone with every head trained on it to the end, and how that went; from its
        checkpoint if that is done."""
        model = self.untrained()
        warm_start(model)
        recipe, file = self.budget.start(), self.run / "start.safetensors"
        val = self.kind.lessons(self.val)
        done = classifier_wise(model, val=val, recipe=recipe, checkpoint=file, **self.lessons)
        return model, done

    def start(self) -> dict:
        """The exits that every cell starts from: how good they are, and their validation losses."""
        model, done = self.started()
        losses = {name_of((self.layer, head)): head for head in self.heads}
        curves = {head: done["exits"][name]["losses"] for name, head in losses.items()}
        return self.quality(model) | {"rounds": done["round"], "validation": curves}

    def cell(self, strategy: str, heads: tuple[str, ...]) -> dict:
        """Train one cell and measure it; its checkpoint is removed once it is done with."""
        result = self.quality(self.finished(self.trained(strategy, heads)))
        if self.accelerator.is_main_process and not self.keep:
            self.place(strategy, heads).unlink(missing_ok=True)
        return result

    def place(self, strategy: str, heads: tuple[str, ...]) -> Path:
        """The checkpoint of a cell."""
        return self.run / f"{strategy}_{'_'.join(heads)}.safetensors"

    def trained(self, strategy: str, heads: tuple[str, ...]) -> MultiExitViT:
        """The network of a cell; from its checkpoint if that is done."""
        started, _ = self.started()
        exits = {head: {self.layer: started.head_at(self.layer, head)} for head in heads}
        plain = self.trained_plain() if strategy == ALONE else None
        model = MultiExitViT(plain or started.backbone, self.task, exits)
        if strategy == ALONE:
            given = {"checkpoint": self.place(strategy, heads)} | self.lessons
            val = self.kind.lessons(self.val)
            classifier_wise(model, val=val, recipe=self.budget.exits(), **given)
        else:
            self.together(model, phases_of(model, strategy), self.place(strategy, heads))
        return model

    def together(self, model: MultiExitViT, phases: list[Phase], file: Path) -> None:
        """Train backbone and exits through the phases, at the table's budget."""
        recipe = self.kind.joint(exit_rate=self.budget.exit_rate, **self.fields)
        given = {"checkpoint": file, "lesson": self.kind.together} | self.lessons
        learn_together(model, phases, recipe=recipe, **given)

    def tidy(self) -> None:
        """Remove the checkpoints of all cells; those of the start and the plain backbone stay."""
        kept = {"plain.safetensors", "start.safetensors"}
        for file in self.run.glob("*.safetensors") if self.accelerator.is_main_process else ():
            if file.name not in kept:
                file.unlink()

    def quality(self, model: MultiExitViT) -> dict:
        """{"final": accuracy, "exits": {head: accuracy at the layer}, "errors": {head or "final": 1
        for each test picture that it names wrongly, else 0}}."""
        found = self.predicted(model)
        named = [head for _, head in found.exits]
        known = dict(zip(named, found.accuracy.tolist(), strict=True))
        wrong = dict(zip(named, (~found.correct).astype(int).tolist(), strict=True))
        return {"final": known.pop(FINAL), "exits": known, "errors": wrong}

    def rows(self, strategy: str, done: dict[str, dict]) -> list[dict]:
        """The rows of the training that was done last, one a head: {"strategy", "head", "accuracy"
        (at the layer), "final", "change" (of the final exit against plain, in points), "seconds"}
        and by how much that could differ by chance: "change_noise"; beside classifier-wise
        training "gain" and "gain_noise" too, of the same head at the layer. done: by name."""
        cell, rows = done[next(reversed(done))], []
        for head, accuracy in cell["exits"].items():
            row = {"strategy": strategy, "head": head, "accuracy": accuracy}
            if ALONE in done:
                worse, noise = compared(cell, done[ALONE], head)
                row |= {"gain": round(0.0 - 100 * worse, 3), "gain_noise": round(100 * noise, 3)}
            rows.append(row | self.against(cell, done["plain"]) | {"seconds": cell["seconds"]})
        return rows

    def against(self, cell: dict, plain: dict) -> dict:
        """The final exit of a training, and its change against the plain backbone's, in points,
        with what of that chance could do (95 %)."""
        worse, noise = (100 * figure for figure in compared(cell, plain, FINAL))
        return {
            "final": cell["final"],
            "change": round(0.0 - worse, 3),
            "change_noise": round(noise, 3),
        }

    def told(self, cell: dict) -> str:
        """What a training reached, in words."""
        exits = ", ".join(f"{head} {right:.2%}" for head, right in cell["exits"].items())
        return f"layer {self.layer} {exits}; final exit {cell['final']:.2%}"


def compared(one: dict, other: dict, exit_: str) -> tuple[float, float]:
    """By how much the mean error of an exit of one training is larger than that of another, and how
    much of that could be chance (95 %): judged picture by picture, so by how much the two trainings
    differ and not by how much the pictures do."""
    apart = np.array(one["errors"][exit_]) - np.array(other["errors"][exit_])
    noise = 1.96 * apart.std(ddof=1) / np.sqrt(len(apart)) if len(apart) > 1 else np.inf
    return float(apart.mean()), float(noise)
