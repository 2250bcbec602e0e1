"""The paper's Table I on our weights: one exit after one layer, every head, trained end-to-end,
layer-wise and classifier-wise.

All cells start from the same backbone and from exits that were trained on it to the end,
classifier-wise, and see the same number of pictures of the same size. So no strategy is judged by
exits that have hardly begun to learn. The plain backbone, which everything is compared with, gets
the same training without any exit, so a change at the final exit is the strategy's doing and not
more training's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from functools import partial

from mvit.bundles import weights
from mvit.evaluation.paper import TABLE1 as FILE
from mvit.models.heads import HEADS
from mvit.models.multi_exit import PlanError
from mvit.training.finetune import Recipe
from mvit.training.joint import STRATEGIES
from mvit.training.lab import refuse_another
from mvit.training.study import Study, check_sizes
from mvit.training.table1_counts import ALONE, CountsLab
from mvit.training.table1_lab import Budget, TableLab


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


def lab_of(table: Table1) -> TableLab:
    """What trains and measures the cells of a table. Raises PlanError, DataError."""
    study, budget = table.study, table.budget
    check_sizes(replace(study, recipe=Recipe(stages=((budget.px, 1),)), layers=(table.layer,)))
    counts = study.task.counts
    if counts and ALONE not in table.strategies:
        raise PlanError(f"a counter's trainings are compared with {ALONE}; add it to --strategies")
    if counts and budget.px != (whole := study.task.input_px):
        raise PlanError(
            f"a counter is measured on squares of {whole} pixels and counts badly when it last "
            f"learned from smaller ones; pass --px {whole}"
        )
    return (CountsLab if counts else TableLab).of(
        study,
        study.task if counts else replace(study.task, input_px=budget.px),
        study.run / "table1",
        settings=asdict(budget) | {"layer": table.layer},
        budget=budget,
        layer=table.layer,
        heads=table.heads,
    )


def measure(table: Table1, say: Callable[[str], None] = print) -> dict:
    """Train and measure every cell that the run folder does not hold yet, and write table1.json
    after each; return its content.

    {"task", "architecture", "init", "layer", "n" (test pictures), "budget", "plain": {"accuracy"},
    "start": {"exits", "final", "rounds", "validation" (losses of each head after each round)},
    "rows": [{"strategy", "head", "accuracy" (at the layer), "final", "change" (of the final exit
    against plain, in points), "seconds"}], "missing": cells not yet done}. Of a counter: see
    mvit.training.table1_counts. Raises CheckpointError if the run folder was begun with another
    budget, DataError for a start without exits that it needs, PlanError for a counter's table
    without classifier-wise training, TrainingError on a loss that is not finite.
    """
    study, lab = table.study, lab_of(table)
    file = weights.root() / lab.task.name / (study.name or study.architecture) / FILE
    refuse_another(file, lab.settings, study.overwrite)
    done = {"plain": lab.once("plain", lab.plain), "start": lab.once("start", lab.start)}
    start = done["start"]
    say(f"start: {start['rounds']} rounds; " + lab.told(start))
    result = {
        "task": lab.task.name,
        "architecture": study.architecture,
        "init": lab.settings["init"],
        "layer": table.layer,
        "n": len(lab.test),
        "budget": lab.settings,
        "plain": {lab.task.metric: done["plain"]["final"]},
        "start": {k: start[k] for k in ("exits", "final", "rounds", "validation")},
        "rows": [],
        "missing": len(table.cells),
    }
    for strategy, heads in table.cells:
        name = strategy if strategy == "classifier-wise" else f"{strategy} {heads[0]}"
        done[name] = lab.once(name, partial(lab.cell, strategy, heads))
        say(f"{name}: " + lab.told(done[name]))
        result["rows"] += lab.rows(strategy, done)
        result["missing"] -= 1
        lab.write(file, result)
    return result
