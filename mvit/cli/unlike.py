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
from mvit.evaluation.unlike import ENOUGH, WARNED, Check, choose, measure
from mvit.models.multi_exit import MultiExitViT
from mvit.tasks import Task


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
    if model.task.counts or args.head:
        raise ValueError("--unlike is for tasks with classes, and reads the exits that it needs")
    root, few = data_root(args.data), args.limit or ENOUGH
    check = Check.of(card, model)
    folder = weights.folder(args.task, args.backbone)
    told = card.get("unlike")
    if check is None or args.wrongly is not None:
        val = validation_part(model.task, root, card["seed"])
        told = choose(model, val, WARNED if args.wrongly is None else args.wrongly)
        check = Check.of({"unlike": told}, model)
    test = sample(unseen_part(model.task, root, card.get("test_part", {})), few, args.seed)
    known = {"test pictures": test} | photos(model.task, args.like, few, args.seed)
    others = photos(model.task, args.unlike, few, args.seed)
    told = told | measure(check, model, known, others)
    if args.record:
        weights.write_card(folder, weights.read_card(folder) | {"unlike": told})
    return {"task": args.task, "backbone": args.backbone, **told}


def photos(task: Task, folders: Sequence[str], limit: int, seed: int) -> dict[str, Pictures]:
    """A seeded sample of the pictures in each folder and below, by the folder's name. Raises
    DataError."""
    found = {}
    for folder in map(Path, folders):
        files, _ = find_photos([folder])
        order = torch.randperm(len(files), generator=torch.Generator().manual_seed(seed))
        x, unreadable = read_batch([files[i] for i in order[:limit].tolist()], task)
        if not len(x):
            raise DataError(f"no picture in {folder} can be read ({unreadable[0]})")
        found[folder.resolve().name] = Pictures(x, torch.zeros(len(x), dtype=int), task.labels)
    return found
