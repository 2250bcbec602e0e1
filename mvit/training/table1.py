"""The paper's Table I on our weights: one exit after one layer, every head, trained end-to-end,
layer-wise and classifier-wise.

All cells start from the same weights and see the same number of pictures of the same size. The
plain backbone, which everything is compared with, gets the same training without any exit, so a
change at the final exit is the strategy's doing and not more training's.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import torch
from accelerate import Accelerator

from mvit.bundles import weights
from mvit.bundles.whole import written_whole
from mvit.data.labelled import Pictures
from mvit.evaluation.paper import TABLE1 as FILE
from mvit.evaluation.predictions import predict
from mvit.models.backbone import Backbone
from mvit.models.heads import HEADS
from mvit.models.multi_exit import FINAL, MultiExitViT
from mvit.training import checkpoints, identity
from mvit.training.checkpoints import CheckpointError
from mvit.training.exits import ExitRecipe, classifier_wise, warm_start
from mvit.training.finetune import Recipe, fine_tune
from mvit.training.initial import origin, starting_backbone
from mvit.training.joint import STRATEGIES, JointRecipe, learn_together, phases_of
from mvit.training.kinds import CLASSES
from mvit.training.study import Study, check_sizes


@dataclass(kw_only=True)
class Budget:
    """What one cell of the table may cost: `images` pictures of `px` pixels a side. Layer-wise
    training sees them once for each part."""

    px: int = 96
    images: int = 12_000
    batch: int = 64
    learning_rate: float = 1e-4
    exit_rate: float = 1e-3
    rates: tuple[float, ...] = (1e-3, 1e-4)
    val_images: int = 512
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

    def exits(self) -> ExitRecipe:
        """Four rounds, as the paper's recipe allows; the learning rate is chosen among `rates` on
        validation."""
        return ExitRecipe(
            rates=self.rates,
            batch=self.batch,
            round_images=max(self.batch, math.ceil(self.images / 4)),
            max_rounds=4,
            val_images=self.val_images,
            mean_decay=0.98,
            trial_steps=max(1, self.images // self.batch // 6),
            seed=self.seed,
        )


@dataclass(kw_only=True)
class Table1:
    """Which table: study says task, data, start weights, run folder, device, precision and
    limits."""

    study: Study
    budget: Budget = field(default_factory=Budget)
    layer: int = 6
    heads: tuple[str, ...] = tuple(HEADS)
    strategies: tuple[str, ...] = STRATEGIES

    @property
    def cells(self) -> list[tuple[str, tuple[str, ...]]]:
        """(strategy, heads) of every training: classifier-wise teaches all heads in one, the others
        each by itself."""
        alone = [
            (s, (head,))
            for head in self.heads
            for s in ("layer-wise", "end-to-end")
            if s in self.strategies
        ]
        return [
            *([("classifier-wise", self.heads)] if "classifier-wise" in self.strategies else []),
            *alone,
        ]


def measure(table: Table1, say: Callable[[str], None] = print) -> dict:
    """Train and measure every cell that the run folder does not hold yet, and write table1.json
    after each; return its content.

    {"task", "architecture", "init", "layer", "n" (test pictures), "budget", "plain": {"accuracy"},
    "rows": [{"strategy", "head", "accuracy" (at the layer), "final", "change" (of the final exit
    against plain, in points), "seconds"}], "missing": cells not yet done}. Raises CheckpointError
    if the run folder was begun with another budget, TrainingError on a loss that is not finite.
    """
    study, run = table.study, table.study.run / "table1"
    task = replace(study.task, input_px=table.budget.px)
    accelerator = study.accelerator()
    check_sizes(
        replace(study, recipe=Recipe(stages=((table.budget.px, 1),)), layers=(table.layer,))
    )
    train, val, test = CLASSES.parts(study)
    start = starting_backbone(study.architecture, task, study.init, study.hub)
    settings = asdict(table.budget) | {
        "layer": table.layer,
        "precision": study.precision,
        "training pictures": len(train),
        "test pictures": len(test),
        **origin(study.init, study.hub or study.architecture),
        "pictures and labels": identity.of_data(train, val, test),
        "start weights": identity.of_start(study.init, start.vit),
    }
    settings.pop("before", None)
    file = weights.root() / task.name / (study.name or study.architecture) / FILE
    refuse_another(file, settings, study.overwrite)
    lab = Lab(
        table=table,
        task=task,
        train=train,
        val=val,
        test=test,
        accelerator=accelerator,
        run=run,
        known={k: settings[k] for k in ("pictures and labels", "start weights")},
    )
    plain = lab.once("plain", settings, lab.plain)
    rows: list[dict] = []
    about = {
        "task": task.name,
        "architecture": study.architecture,
        "init": settings["init"],
        "layer": table.layer,
        "n": len(test),
        "budget": settings,
        "plain": {"accuracy": plain["final"]},
    }
    for number, (strategy, heads) in enumerate(table.cells):
        name = (
            strategy
            if len(heads) > 1 or strategy == "classifier-wise"
            else f"{strategy} {heads[0]}"
        )
        cell = lab.once(
            name, settings, lambda strategy=strategy, heads=heads: lab.cell(strategy, heads)
        )
        for head, accuracy in cell["exits"].items():
            change = 100 * (cell["final"] - plain["final"])
            rows.append(
                {
                    "strategy": strategy,
                    "head": head,
                    "accuracy": accuracy,
                    "final": cell["final"],
                    "change": round(change, 3),
                    "seconds": cell["seconds"],
                }
            )
        say(
            f"{name}: layer {table.layer} "
            f"{', '.join(f'{h} {a:.2%}' for h, a in cell['exits'].items())}; "
            f"final exit {cell['final']:.2%}"
        )
        result = about | {"rows": rows, "missing": len(table.cells) - number - 1}
        if accelerator.is_main_process:
            write(file, result)
    return result


def refuse_another(file: Path, settings: dict, overwrite: bool) -> None:
    """Raise CheckpointError if `file` is the table of other settings, unless it may be
    overwritten."""
    if overwrite or not file.exists():
        return
    if json.loads(file.read_text())["budget"] != json.loads(json.dumps(settings)):
        raise CheckpointError(
            f"{file} holds the table of another run; name another bundle with --name, "
            "or pass --overwrite to replace it"
        )


@dataclass(kw_only=True)
class Lab:
    """Trains and measures single cells."""

    table: Table1
    task: object
    train: Pictures
    val: Pictures
    test: Pictures
    accelerator: Accelerator
    run: Path
    known: dict

    def once(self, name: str, settings: dict, work: Callable[[], dict]) -> dict:
        """The cell's result from the run folder, or else from `work`, then kept there."""
        file = self.run / f"{name.replace(' ', '_')}.json"
        if file.exists():
            done = json.loads(file.read_text())
            checkpoints.compare(file, done["settings"], settings)
            return done
        started = time.monotonic()
        result = work() | {"seconds": round(time.monotonic() - started), "settings": settings}
        if self.accelerator.is_main_process:
            write(file, result)
        return result

    def backbone(self) -> Backbone:
        torch.manual_seed(self.table.budget.seed)
        return starting_backbone(
            self.table.study.architecture, self.task, self.table.study.init, self.table.study.hub
        )

    def trained_plain(self) -> Backbone:
        """The plain backbone after its share of training; from its checkpoint if that is done."""
        backbone = self.backbone()
        recipe = Recipe(**self.table.budget.backbone(len(self.train)))
        file = self.run / "plain.safetensors"
        fine_tune(backbone, self.task, val=self.val, recipe=recipe, checkpoint=file, **self.given)
        return backbone

    @property
    def given(self) -> dict:
        """What every training gets."""
        return {"train": self.train, "accelerator": self.accelerator, "known": self.known}

    def plain(self) -> dict:
        return self.accuracy(MultiExitViT(self.trained_plain(), self.task, {}))

    def cell(self, strategy: str, heads: tuple[str, ...]) -> dict:
        """Train one cell and measure it; its checkpoint is removed once it is done with."""
        budget, layers = self.table.budget, [self.table.layer]
        backbone = self.trained_plain() if strategy == "classifier-wise" else self.backbone()
        model = MultiExitViT.untrained(backbone, self.task, heads, layers)
        warm_start(model)
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
        found = predict(model, self.test, self.accelerator, batch=128)
        known = {head: float(a) for (_, head), a in zip(found.exits, found.accuracy, strict=True)}
        return {"final": known.pop(FINAL), "exits": known}


def write(file: Path, content: dict) -> None:
    """Write JSON whole or not at all."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with written_whole(file) as partial:
        partial.write_text(json.dumps(content, indent=1) + "\n")
