"""`python -m mvit bench`: what early exits cost and save on this machine, against timm's plain
forward pass.

Every comparison is paired (A B, B A, ...) at batch 1 in inference mode, and quoted as the median of
the rounds' ratios.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path

import numpy as np

from mvit.bench import measures as parts
from mvit.bench.engines import engine
from mvit.bench.interrupted import deadlines
from mvit.bench.peers import peers
from mvit.bundles import weights
from mvit.bundles.whole import check_file
from mvit.clock import environment
from mvit.evaluation.predictions import FILE, Predictions, load_predictions
from mvit.images.reader import read_image
from mvit.inference.precision import probe_pictures
from mvit.models.multi_exit import MultiExitViT, PlanError

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
PARTS = ("engine", "overhead", "leaving", "exits", "threshold", "deadlines", "batches", "peers")


def bench(
    model: MultiExitViT,
    head: str | None = None,
    pictures: list[np.ndarray] | None = None,
    recorded: dict[str, Predictions] | None = None,
    n: int = 30,
    runs: int = 50,
    only: tuple[str, ...] = PARTS,
    say=lambda line: None,
) -> dict:
    """Measure a model and return one JSON-able record.

    head: the head to run, after every layer that has it (`mlp`, or else the model's first).
    pictures: RGB uint8 (H, W, 3), for live stop-rule runs (coloured blobs by default, which show
    speed but mean nothing). recorded: `evaluation.load_predictions` of the bundle, {"val", "test"},
    for the stop-rule comparison. n: rounds of a comparison; runs: runs at each of 20 deadlines.
    only: parts to measure. say: called
    with one line before each part. Raises PlanError for a head that the model lacks, ValueError for
    an unknown part.
    """
    head = _checked(model, head, only)
    inputs = [model.to_input(p) for p in pictures or probe_pictures(model.task)]
    x = inputs[0]
    measures = {
        "engine": lambda: engine(model, x, head, n=n),
        "overhead": lambda: parts.overhead(model, x, head, n=n),
        "leaving": lambda: parts.leaving(model, x, head, n=n),
        "exits": lambda: parts.exits(model, x, n),
        "threshold": lambda: parts.threshold(model, inputs, head, recorded=recorded, n=n),
        "deadlines": lambda: asdict(deadlines(model, x, head, runs=runs)),
        "batches": lambda: parts.batches(model, x),
        "peers": lambda: peers(model, x, head, n=n),
    }
    result = {
        "task": model.task.name,
        "backbone": parts.backbone_name(model),
        "head": head,
        "layers": [layer for layer, _ in model.exits(head)],
        "rounds": n,
        "environment": environment(model.device, model.dtype),
        "memory": parts.memory(model),
    }
    for name in (part for part in PARTS if part in only):
        if name == "threshold" and model.task.counts:
            say("left out threshold: the confidence rule is for classes")
            continue
        say(f"measuring {name} ...")
        result[name] = measures[name]()
    return result


def _checked(model: MultiExitViT, head: str | None, only: tuple[str, ...]) -> str:
    """The head to run; see `bench` for what is refused."""
    if unknown := set(only) - set(PARTS):
        raise ValueError(f"there is no part '{min(unknown)}'; there are: {', '.join(PARTS)}")
    head = head or ("mlp" if "mlp" in model.heads else next(iter(model.heads)))
    if head not in model.heads:
        raise PlanError(f"there is no head '{head}'; there are: {', '.join(model.heads)}")
    return head


def markdown(result: dict) -> str:
    """The record as a Markdown table with one line of context, for a README."""
    where = result["environment"]
    lines = [
        f"{result['task']}, {result['backbone']}, head `{result['head']}` after layers "
        f"{', '.join(map(str, result['layers']))}; {where['device']}, "
        f"{where['threads']} threads, {where['dtype']}, PyTorch {where['versions']['torch']}; "
        f"medians of {result['rounds']} paired rounds, batch 1.",
        "",
        "| measurement | value |",
        "|---|---|",
    ]
    for name, rows in ROWS.items():
        if result.get(name):
            lines += [f"| {label} | {value} |" for label, value in rows(result[name])]
    sizes = [f"{result['memory'][part]:.1f} MB" for part in ("backbone_mb", "heads_mb")]
    lines.append(f"| parameters: backbone, all heads | {', '.join(sizes)} |")
    if result.get("exits"):
        lines += ["", "| exit | head alone, ms | with its backbone, ms (IQR) |", "|---|---|---|"]
        lines += [
            f"| {e['layer']} `{e['head']}` | {e['head_ms']:.2f} | {e['ms']:.2f} ({e['iqr']:.2f}) |"
            for e in result["exits"]
        ]
    return "\n".join(lines) + "\n"


def _engine(r: dict):
    for dtype, ms in r["timm_ms"].items():
        yield f"timm's plain pass, {dtype}", f"{ms:.2f} ms"
    library = f" by {r['library']}" if r["library"] else ""
    yield f"engine: {r['engine']}{library}, {r['dtype']}", r["reason"]
    for run in r["runs"]:
        low, high = run["quartiles"]
        yield (
            f"{run['name']}; / timm's {r['timm_better']} (middle half of the rounds)",
            f"{run['ms']:.2f} ms; {run['ratio']:.2f} ({low:.2f} to {high:.2f})",
        )
    yield (
        f"one large matrix product: {r['gflops']:.0f} Gflop/s; the network at that speed",
        f"{r['roofline_ms']:.2f} ms",
    )


def _overhead(r: dict):
    yield "plain network", f"{r['plain_ms']:.2f} ms"
    yield "lazy run with every exit / (plain + heads alone)", f"{r['run_ratio']:.3f}"
    yield "lazy run, instrumented / not instrumented", f"{r['instrumented_ratio']:.3f}"


def _leaving(rows: list[dict]):
    for row in rows:
        yield f"leaving after layer {row['layer']}", f"{row['ms']:.2f} ms"
        yield (
            "... / (layer share of the plain pass + head); embedding counted apart",
            f"{row['ratio']:.3f}; {row['ratio_apart']:.3f}",
        )


def _threshold(r: dict):
    if "recorded" in r:
        kept = r["recorded"]
        accuracy = f"{kept['accuracy']:.2%} (final exit {kept['final_accuracy']:.2%})"
        yield (
            f"confidence >= {kept['threshold']:.4f}, {kept['n']} recorded pictures: accuracy",
            accuracy,
        )
        yield "fewer MACs on average", f"{kept['macs_saving']:.2f}x"
        yield "expected wall time, from each exit's latency", f"{kept['speedup']:.2f}x faster"
        for whose, name in (("the rule", ""), ("the plain pass", "plain_")):
            slow = (f"{kept[f'{name}{p}_ms']:.1f}" for p in ("p50", "p95", "p99"))
            yield f"... p50, p95, p99 of {whose}", f"{', '.join(slow)} ms"
    else:
        yield (
            f"confidence >= {r['live']['threshold']:g}",
            "not chosen for its accuracy: the bundle has no recorded predictions",
        )
    yield (
        f"measured wall time over {r['live']['n']} pictures",
        f"{r['live']['speedup']:.2f}x faster",
    )


def _deadlines(r: dict):
    yield f"answers after {r['runs']} deadlines: finished too late", str(r["late_answers"])
    yield (
        "answered - deadline: median, p99, worst",
        f"{r['median_ms']:.2f}, {r['p99_ms']:.2f}, {r['worst_ms']:.2f} ms",
    )
    yield "blocks begun and not used, mean", f"{r['wasted_blocks']:.2f}"


def _batches(rows: list[dict]):
    for row in rows:
        yield f"batch {row['batch']}: plain forward pass", f"{row['pictures_per_s']:.1f} pictures/s"


def _peers(rows: list[dict]):
    for row in rows:
        yield row["name"], row.get("skipped") or f"{row['ms']:.2f} ms ({row['dtype']})"


ROWS = {
    "engine": _engine,
    "overhead": _overhead,
    "leaving": _leaving,
    "threshold": _threshold,
    "deadlines": _deadlines,
    "batches": _batches,
    "peers": _peers,
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `python -m mvit bench`, besides the common ones."""
    parser.add_argument(
        "--rounds", type=int, default=30, help="rounds of each paired comparison (default 30)"
    )
    parser.add_argument(
        "--runs", type=int, default=50, help="runs at each of 20 deadlines (default 50)"
    )
    parser.add_argument(
        "--only", nargs="+", choices=PARTS, default=list(PARTS), help="measure these parts only"
    )
    parser.add_argument("--write", type=Path, metavar="STEM", help="write STEM.json and STEM.md")


def run(args: argparse.Namespace, model: MultiExitViT) -> dict:
    """Do what the command line asks, with the example pictures and the bundle's recorded
    predictions where there are any. Raises PredictionsError if these are damaged.

    args: --rounds, --runs, --only, --write, and the common --task, --backbone and --head (default
    as `bench`). Progress goes to standard error.
    """
    for name in ("rounds", "runs"):
        if getattr(args, name) < 1:
            raise ValueError(f"--{name} must be at least 1")
    if args.write and not args.write.parent.is_dir():
        raise ValueError(f"there is no folder {args.write.parent} to write to; make it first")
    if args.write:
        check_file(args.write.with_suffix(".json"))
        check_file(args.write.with_suffix(".md"))
    pictures = [read_image(file.read_bytes()) for file in sorted(EXAMPLES.glob("*.jpg"))]
    rule = "threshold" in args.only and not model.task.counts
    result = bench(
        model,
        args.head,
        pictures,
        recorded=_recorded(args) if rule else None,
        n=args.rounds,
        runs=args.runs,
        only=tuple(args.only),
        say=lambda line: print(line, file=sys.stderr),
    )
    if args.write:
        args.write.with_suffix(".json").write_text(json.dumps(result, indent=1) + "\n")
        args.write.with_suffix(".md").write_text(markdown(result))
    return result


def _recorded(args: argparse.Namespace) -> dict[str, Predictions] | None:
    """The recorded answers of the bundle; None if it comes without. Raises PredictionsError."""
    folder = weights.folder(args.task, args.backbone)
    return load_predictions(folder) if (folder / FILE).exists() else None


def describe(result: dict) -> str:
    """The record for a person: the Markdown table."""
    return markdown(result)
