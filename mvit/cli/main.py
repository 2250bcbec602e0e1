"""`python -m mvit`: trace, deadline, evaluate, train, table1, verify, bench, grow, export. Exit
status 2 and one line for bad input."""

from __future__ import annotations

import argparse
import io
import json
import os
import sys

from mvit.bench import report as bench
from mvit.bundles import export, weights
from mvit.cli import answer, options, unlike
from mvit.cli import grow as grow_command
from mvit.cli import train as train_command
from mvit.cli.answer import load
from mvit.cli.values import natural, positive
from mvit.data.labelled import DataError, data_root
from mvit.evaluation.measure import evaluate
from mvit.images.reader import ImageError
from mvit.inference import engine, precision
from mvit.inference.deadline import DeadlineError
from mvit.models.heads import HEADS
from mvit.models.multi_exit import PlanError
from mvit.training import crowd_study
from mvit.training.checkpoints import CheckpointError
from mvit.training.loop import TrainingError

BAD_INPUT = (
    weights.WeightsError,
    DataError,
    ImageError,
    PlanError,
    DeadlineError,
    CheckpointError,
    TrainingError,
    ValueError,
    OSError,
)


def run_evaluate(args: argparse.Namespace) -> dict:
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


def run_grow(args: argparse.Namespace) -> dict:
    """Write a wider bundle of the same function; always from float32 on the CPU."""
    args.device, args.dtype = "cpu", "float32"
    return grow_command.run(args, load(args))


def run_verify(args: argparse.Namespace) -> dict:
    """Check every file of every bundle, or of those that are named."""
    found = weights.verify(args.task, args.backbone)
    return {
        "root": weights.root().name,
        "ok": bool(found) and all(b["ok"] for b in found),
        "bundles": found,
    }


MODULES = ("timm", "auto")  # engines of commands that work in bulk, or with timm's modules
# Common options that a command has no use for, besides those values that it works with anyway.
IGNORED = {
    "evaluate": {"engine": MODULES},
    "train": {"head": (), "dtype": (), "engine": MODULES},
    "table1": {"head": (), "dtype": (), "engine": MODULES},
    "verify": {"head": (), "dtype": (), "engine": MODULES, "device": ("cpu", "auto")},
    "grow": {"dtype": ("float32",), "device": ("cpu", "auto"), "engine": MODULES},
    "export": {"engine": MODULES},
}


def deadline_arguments(sub: argparse.ArgumentParser) -> None:
    """The options of `deadline`."""
    sub.add_argument("image")
    sub.add_argument("--ms", type=float, required=True, help="the deadline in milliseconds")


def evaluate_arguments(sub: argparse.ArgumentParser) -> None:
    """The options of `evaluate`."""
    sub.add_argument(
        "--data",
        help="folder that holds the data set's folder, or that folder (default: MVIT_DATA)",
    )
    sub.add_argument("--limit", type=positive, help="only a seeded random N pictures")
    sub.add_argument("--seed", type=natural, default=0)
    unlike.add_arguments(sub)


class Parser(argparse.ArgumentParser):
    """argparse, with one line on standard error and exit status 2 for bad arguments."""

    def error(self, message: str):
        self.exit(2, f"{self.prog}: {message} (see --help)\n")


def common_options() -> Parser:
    """What every command takes; None where an option is not given."""
    common = Parser(add_help=False)
    common.add_argument("--task", help="which task's weights (default: cifar10)")
    common.add_argument(
        "--backbone",
        help="which backbone (default: vit_tiny_patch16_224; for crowd: vit_tiny_patch16_384)",
    )
    common.add_argument(
        "--head", help=f"only this head: {', '.join(HEADS)} (default: all, or the best)"
    )
    common.add_argument("--device", help="auto, cpu or cuda (default: auto)")
    common.add_argument(
        "--dtype",
        choices=("auto", *precision.DTYPES),
        help="number format; auto: bfloat16 if a short probe finds it faster and alike "
        "(default: float32)",
    )
    common.add_argument(
        "--engine",
        choices=engine.ENGINES,
        help="what computes on a processor: timm, packed (weights laid out once), or auto: "
        "packed if a short probe finds it faster and alike (default: auto)",
    )
    common.add_argument(
        "--json",
        action="store_true",
        help="print one JSON object on standard output and nothing else",
    )
    return common


# name: (what runs, what it does, a function that adds its own options)
COMMANDS = {
    "trace": (
        answer.trace,
        "every exit's answer on one picture, with its time and multiply-accumulates",
        lambda sub: sub.add_argument("image"),
    ),
    "deadline": (
        answer.deadline,
        "interrupt a real run after some milliseconds and print the latest answer",
        deadline_arguments,
    ),
    "evaluate": (run_evaluate, "accuracy of every exit on the test split", evaluate_arguments),
    "train": (
        train_command.run_train,
        "train a backbone and its exits, measure them, write weights/<task>/<backbone>/",
        lambda sub: options.add_arguments(sub, options.ALL - options.TABLE),
    ),
    "table1": (
        train_command.run_table1,
        "the paper's Table I: one exit, every head, three training strategies",
        lambda sub: options.add_arguments(sub, options.TABLE),
    ),
    "verify": (
        run_verify,
        "check sha256, names, shapes and finiteness of all weights",
        lambda sub: None,
    ),
    "bench": (
        lambda args: bench.run(args, load(args)),
        "measure what exits cost and save on this machine",
        bench.add_arguments,
    ),
    "grow": (
        run_grow,
        "widen a backbone and its exits to a larger one with the same function",
        grow_command.add_arguments,
    ),
    "export": (
        lambda args: export.run(args, load(args)),
        "write the network truncated at one exit",
        export.add_arguments,
    ),
}


def parser() -> argparse.ArgumentParser:
    """All commands and their options."""
    top = Parser(prog="python -m mvit", description=__doc__.split(".")[0])
    commands = top.add_subparsers(dest="command", required=True, parser_class=Parser)
    for name, (run, text, add_arguments) in COMMANDS.items():
        sub = commands.add_parser(name, parents=[common_options()], help=text, description=text)
        sub.set_defaults(run_command=run)
        add_arguments(sub)
    return top


def settled(args: argparse.Namespace) -> argparse.Namespace:
    """The common options with their defaults filled in. Raises ValueError for one that the command
    would ignore."""
    for name, harmless in IGNORED.get(args.command, {}).items():
        if (value := getattr(args, name)) is not None and value not in harmless:
            raise ValueError(f"--{name} {value} has no effect on {args.command}; leave it out")
    args.device, args.dtype = args.device or "auto", args.dtype or "float32"
    bulk = "engine" in IGNORED.get(args.command, {})
    args.engine = engine.TIMM if bulk else args.engine or engine.AUTO
    if args.command != "verify":  # which checks all bundles unless some are named
        args.task = args.task or "cifar10"
        args.backbone = args.backbone or weights.default_backbone(args.task)
    return args


def show(result: dict) -> None:
    """Print a result for people: scalars first, then each list as a table."""
    for key, value in result.items():
        if key == "splits":
            for name, part in value.items():
                print(f"{name}:")
                show(part)
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            names = [n for n, v in value[0].items() if not isinstance(v, list)]
            print("  ".join(f"{n:>12}" for n in names))
            for row in value:
                print("  ".join(f"{cell(row.get(n)):>12}" for n in names))
        elif isinstance(value, list) and value and isinstance(value[0], str):
            print(f"{key}: {len(value)}", *value, sep="\n  ")
        else:
            print(f"{key}: {cell(value)}")


def cell(value) -> str:
    """One value, floats to four digits."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


DESCRIBED = {
    "train": train_command.describe,
    "bench": bench.describe,
    "export": export.describe,
    "grow": grow_command.describe,
}


def main(argv: list[str] | None = None) -> int:
    """Run one command and return the exit status. Of several processes (accelerate, torchrun) the
    first alone prints the result."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # names of files and classes on any terminal
            stream.reconfigure(errors="backslashreplace")
    args = parser().parse_args(argv)
    try:
        result = args.run_command(settled(args))
    except BAD_INPUT as error:
        print(f"python -m mvit {args.command}: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    if int(os.environ.get("RANK", "0")) > 0:
        return 0
    if args.json:
        print(json.dumps(result))
    elif args.command in DESCRIBED:
        print(DESCRIBED[args.command](result))
    else:
        show(result)
    if result.get("ok", True):
        return 0
    reason = next(
        (b["reason"] for b in result["bundles"] if not b["ok"]),
        f"there are no such weights in {weights.root()}",
    )
    print(f"python -m mvit {args.command}: {' '.join(reason.split())}", file=sys.stderr)
    return 2
