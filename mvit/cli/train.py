"""`python -m mvit train` and `table1`: the study or table that the options ask for, and what a
person reads at the end."""

from __future__ import annotations

import argparse
import sys
from dataclasses import fields
from pathlib import Path
from typing import TypeVar

from mvit.bundles import weights
from mvit.cli.options import FINE, way_of
from mvit.data.labelled import DataError, data_root
from mvit.models.heads import HEADS
from mvit.tasks import TASKS, Task
from mvit.training import crowd_study
from mvit.training.add_heads import add_heads
from mvit.training.counter import CrowdRecipe
from mvit.training.crowd_study import CrowdStudy
from mvit.training.distill_study import distill
from mvit.training.exits import ExitRecipe
from mvit.training.finetune import Recipe
from mvit.training.initial import architecture_of
from mvit.training.joint import JointRecipe
from mvit.training.study import Study, own_task, train
from mvit.training.table1 import Budget, Table1, measure

Record = TypeVar("Record")


def run_train(args: argparse.Namespace) -> dict:
    """Train and measure what the options say, write the bundle and return its card, with the
    bundle's folder under "bundle"."""
    way, data = way_of(args), data_root(args.data)
    if way == "adding":
        study = study_of(args, task_with_bundle(args), data, args.name or args.backbone)
        card = add_heads(study, args.add_heads, args.into)
        return card | {"bundle": f"{study.task.name}/{args.into or study.bundle}"}
    if way == "crowd":
        counter = counter_study_of(args, data)
        return crowd_study.train(counter) | {"bundle": f"crowd/{counter.bundle}"}
    study = study_of(args, task_of(args, data), data, args.name)
    if way == "distilling":
        card = distill(study, [Path(folder) for folder in args.distill])
        return card | {"bundle": f"{study.task.name}/{study.bundle}"}
    return train(study) | {"bundle": f"{study.task.name}/{study.bundle}"}


def run_table1(args: argparse.Namespace) -> dict:
    """Train and measure the cells of Table I that are missing, write table1.json and return its
    content."""
    way_of(args)
    data = data_root(args.data)
    table = Table1(
        study_of(args, task_of(args, data), data, args.name),
        filled(Budget, args),
        layer=args.layer,
        **{k: getattr(args, k) for k in ("heads", "strategies") if getattr(args, k)},
    )
    return measure(table, lambda line: print(line, file=sys.stderr))


def filled(kind: type[Record], args: argparse.Namespace, **others) -> Record:
    """Return a data class with the options of its fields' names; what they leave out keeps its
    default."""
    given = {f.name: getattr(args, f.name, None) for f in fields(kind)} | others
    return kind(**{name: value for name, value in given.items() if value is not None})


def study_of(args: argparse.Namespace, task: Task, data: Path, name: str | None) -> Study:
    """Return the study that the options describe; what they leave out keeps its default."""
    strategy = getattr(args, "strategy", None) or FINE
    return filled(
        Study,
        args,
        task=task,
        data=data,
        run=Path(args.run or Path("runs") / task.name),
        architecture=architecture_of(args.backbone),
        init=Path(args.init) if args.init else None,
        name=name,
        recipe=filled(Recipe if strategy == FINE else JointRecipe, args),
        exits=filled(ExitRecipe, args, batch=getattr(args, "exit_batch", None)),
        strategy=strategy,
        heads=args.heads or (tuple(HEADS) if strategy == FINE else ("cnn_ignore",)),
        hub=args.backbone,
    )


def counter_study_of(args: argparse.Namespace, data: Path) -> CrowdStudy:
    """Return the study of a counter that the options describe."""
    if args.strategy not in (None, FINE):
        raise DataError(
            f"--strategy {args.strategy} is for tasks with classes; --task crowd has {FINE} alone"
        )
    return filled(
        CrowdStudy,
        args,
        task=TASKS["crowd"],
        data=data,
        run=Path(args.run or Path("runs") / "crowd"),
        architecture=architecture_of(args.backbone),
        init=Path(args.init) if args.init else None,
        recipe=filled(CrowdRecipe, args, stages=args.tile_stages),
        exits=filled(ExitRecipe, args, batch=args.exit_batch or 12, mean_decay=0.98),
        hub=args.backbone,
    )


def task_of(args: argparse.Namespace, data: Path) -> Task:
    """Return the built-in task that --task names, or one's own from the folder. Raises
    DataError."""
    if args.task_name:
        return own_task(data, args.task_name)
    if args.task == "crowd":
        raise DataError("table1 is for tasks with classes; --task crowd has `train`")
    if args.task not in TASKS:
        raise DataError(
            f"unknown task '{args.task}'; there are: {', '.join(TASKS)}; "
            "for your own pictures use --task-name"
        )
    return TASKS[args.task]


def task_with_bundle(args: argparse.Namespace) -> Task:
    """Return the task of the bundle that is added to, as its card tells it. Raises WeightsError,
    DataError."""
    name = args.task_name or args.task
    task = weights.task_of(weights.read_card(weights.folder(name, args.name or args.backbone)))
    if task.counts:
        raise DataError(f"--add-heads is for tasks with classes; {name} counts")
    return task


def describe(card: dict) -> str:
    """Return the end of a training in a few lines: accuracy by layer, the best head, where the
    bundle is, and the command to see it."""
    key, sign = ("accuracy", 1) if "accuracy" in card["final"] else ("mae", -1)
    heads = list(dict.fromkeys(e["head"] for e in card["exits"]))
    found = {(e["layer"], e["head"]): e[key] for e in card["exits"]}

    def said(value: float | None) -> str:
        if value is None:
            return ""
        return f"{value:.1%}" if key == "accuracy" else f"{value:.1f}"

    def row(first: str, cells: list[str]) -> str:
        return f"{first:>5}" + "".join(f"{cell:>13}" for cell in cells)

    (layer, head), best = max(found.items(), key=lambda item: sign * item[1])
    measure = "Accuracy" if key == "accuracy" else "Mean error in people"
    task, skipped = card["task"]["name"], len(card["data"].get("unreadable", ()))
    name = card["bundle"].partition("/")[2]
    backbone = "" if name == weights.default_backbone(task) else f" --backbone {name}"
    return "\n".join(
        [
            f"{measure} on {card['n']} test pictures, by layer and head:",
            row("layer", heads),
            *(
                row(str(b), [said(found.get((b, h))) for h in heads])
                for b in sorted({b for b, _ in found})
            ),
            f"final exit: {said(card['final'][key])}",
            f"best head: {head}, {said(best)} after layer {layer}",
            *([f"left out: {skipped} (named in card.json with the reason)"] if skipped else []),
            f"bundle: {weights.root() / card['bundle']}",
            f"see it: python -m mvit trace PICTURE --task {task}{backbone}, or streamlit run app.py",
        ]
    )
