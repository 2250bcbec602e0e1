"""`python -m mvit evaluate`: how often every exit is right, or how far it miscounts."""

from __future__ import annotations

import argparse

from mvit.bundles import weights
from mvit.cli import unlike
from mvit.cli.answer import load
from mvit.cli.values import natural, positive
from mvit.data.labelled import data_root
from mvit.evaluation.measure import evaluate
from mvit.training import crowd_study


def add_arguments(sub: argparse.ArgumentParser) -> None:
    """The options of `evaluate`."""
    sub.add_argument(
        "--data",
        help="folder that holds the data set's folder, or that folder (default: MVIT_DATA)",
    )
    sub.add_argument("--limit", type=positive, help="only a seeded random N pictures")
    sub.add_argument("--seed", type=natural, default=0)
    unlike.add_arguments(sub)


def run(args: argparse.Namespace) -> dict:
    """Accuracy of every exit on the test split, or the errors of a counter on each of its sets."""
    card = weights.card_of(args.task, args.backbone)
    if args.unlike or args.like or args.record or args.wrongly is not None:
        return unlike.evaluate(args, load(args), card)
    measure = crowd_study.evaluate if args.task == "crowd" else evaluate
    result = measure(load(args), data_root(args.data), card, limit=args.limit, seed=args.seed)
    if args.task == "crowd":
        return {"task": args.task, "backbone": args.backbone} | result
    names = ("n", "split", "left_out", "final", "exits")
    found = {"task": args.task, "backbone": args.backbone} | {k: result[k] for k in names}
    return found | {"final": {"accuracy": found["final"]["accuracy"]}}
