"""`python -m mvit evaluate --unlike`: how often "I do not know this" is said of pictures of other
things, and wrongly of known ones."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import torch

from mvit.bundles import weights
from mvit.cli.values import share
from mvit.data.folders import DataError
from mvit.data.labelled import Pictures, data_root
from mvit.data.photos import find_photos, read_batch
from mvit.data.splits import sample, unseen_part, validation_part
from mvit.evaluation.measure import test_part_of
from mvit.evaluation.unlike import ENOUGH, WARNED, Check, chosen, fewest, measure
from mvit.models.multi_exit import MultiExitViT
from mvit.tasks import Task

TEST = "test pictures"  # what the figures call those of the task itself


def add_arguments(sub: argparse.ArgumentParser) -> None:
    """The options of `evaluate` that are about pictures of other things."""
    sub.add_argument(
        "--unlike",
        nargs="+",
        metavar="FOLDER",
        help="how often the model says 'I do not know this' of the pictures in these folders, "
        "which show other things than it was taught",
    )
    sub.add_argument(
        "--like",
        nargs="+",
        default=[],
        metavar="FOLDER",
        help="with --unlike: and how often of these, which show things that it was taught",
    )
    sub.add_argument(
        "--wrongly",
        type=share,
        metavar="SHARE",
        help="with --unlike: choose the threshold anew, so that it is said of this share of the "
        "validation pictures (a new check: 0.05)",
    )
    sub.add_argument(
        "--record", action="store_true", help="with --unlike: write the figures into the card"
    )


def evaluate(args: argparse.Namespace, model: MultiExitViT, card: dict) -> dict:
    """Measure a bundle's check on the task's test pictures and on each folder. A new check, or a
    new threshold, is chosen on its validation pictures. Raises DataError, ValueError."""
    if not args.unlike:
        raise ValueError("--like, --wrongly and --record belong to --unlike FOLDER; name a folder")
    if model.task.counts:
        raise ValueError("--unlike is for tasks with classes")
    if args.head:
        raise ValueError("--unlike reads the exits that it needs; leave out --head")
    refuse_same_names(args.like, args.unlike)
    root, few, part = data_root(args.data), args.limit or ENOUGH, test_part_of(card)
    check = Check.of(card, model)
    folder = weights.folder(args.task, args.backbone)
    told = card.get("unlike")
    if check is None or args.wrongly is not None or not {"wrongly", "chosen_on"} <= told.keys():
        val = validation_part(model.task, root, card["seed"], origin=part)
        told = chosen(model, val, WARNED if args.wrongly is None else args.wrongly)
        check = Check.of({"unlike": told}, model)
    test = sample(unseen_part(model.task, root, part), few, args.seed)
    if args.record and len(test) < fewest(told["wrongly"]):
        raise ValueError(
            f"--record needs at least {fewest(told['wrongly']):,} test pictures, of which one may "
            f"be warned about wrongly ({told['wrongly']:.3g} of them), not {len(test)}"
        )
    left_out = list(test.unreadable)
    known = {TEST: test} | photos(model.task, args.like, few, seed=args.seed, left_out=left_out)
    others = photos(model.task, args.unlike, few, seed=args.seed, left_out=left_out)
    told = told | measure(check, model, known, others=others)
    if args.record:
        weights.write_card(folder, weights.read_card(folder) | {"unlike": told})
    return {"task": args.task, "backbone": args.backbone, "left_out": left_out, **told}


def refuse_same_names(like: Sequence[str], unlike: Sequence[str]) -> None:
    """Figures go by the folder's own name: raise ValueError if two folders would share one, or
    one has none."""
    for folders, taken in ((like, {TEST: f"the {TEST} of --data"}), (unlike, {})):
        for folder in folders:
            if not folder:  # else it would be the folder that the command was started in
                raise ValueError("the name of a folder is empty; name one")
            name = Path(folder).resolve().name
            if name in taken:
                raise ValueError(
                    f"{taken[name]} and {folder} would both be called '{name}' in the figures; "
                    "rename one folder"
                )
            taken[name] = folder


def photos(
    task: Task, folders: Sequence[str], limit: int, seed: int, left_out: list[str]
) -> dict[str, Pictures]:
    """A seeded sample of the pictures in each folder and below, by the folder's name; names in
    `left_out` what cannot be read. Raises DataError."""
    found = {}
    for folder in map(Path, folders):
        files, _ = find_photos([folder], lines=left_out)
        order = torch.randperm(len(files), generator=torch.Generator().manual_seed(seed))
        x, unreadable = read_batch([files[i] for i in order.tolist()[:limit]], task)
        if not len(x):
            raise DataError(f"no picture in {folder} can be read ({unreadable[0]})")
        left_out += unreadable
        found[folder.resolve().name] = Pictures(x, torch.zeros(len(x), dtype=int), task.labels)
    return found


def describe(result: dict) -> str:
    """How often "I do not know this" is said, a line for each set of pictures."""
    lines = [f"'I do not know this' is said by {result['task']}/{result['backbone']} of"]
    for what in ("known", "others"):
        for row in result[what]:
            apart = f", told apart {row['auroc']:.1%} (AUROC)" if "auroc" in row else ""
            of = f"{row['n']:,} {row['name']}" + (", rightly" if what == "others" else ", wrongly")
            lines.append(f"  {row['warned']:.1%} of {of}{apart}")
    lines.append(
        f"Threshold {result['threshold']:.4g}, chosen on {result['chosen_on']:,} validation "
        f"pictures so that {result['wrongly']:.1%} of them are warned about."
    )
    if left := result["left_out"]:
        lines.append("\n  ".join([f"left out: {len(left)}", *left]))
    return "\n".join(lines)
