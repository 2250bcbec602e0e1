"""The single trainings of Table I: the start, the plain backbone, and every cell."""

from __future__ import annotations

import math
from dataclasses import dataclass

from mvit.models.backbone import Backbone
from mvit.models.multi_exit import FINAL, MultiExitViT
from mvit.training.exits import ExitRecipe, classifier_wise, name_of, warm_start
from mvit.training.finetune import Recipe, fine_tune
from mvit.training.joint import JointRecipe, learn_together, phases_of
from mvit.training.lab import Lab


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
        return {
            "stages": ((self.px, self.images / n),),
            "batch": self.batch,
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
        )


@dataclass(kw_only=True)
class TableLab(Lab):
    """Trains and measures single cells."""

    budget: Budget
    layer: int
    heads: tuple[str, ...]

    def trained_plain(self) -> Backbone:
        """The plain backbone after its share of training; from its checkpoint if that is done."""
        backbone = self.backbone(self.budget.seed)
        recipe = Recipe(**self.budget.backbone(len(self.train)))
        file = self.run / "plain.safetensors"
        fine_tune(backbone, self.task, val=self.val, recipe=recipe, checkpoint=file, **self.given)
        return backbone

    def plain(self) -> dict:
        return self.accuracy(MultiExitViT(self.trained_plain(), self.task, {}))

    def started(self) -> tuple[MultiExitViT, dict]:
        """The start backbone with every head trained on it to the end, and how that went; from its
        checkpoint if that is done."""
        model = MultiExitViT.untrained(
            self.backbone(self.budget.seed), self.task, self.heads, layers=[self.layer]
        )
        warm_start(model)
        recipe, file = self.budget.start(), self.run / "start.safetensors"
        done = classifier_wise(model, val=self.val, recipe=recipe, checkpoint=file, **self.given)
        return model, done

    def start(self) -> dict:
        """The exits that every cell starts from: their accuracy and validation losses."""
        model, done = self.started()
        losses = {name_of((self.layer, head)): head for head in self.heads}
        curves = {head: done["exits"][name]["losses"] for name, head in losses.items()}
        return self.accuracy(model) | {"rounds": done["round"], "validation": curves}

    def cell(self, strategy: str, heads: tuple[str, ...]) -> dict:
        """Train one cell and measure it; its checkpoint is removed once it is done with."""
        budget, (started, _) = self.budget, self.started()
        exits = {head: {self.layer: started.head_at(self.layer, head)} for head in heads}
        plain = self.trained_plain() if strategy == "classifier-wise" else None
        model = MultiExitViT(plain or started.backbone, self.task, exits)
        file = self.run / f"{strategy}_{'_'.join(heads)}.safetensors"
        if strategy == "classifier-wise":
            recipe = budget.exits()
            classifier_wise(model, val=self.val, recipe=recipe, checkpoint=file, **self.given)
        else:
            fields = budget.backbone(len(self.train))
            recipe = JointRecipe(exit_rate=budget.exit_rate, **fields)
            phases = phases_of(model, strategy)
            learn_together(model, phases, recipe=recipe, checkpoint=file, **self.given)
        result = self.accuracy(model)
        if self.accelerator.is_main_process:
            file.unlink(missing_ok=True)
        return result

    def accuracy(self, model: MultiExitViT) -> dict:
        """{"final": ..., "exits": {head: at the layer}}."""
        known = {head: accuracy for (_, head), accuracy in self.measured(model).items()}
        return {"final": known.pop(FINAL), "exits": known}
