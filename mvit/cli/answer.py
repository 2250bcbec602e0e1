"""`python -m mvit trace` and `deadline`: what the exits say about one picture."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from mvit.bundles import weights
from mvit.images.reader import picture_bytes, read_image
from mvit.inference import precision
from mvit.inference.deadline import answer_by
from mvit.models.extra_heads import EVERY
from mvit.models.multi_exit import MultiExitViT, PlanError
from mvit.policies.plans import best_head

# what an exit says besides its prediction, by the task's metric
READ = {"accuracy": "confidence", "mae": "count"}


def load(args: argparse.Namespace) -> MultiExitViT:
    """Return the model that the common options name; only the wanted head is read from disk."""
    if args.head is not None and args.head not in EVERY:
        raise PlanError(f"unknown head '{args.head}'; there are: {', '.join(EVERY)}")
    dtype = precision.DTYPES.get(args.dtype, precision.DTYPES["float32"])
    heads = None if args.head is None else [args.head]
    model = weights.load(args.task, args.backbone, args.device, dtype, heads, engine=args.engine)
    if args.dtype == "auto":
        choice = precision.choose(model)
        print(f"{choice.dtype}: {choice.reason}", file=sys.stderr)
        model.to(choice.torch_dtype)
    return model


def picture_of(args: argparse.Namespace):
    """Return the picture named on the command line, RGB uint8 (H, W, 3)."""
    return read_image(picture_bytes(Path(args.image)))


def trace(args: argparse.Namespace) -> dict:
    """Return every exit's answer on one picture."""
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
    final = {k: v for k, v in rows.pop().items() if k not in ("head", "practical")}
    return head | {"exits": rows, "final": final}


def deadline(args: argparse.Namespace) -> dict:
    """Return the latest answer when the clock runs out."""
    model, picture = load(args), picture_of(args)
    head = args.head or best_head(weights.card_of(args.task, args.backbone), list(model.heads))
    plan = model.practical(head)
    for _ in model.run(picture, plan):  # warm-up
        pass
    answer = answer_by(model, picture, args.ms, plan)
    if not args.json and not answer.ready:
        print(answer.message, file=sys.stderr)
    found, said = answer.exit, READ[model.task.metric]
    fields = {"layer": "layer", "head": "head", "prediction": "label", said: said}
    return {
        "deadline_ms": answer.deadline_ms,
        "answered_ms": answer.answered_ms,
        **{name: None if found is None else getattr(found, of) for name, of in fields.items()},
        "ready": answer.ready,
    }
