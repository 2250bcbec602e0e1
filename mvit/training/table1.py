"""The paper's Table I on our weights: one exit after one layer, every head, trained end-to-end,
layer-wise and classifier-wise.

All cells start from the same backbone and from exits that were trained on it to the end,
classifier-wise, and see the same number of pictures of the same size. So no strategy is judged by
exits that have hardly begun to learn. The plain backbone, which everything is compared with, gets
the same training without any exit, so a change at the final exit is the strategy's doing and not
more training's.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from mvit.bundles import weights
from mvit.evaluation.paper import TABLE1 as FILE
from mvit.models.heads import HEADS
from mvit.training import identity
from mvit.training.checkpoints import CheckpointError
from mvit.training.finetune import Recipe
from mvit.training.initial import origin, starting_backbone
from mvit.training.joint import STRATEGIES
from mvit.training.kinds import CLASSES
from mvit.training.study import Study, check_sizes
from mvit.training.table1_lab import Budget, Lab, write


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
    "start": {"exits", "final", "rounds", "validation" (losses of each head after each round)},
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
    backbone = starting_backbone(study.architecture, task, study.init, hub=study.hub)
    settings = asdict(table.budget) | {
        "layer": table.layer,
        "precision": study.precision,
        "training pictures": len(train),
        "test pictures": len(test),
        **origin(study.init, study.hub or study.architecture),
        "pictures and labels": identity.of_data(train, val, test),
        "start weights": identity.of_start(study.init, backbone.vit),
    }
    settings.pop("before", None)
    file = weights.root() / task.name / (study.name or study.architecture) / FILE
    refuse_another(file, settings, study.overwrite)
    lab = Lab(
        study=study,
        budget=table.budget,
        layer=table.layer,
        heads=table.heads,
        task=task,
        train=train,
        val=val,
        test=test,
        accelerator=accelerator,
        run=run,
        known={k: settings[k] for k in ("pictures and labels", "start weights")},
    )
    plain = lab.once("plain", settings, lab.plain)
    start = lab.once("start", settings, lab.start)
    say(f"start: {start['rounds']} rounds; " + accuracies(table.layer, start))
    rows: list[dict] = []
    about = {
        "task": task.name,
        "architecture": study.architecture,
        "init": settings["init"],
        "layer": table.layer,
        "n": len(test),
        "budget": settings,
        "plain": {"accuracy": plain["final"]},
        "start": {k: start[k] for k in ("exits", "final", "rounds", "validation")},
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
        say(f"{name}: " + accuracies(table.layer, cell))
        result = about | {"rows": rows, "missing": len(table.cells) - number - 1}
        if accelerator.is_main_process:
            write(file, result)
    return result


def accuracies(layer: int, cell: dict) -> str:
    """Return what a cell reached, in words."""
    exits = ", ".join(f"{head} {accuracy:.2%}" for head, accuracy in cell["exits"].items())
    return f"layer {layer} {exits}; final exit {cell['final']:.2%}"


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
