"""`python -m mvit COMMAND`, with exit status 2 and one line for bad input. Libraries are imported
for the command that is asked for."""

from __future__ import annotations

import argparse
import io
import json
import os
import sys
from collections.abc import Collection
from contextlib import suppress
from importlib import import_module
from types import ModuleType

from mvit.bundles import places
from mvit.cli.tables import in_words

MODULES = ("timm", "auto")  # engines of commands that work in bulk, or with timm's modules
# Common options that a command has no use for, besides those values that it works with anyway.
IGNORED = {
    "evaluate": {"engine": MODULES},
    "train": {"head": (), "dtype": (), "engine": MODULES},
    "table1": {"head": (), "dtype": (), "engine": MODULES},
    "ablation": {"head": (), "dtype": (), "engine": MODULES},
    "verify": {"head": (), "dtype": (), "engine": MODULES, "device": ("cpu", "auto")},
    "grow": {"dtype": ("float32",), "device": ("cpu", "auto"), "engine": MODULES},
    "export": {"engine": MODULES},
}


class Parser(argparse.ArgumentParser):
    """argparse, with one line on standard error and exit status 2 for bad arguments."""

    def error(self, message: str):
        self.exit(2, f"{self.prog}: {message} (see --help)\n")


def common_options() -> Parser:
    """What every command takes; None where an option is not given."""
    from mvit.inference import engine, precision  # late, as they bring PyTorch
    from mvit.models.heads import HEADS

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


COMMANDS = {  # what each does; the rest of it is the module of its name
    "trace": "every exit's answer on one picture, with its time and multiply-accumulates",
    "deadline": "interrupt a real run after some milliseconds and print the latest answer",
    "evaluate": "accuracy of every exit on the test split",
    "train": "train a backbone and its exits, measure them, write weights/<task>/<backbone>/",
    "table1": "the paper's Table I: one exit, every head, three training strategies",
    "ablation": "what each improvement of joint training gains, by itself and all together",
    "verify": "check all weights, and that recorded answers belong to them",
    "bench": "measure what exits cost and save on this machine",
    "grow": "widen a backbone and its exits to a larger one with the same function",
    "export": "write the network truncated at one exit",
}


def parser(known: Collection[str] = COMMANDS) -> argparse.ArgumentParser:
    """All commands. known: those whose options are known as well, which takes their libraries."""
    top = Parser(
        prog="python -m mvit",
        description="Multi-exit vision transformers: run, measure and train them",
    )
    commands = top.add_subparsers(dest="command", required=True, parser_class=Parser)
    for name, text in COMMANDS.items():
        common = [common_options()] if name in known else []
        sub = commands.add_parser(name, parents=common, help=text, description=text)
        if name in known:
            module_of(name).add_arguments(sub)
    return top


def module_of(command: str) -> ModuleType:
    """The module of a command: `add_arguments`, `run`, and perhaps `describe` for people."""
    return import_module(f"mvit.cli.{command}")


def with_defaults(args: argparse.Namespace) -> argparse.Namespace:
    """The common options with their defaults filled in. Raises ValueError for one that the command
    would ignore."""
    for name, harmless in IGNORED.get(args.command, {}).items():
        if (value := getattr(args, name)) is not None and value not in harmless:
            raise ValueError(f"--{name} {value} has no effect on {args.command}; leave it out")
    from mvit.bundles.weights import default_backbone, pick_device  # late, as they bring PyTorch
    from mvit.inference import engine

    if empty := [name for name in ("task", "backbone") if getattr(args, name) == ""]:
        raise ValueError(f"--{empty[0]} is empty; name one, or leave it out")
    args.device, args.dtype = args.device or "auto", args.dtype or "float32"
    pick_device(args.device)  # raises ValueError
    bulk = "engine" in IGNORED.get(args.command, {})
    args.engine = engine.TIMM if bulk else args.engine or engine.AUTO
    if args.command != "verify":  # which checks all bundles unless some are named
        args.task = args.task or "cifar10"
        args.backbone = args.backbone or default_backbone(args.task)
    return args


def show(result: dict) -> None:
    """Print a result for people: a line for each value, a table for each list of records."""
    for key, value in result.items():
        if key == "splits":
            for name, part in value.items():
                print(f"{name}:")
                show(part)
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            names = [n for n, v in value[0].items() if not isinstance(v, list)]
            rows = [names, *([in_words(row.get(n)) for n in names] for row in value)]
            wide = [max(map(len, column)) for column in zip(*rows, strict=True)]
            for row in rows:
                print("  ".join(f"{c:>{w}}" for c, w in zip(row, wide, strict=True)))
        elif isinstance(value, list) and value and isinstance(value[0], str):
            print(f"{key.replace('_', ' ')}: {len(value)}", *value, sep="\n  ")
        else:
            print(f"{key.replace('_', ' ')}: {in_words(value)}")


def give(result: dict, as_json: bool, command: ModuleType) -> None:
    """Print a command's result: as one JSON object, in the command's own words, or as a table."""
    if as_json:
        print(json.dumps(result))
    elif hasattr(command, "describe"):
        if said := command.describe(result):
            print(said)
    else:
        show(result)
    sys.stdout.flush()


def told(error: Exception) -> str:
    """An error in one line; what the system says of a file without its number."""
    if isinstance(error, MemoryError | RuntimeError):
        return "the memory is too small for this; take a smaller batch or fewer pictures"
    system = isinstance(error, OSError) and error.filename and error.strerror
    said = f"{error.filename}: {error.strerror}" if system else str(error)
    return " ".join(said.split())


def main(argv: list[str] | None = None) -> int:
    """Run one command and return the exit status. Of several processes (accelerate, torchrun) the
    first alone prints the result."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # names of files and classes on any terminal
            stream.reconfigure(errors="backslashreplace")
    argv = sys.argv[1:] if argv is None else argv
    args = parser(argv[:1]).parse_args(argv)
    command = module_of(args.command)
    try:
        if any("\0" in given for given in argv):
            raise ValueError("a null byte (\\0) is in what was given, and no file's name has one")
        result = command.run(with_defaults(args))
    except (ValueError, OSError, MemoryError, RuntimeError) as error:  # mvit's are ValueErrors
        if isinstance(error, RuntimeError) and "memory" not in str(error):  # PyTorch's word for it
            raise
        print(f"python -m mvit {args.command}: {told(error)}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"python -m mvit {args.command}: interrupted", file=sys.stderr)
        return 130
    if int(os.environ.get("RANK", "0")) > 0:
        return 0
    try:
        give(result, args.json, command)
    except OSError as error:  # a full disk, or nobody who reads
        with suppress(OSError):  # Python would try again at its end
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        said = f"the result could not be written: {error.strerror}"
        print(f"python -m mvit {args.command}: {said}", file=sys.stderr)
        return 2
    if result.get("ok", True):
        return 0
    from mvit.bundles import offers

    reason = next(
        (b["reason"] for b in result["bundles"] if not b["ok"]),
        f"there are no such weights in {places.root()}; there are: {offers.told()}",
    )
    print(f"python -m mvit {args.command}: {' '.join(reason.split())}", file=sys.stderr)
    return 2
