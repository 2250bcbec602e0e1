"""`python -m mvit`: trace, deadline, evaluate, train, table1, verify, bench, grow, export. Exit
status 2 and one line for bad input."""

from __future__ import annotations

import argparse
import io
import json
import sys
from pathlib import Path

from mvit.bench import report as bench
from mvit.bundles import export, weights
from mvit.cli import grow as grow_command
from mvit.cli import train as train_command
from mvit.cli import train_crowd as crowd_command
from mvit.cli.train import positive
from mvit.data.labelled import DataError, data_root
from mvit.evaluation.measure import evaluate
from mvit.images.reader import ImageError, picture_bytes, read_image
from mvit.inference import precision
from mvit.inference.deadline import DeadlineError, answer_by
from mvit.models.extra_heads import EVERY
from mvit.models.heads import HEADS
from mvit.models.multi_exit import MultiExitViT, PlanError
from mvit.policies.plans import best_head
from mvit.training import crowd_study
from mvit.training.checkpoints import CheckpointError
from mvit.training.finetune import TrainingError

# what an exit says besides its prediction, by the task's metric
READ = {"accuracy": "confidence", "mae": "count"}
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


def load(args: argparse.Namespace) -> MultiExitViT:
    """The model that the common options name; only the wanted head is read from disk."""
    if args.head is not None and args.head not in EVERY:
        raise PlanError(f"unknown head '{args.head}'; there are: {', '.join(EVERY)}")
    dtype, heads = (
        precision.DTYPES.get(args.dtype, precision.DTYPES["float32"]),
        None if args.head is None else [args.head],
    )
    model = weights.load(args.task, args.backbone, args.device, dtype, heads)
    if args.dtype == "auto":
        choice = precision.choose(model)
        print(f"{choice.dtype}: {choice.reason}", file=sys.stderr)
        model.to(choice.torch_dtype)
    return model


def picture_of(args: argparse.Namespace):
    """The picture named on the command line, as RGB uint8 (H, W, 3)."""
    return read_image(picture_bytes(Path(args.image)))


def trace(args: argparse.Namespace) -> dict:
    """Every exit's answer on one picture."""
    model, picture = load(args), picture_of(args)
    model.trace(picture)  # warm-up: the first pass sets up kernels and memory
    table = model.trace(picture)
    said = READ[model.task.metric]
    rows = [
        {
            "layer": r["layer"],
            "head": r["head"],
            "prediction": r["label"],
            said: r[said],
            **{k: r[k] for k in ("ms", "macs", "practical")},
        }
        for r in table.to_dict("records")
    ]
    head = {"task": args.task, "backbone": args.backbone, **table.attrs}
    return head | {
        "exits": rows[:-1],
        "final": {k: v for k, v in rows[-1].items() if k not in ("head", "practical")},
    }


def deadline(args: argparse.Namespace) -> dict:
    """The latest answer when the clock runs out."""
    model, picture = load(args), picture_of(args)
    head = args.head or best_head(weights.card_of(args.task, args.backbone), list(model.heads))
    plan = model.practical(head)
    for _ in model.run(picture, plan):  # warm-up
        pass
    answer = answer_by(model, picture, args.ms, plan)
    if not args.json and not answer.ready:
        print(answer.message, file=sys.stderr)
    found = answer.exit
    fields = {
        "layer": "layer",
        "head": "head",
        "prediction": "label",
        READ[model.task.metric]: READ[model.task.metric],
    }
    return {
        "deadline_ms": answer.deadline_ms,
        "answered_ms": answer.answered_ms,
        **{name: None if found is None else getattr(found, of) for name, of in fields.items()},
        "ready": answer.ready,
    }


def run_evaluate(args: argparse.Namespace) -> dict:
    """Accuracy of every exit on the test split, or the errors of a counter on each of its sets."""
    if args.task == "crowd":
        counted = crowd_study.evaluate(load(args), data_root(args.data), args.limit, args.seed)
        return {"task": args.task, "backbone": args.backbone} | counted
    card = weights.card_of(args.task, args.backbone)
    result = evaluate(load(args), data_root(args.data), card, limit=args.limit, seed=args.seed)
    names = ("n", "split", "left_out", "final", "exits")
    found = {"task": args.task, "backbone": args.backbone} | {k: result[k] for k in names}
    return found | {"final": {"accuracy": found["final"]["accuracy"]}}


def run_train(args: argparse.Namespace) -> dict:
    """Train a backbone and its exits, measure them and write the bundle, or add heads to one; gives
    back the card."""
    if (
        args.task == "crowd"
        and not args.task_name
        and args.strategy == "classifier-wise"
        and not args.add_heads
    ):
        return crowd_command.train(args, data_root(args.data))
    return train_command.run_train(args)


def run_grow(args: argparse.Namespace) -> dict:
    """Write a wider bundle of the same function; always from float32 on the CPU."""
    args.device, args.dtype = "cpu", "float32"
    return grow_command.run(args, load(args))


def run_verify(args: argparse.Namespace) -> dict:
    """Check every file of every bundle."""
    found = weights.verify()
    return {
        "root": weights.root().name,
        "ok": bool(found) and all(b["ok"] for b in found),
        "bundles": found,
    }


class Parser(argparse.ArgumentParser):
    """argparse, with one line on standard error and exit status 2 for bad arguments."""

    def error(self, message: str):
        self.exit(2, f"{self.prog}: {message} (see --help)\n")


def parser() -> argparse.ArgumentParser:
    """All commands and their options."""
    common = Parser(add_help=False)
    common.add_argument("--task", default="cifar10", help="which task's weights (default: cifar10)")
    common.add_argument(
        "--backbone",
        help="which backbone (default: vit_tiny_patch16_224; for crowd: vit_tiny_patch16_384)",
    )
    common.add_argument(
        "--head",
        default=None,
        help=f"only this head: {', '.join(HEADS)} (default: all, or the best)",
    )
    common.add_argument("--device", default="auto", help="auto, cpu or cuda")
    common.add_argument(
        "--dtype",
        choices=("auto", *precision.DTYPES),
        default="float32",
        help="number format; auto: bfloat16 if a short probe finds it faster and alike (default: float32)",
    )
    common.add_argument(
        "--json",
        action="store_true",
        help="print one JSON object on standard output and nothing else",
    )
    top = Parser(prog="python -m mvit", description=__doc__.split(".")[0])
    commands = top.add_subparsers(dest="command", required=True, parser_class=Parser)

    def command(name: str, run, text: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, parents=[common], help=text, description=text)
        sub.set_defaults(run_command=run)
        return sub

    sub = command(
        "trace", trace, "every exit's answer on one picture, with its time and multiply-accumulates"
    )
    sub.add_argument("image")
    sub = command(
        "deadline",
        deadline,
        "interrupt a real run after some milliseconds and print the latest answer",
    )
    sub.add_argument("image")
    sub.add_argument("--ms", type=float, required=True, help="the deadline in milliseconds")
    sub = command("evaluate", run_evaluate, "accuracy of every exit on the test split")
    sub.add_argument(
        "--data",
        help="folder that holds the data set's folder, or that folder (default: MVIT_DATA)",
    )
    sub.add_argument("--limit", type=positive, help="only a seeded random N pictures")
    sub.add_argument("--seed", type=int, default=0)
    sub = command(
        "train",
        run_train,
        "train a backbone and its exits, measure them, write weights/<task>/<backbone>/",
    )
    train_command.train_arguments(sub)
    crowd_command.add_arguments(sub)
    table = command(
        "table1",
        train_command.run_table1,
        "the paper's Table I: one exit, every head, three training strategies",
    )
    train_command.table1_arguments(table)
    command("verify", run_verify, "check sha256, names, shapes and finiteness of all weights")
    bench.add_arguments(
        command(
            "bench",
            lambda a: bench.run(a, load(a)),
            "measure what exits cost and save on this machine",
        )
    )
    grow_command.add_arguments(
        command(
            "grow",
            run_grow,
            "widen a backbone and its exits to a larger one with the same function",
        )
    )
    export.add_arguments(
        command(
            "export", lambda a: export.run(a, load(a)), "write the network truncated at one exit"
        )
    )
    return top


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


DESCRIBED = {"bench": bench.describe, "export": export.describe, "grow": grow_command.describe}


def main(argv: list[str] | None = None) -> int:
    """Run one command; gives back the exit status."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # names of files and classes on any terminal
            stream.reconfigure(errors="backslashreplace")
    args = parser().parse_args(argv)
    args.backbone = args.backbone or weights.default_backbone(args.task)
    try:
        result = args.run_command(args)
    except BAD_INPUT as error:
        print(f"python -m mvit {args.command}: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
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
        f"there are no weights in {weights.root()}",
    )
    print(f"python -m mvit {args.command}: {' '.join(reason.split())}", file=sys.stderr)
    return 2
