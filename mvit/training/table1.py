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
from mvit.bundles.whole import read_json
from mvit.evaluation.paper import ALONE
from mvit.evaluation.paper import TABLE1 as FILE
from mvit.models.heads import HEADS
from mvit.models.multi_exit import PlanError
from mvit.training import identity
from mvit.training.finetune import Recipe
from mvit.training.joint import STRATEGIES
from mvit.training.lab import refuse_another
from mvit.training.last_step import OTHERS, from_others, named, variants
from mvit.training.study import Study, check_sizes
from mvit.training.table1_counts import CountsLab
from mvit.training.table1_lab import SOLVED_TILES, Budget, TableLab


@dataclass(kw_only=True)
class Table1:
    """Which table: study says task, data, start weights, run folder, device, precision and limits;
    last_step: whether layer-wise training's last step is tried from other weights too."""

    study: Study
    budget: Budget = field(default_factory=Budget)
    layer: int = 6
    heads: tuple[str, ...] = tuple(HEADS)
    strategies: tuple[str, ...] = STRATEGIES
    last_step: bool = False

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
        return [*([(ALONE, self.heads)] if ALONE in self.strategies else []), *alone]

    @property
    def last_steps(self) -> list[tuple[str, str]]:
        """(head, what its last layers begin from) of every further last step."""
        return [(h, begins) for h in self.heads for begins in OTHERS if self.last_step]


def lab_of(table: Table1) -> TableLab:
    """What trains and measures the cells of a table. Raises PlanError, DataError."""
    study, budget = table.study, table.budget
    check_sizes(replace(study, recipe=Recipe(stages=((budget.px, 1),)), layers=(table.layer,)))
    counts = study.task.counts
    if counts and ALONE not in table.strategies:
        raise PlanError(f"a counter's trainings are compared with {ALONE}; add it to --strategies")
    if table.last_step and (lost := {"end-to-end", "layer-wise"}.difference(table.strategies)):
        raise PlanError(f"--last-step begins from {min(lost)} training; add it to --strategies")
    if counts and budget.px != (whole := study.task.input_px):
        raise PlanError(
            f"a counter is measured on squares of {whole} pixels and counts badly when it last "
            f"learned from smaller ones; pass --px {whole}"
        )
    lab = (CountsLab if counts else TableLab).of(
        study,
        study.task if counts else replace(study.task, input_px=budget.px),
        study.run / (f"table1_seed_{budget.seed}" if budget.seed else "table1"),
        settings=asdict(budget)
        | {"layer": table.layer, "heads": list(table.heads)}
        | ({"solved_tiles": SOLVED_TILES} if counts else {}),
        budget=budget,
        layer=table.layer,
        heads=table.heads,
        keep=table.last_step,
    )
    lab.settings["test pictures and labels"] = identity.of_data(lab.test)
    return lab


def measure(table: Table1, say: Callable[[str], None] = print) -> dict:
    """Train and measure every cell that the run folder does not hold yet, and write table1.json
    after each; return what was measured.

    {"task", "architecture", "init", "layer", "n" (test pictures), "budget", "plain": {"accuracy"},
    "start": {"exits", "final", "rounds", "validation" (losses of each head after each round)},
    "rows": see TableLab.rows, of a counter CountsLab.rows, "last_steps": see
    mvit.training.last_step, "missing": trainings that were asked for and are not done}.
    What the file holds already stays, see `beside`. Raises CheckpointError if the run folder or the
    file was begun with another budget or other heads, DataError for a start without exits that it
    needs, PlanError for a counter's table without classifier-wise training, TrainingError on a loss
    that is not finite.
    """
    study, lab = table.study, lab_of(table)
    file = weights.root() / lab.task.name / (study.name or study.architecture) / FILE
    if not another_seed(read_json(file).get("budget"), lab.settings):
        refuse_another(file, lab.settings, study.overwrite)
    done = {"plain": lab.once("plain", lab.plain), "start": lab.once("start", lab.start)}
    say(f"start: {done['start']['rounds']} rounds; " + lab.told(done["start"]))
    result = empty(table, lab, done)

    def add(name: str, work: Callable[[], dict]) -> None:
        done[name] = lab.once(name, work)
        say(f"{name}: " + lab.told(done[name]))

    for strategy, heads in table.cells:
        name = ALONE if strategy == ALONE else f"{strategy} {heads[0]}"
        add(name, partial(lab.cell, strategy, heads))
        result["rows"] += lab.rows(strategy, done)
        lab.write(file, beside(read_json(file), result, table))
    for head, begins in table.last_steps:
        add(named(head, begins), partial(from_others, lab, head, begins))
        result["last_steps"] = [row for own in table.heads for row in variants(lab, own, done)]
        lab.write(file, beside(read_json(file), result, table))
    lab.tidy()
    return result | {"missing": 0}


def empty(table: Table1, lab: TableLab, done: dict[str, dict]) -> dict:
    """The table before its first cell is done."""
    start = done["start"]
    return {
        "task": lab.task.name,
        "architecture": table.study.architecture,
        "init": lab.settings["init"],
        "layer": table.layer,
        "n": len(lab.test),
        "budget": lab.settings,
        "plain": {lab.task.metric: done["plain"]["final"]},
        "start": {k: start[k] for k in ("exits", "final", "rounds", "validation")},
        "rows": [],
        "last_steps": [],
    }


def another_seed(before: dict | None, now: dict) -> bool:
    """Whether the settings of a table differ from those of now by the seed, and by nothing but what
    that changes; it may have other heads."""
    if not before or before.get("seed") == now["seed"]:
        return False
    drawn = dict.fromkeys(("seed", "heads", "pictures and labels"))
    return before | drawn == now | drawn


def beside(before: dict, result: dict, table: Table1) -> dict:
    """What table1.json holds once something of a table is measured. before: what it held. Of the
    same table it keeps what was not measured now; of another seed's it keeps all, and this one
    stands under "again"."""
    again = before.get("again", [])
    if another_seed(before.get("budget"), result["budget"]):
        seed = result["budget"]["seed"]
        old = next((t for t in again if t["budget"]["seed"] == seed), {})
        others = [t for t in again if t["budget"]["seed"] != seed]
        return before | {"again": [*others, beside(old, result, table)]}
    if before.get("budget") != result["budget"]:
        before, again = {}, []
    whole = result | {key: kept(before, result, key) for key in ("rows", "last_steps")}
    there = {(row["strategy"], row["head"]) for row in whole["rows"]}
    there |= {(row["head"], row["begins"]) for row in whole["last_steps"]}
    asked = [(strategy, heads[0]) for strategy, heads in table.cells] + table.last_steps
    whole["missing"] = len([cell for cell in asked if cell not in there])
    return whole | ({"again": again} if again else {})


def kept(before: dict, result: dict, key: str) -> list[dict]:
    """The rows of now, and those before them that were not measured again."""
    names = ("strategy", "head", "begins")
    now = [[row.get(name) for name in names] for row in result[key]]
    old = [r for r in before.get(key, []) if [r.get(name) for name in names] not in now]
    return old + result[key]
