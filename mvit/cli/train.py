"""`python -m mvit train`, `table1` and `ablation`: the study or comparison that the options ask
for, and what a person reads at the end."""

from __future__ import annotations

import argparse
import sys
from dataclasses import fields, replace
from pathlib import Path

from mvit.bundles import weights
from mvit.bundles.whole import check_folder
from mvit.cli import options
from mvit.cli.options import FINE, way_of
from mvit.cli.tables import by_layer, error_or_share
from mvit.data.labelled import DataError, data_root
from mvit.models.heads import HEADS
from mvit.tasks import TASKS, Task
from mvit.training.ablation import Ablation, Cost, compare
from mvit.training.add_heads import add_heads
from mvit.training.distill import HEAD
from mvit.training.distill_study import distill
from mvit.training.initial import architecture_of
from mvit.training.kinds import kind_of
from mvit.training.map_study import MapStudy, teach_maps
from mvit.training.maps import MapRecipe
from mvit.training.study import Study, own_task, train
from mvit.training.table1 import Table1, measure
from mvit.training.table1_lab import Budget


def add_arguments(sub: argparse.ArgumentParser) -> None:
    """The options of `train`."""
    options.add_arguments(sub, options.ALL - options.COMPARED)


def run(args: argparse.Namespace) -> dict:
    """Train and measure what the options say, write the bundle and return its card, with the
    bundle's task and name under "bundle"."""
    way = way_of(args)
    if way == "maps":
        return teach(args)
    data = data_root(args.data)
    task = task_with_bundle(args) if way == "adding" else task_of(args, data)
    study = study_of(args, task, data)
    if way == "adding":
        study.name = args.name or args.backbone
        card, name = add_heads(study, args.add_heads, args.into), args.into or study.bundle
        return card | {"bundle": f"{task.name}/{name}"}
    if way in options.DISTILLED:
        study.heads = args.heads or (HEAD,)
        card = distill(study, [Path(folder) for folder in args.distill], bool(args.closed_form))
    else:
        card = train(study)
    return card | {"bundle": f"{task.name}/{study.bundle}"}


def teach(args: argparse.Namespace) -> dict:
    """Teach the bundle's counter where people are and return what its card tells about the maps,
    with the bundle's task and name under "bundle". Raises DataError, WeightsError."""
    name = args.name or args.backbone
    folder = weights.root() / args.task / name
    card = weights.read_card(folder)
    task = weights.task_of(card)
    if not task.counts:
        raise DataError(f"--maps is for counters; {args.task} has classes")
    if "maps" in card and not args.overwrite:
        raise DataError(f"{args.task}/{name} has maps; pass --overwrite to replace them")
    recipe = MapRecipe(seed=args.seed)
    study = MapStudy(
        bundle=folder,
        task=task,
        folders=[data_root(folder) for folder in args.maps],
        run=Path(args.run or Path("runs") / f"{args.task}-maps"),
        recipe=recipe,
        device=args.device,
        **{k: getattr(args, k) for k in ("limit", "test_limit", "precision")},
    )
    for place in (study.run, folder):
        check_folder(place)
    return {"maps": teach_maps(study), "bundle": f"{args.task}/{name}"}


def run_table1(args: argparse.Namespace) -> dict:
    """Train and measure the cells of Table I that are missing, write table1.json and return its
    content."""
    way_of(args)
    data = data_root(args.data)
    task = task_of(args, data)
    own = {"px": task.input_px} if task.counts else {}
    table = Table1(
        study=study_of(args, task, data),
        budget=Budget(**own | given(Budget, args)),
        **given(Table1, args),
    )
    return measure(table, lambda line: print(line, file=sys.stderr))


def run_ablation(args: argparse.Namespace) -> dict:
    """Train and measure the ways of joint training that are missing, write ablation.json and return
    its content."""
    way_of(args)
    data = data_root(args.data)
    cost = Cost(**given(Cost, args))
    ablation = Ablation(study=study_of(args, task_of(args, data), data), cost=cost)
    return compare(ablation, lambda line: print(line, file=sys.stderr))


def given(record, args: argparse.Namespace) -> dict:
    """Return the options that were given and have the name of a field of a data class."""
    found = {f.name: getattr(args, f.name, None) for f in fields(record)}
    return {name: value for name, value in found.items() if value is not None}


def study_of(args: argparse.Namespace, task: Task, data: Path) -> Study:
    """Return the study that the options describe; what they leave out keeps its default. Raises
    OSError if what it makes could not be kept."""
    kind, strategy = kind_of(task), getattr(args, "strategy", None) or FINE
    recipe = kind.recipe() if strategy == FINE else kind.joint()
    recipe = replace(recipe, **given(recipe, args))
    if stages := getattr(args, "tile_stages", None):
        recipe.stages = stages
    exits = kind.exits()
    batch = getattr(args, "exit_batch", None) or exits.batch
    own = {
        "task": task,
        "data": data,
        "run": Path(args.run or Path("runs") / task.name),
        "architecture": architecture_of(args.backbone),
        "init": Path(args.init) if args.init else None,
        "teacher": Path(args.teacher) if getattr(args, "teacher", None) else None,
        "recipe": recipe,
        "exits": replace(exits, **given(exits, args) | {"batch": batch}),
        "strategy": strategy,
        "heads": getattr(args, "heads", None)
        or (tuple(HEADS) if strategy == FINE else ("cnn_ignore",)),
        "hub": args.backbone,
    }
    study = Study(**given(Study, args) | own)
    for place in (study.run, study.folder):
        check_folder(place)
    return study


def task_of(args: argparse.Namespace, data: Path) -> Task:
    """Return the built-in task that --task names, or one's own from the folder. Raises
    DataError."""
    if args.task_name:
        return own_task(data, args.task_name)
    if args.task == "crowd" and args.command == "ablation":
        raise DataError("ablation is for tasks with classes; --task crowd has `train` and `table1`")
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
    if "exits" not in card:
        return describe_maps(card)
    key, sign = ("accuracy", 1) if "accuracy" in card["final"] else ("mae", -1)
    found = {(e["layer"], e["head"]): e[key] for e in card["exits"]}
    (layer, head), best = max(found.items(), key=lambda item: sign * item[1])
    measure = "Accuracy" if key == "accuracy" else "Mean error in people"
    task, skipped = card["task"]["name"], len(card["data"].get("unreadable", ()))
    name = card["bundle"].partition("/")[2]
    backbone = "" if name == weights.default_backbone(task) else f" --backbone {name}"
    return "\n".join(
        [
            f"{measure} on {card['n']} test pictures, by layer and head:",
            *by_layer(card["exits"], key),
            f"final exit: {error_or_share(card['final'][key], key)}",
            f"best head: {head}, {error_or_share(best, key)} after layer {layer}",
            *([f"left out: {skipped} (named in card.json with the reason)"] if skipped else []),
            f"bundle: {weights.root() / card['bundle']}",
            f"see it: python -m mvit trace PICTURE --task {task}{backbone}, "
            "or streamlit run app.py",
        ]
    )


def describe_maps(card: dict) -> str:
    """Return how far the maps' sums are off, in people, by layer and set, and the command to see
    them."""
    splits = card["maps"]["splits"]
    lines = [f"Mean error in people of the map's own sum, by layer: {', '.join(splits)}"]
    for rows in zip(*(split["layers"] for split in splits.values()), strict=True):
        cells = "".join(f"{row['mae']:>13.1f}" for row in rows)
        lines.append(f"{rows[0]['layer']:>5}{cells}")
    lines += [f"bundle: {weights.root() / card['bundle']}", "see it: streamlit run app.py"]
    return "\n".join(lines)
