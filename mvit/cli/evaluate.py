"""`python -m mvit evaluate`: how often every exit is right, or how far it miscounts."""

from __future__ import annotations

import argparse

from mvit.bundles import weights
from mvit.cli import unlike
from mvit.cli.answer import load
from mvit.cli.tables import by_layer, error_or_share
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


def describe(result: dict) -> str:
    """A line for each layer and a column for each head, for each set of pictures; or how often "I
    do not know this" is said."""
    if "known" in result:
        return unlike.describe(result)
    lines = [f"Model: {result['task']}/{result['backbone']}"]
    for name, part in result.get("splits", {"": result}).items():
        key = "accuracy" if "accuracy" in part["final"] else "mae"
        what = "Right answers" if key == "accuracy" else "Off by so many people, on average,"
        where = f" ({name or part.get('split', '')})"
        lines += [
            f"{what} on {part['n']} test pictures{where}, by layer and head:",
            *by_layer(part["exits"], key),
            f"final exit: {error_or_share(part['final'][key], key)}",
        ]
    for name in ("understood", "left_out"):
        if said := result.get(name):
            lines.append("\n  ".join([f"{name.replace('_', ' ')}: {len(said)}", *said]))
    return "\n".join(lines)
