"""What commands that run a network have in common: which model, and on which picture."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from mvit.bundles import weights
from mvit.images.reader import ImageError, picture_bytes, read_image
from mvit.inference import precision
from mvit.models.multi_exit import MultiExitViT

# what an exit says besides its prediction, by the task's metric
READ = {"accuracy": "confidence", "mae": "count"}


def load(args: argparse.Namespace) -> MultiExitViT:
    """Return the model that the common options name; only the wanted head is read from disk.
    Raises WeightsError, with the heads that the bundle has, for one that it has not."""
    if reason := weights.refusal(args.task, args.backbone):
        raise weights.WeightsError(reason)
    dtype = precision.DTYPES.get(args.dtype, precision.DTYPES["float32"])
    heads = None if args.head is None else [args.head]
    model = weights.load(
        args.task, args.backbone, args.device, dtype=dtype, heads=heads, engine=args.engine
    )
    if args.dtype == "auto":
        choice = precision.choose_dtype(model)
        print(f"{choice.dtype}: {choice.reason}", file=sys.stderr)
        model.to(choice.torch_dtype)
    return model


def picture_of(args: argparse.Namespace):
    """Return the picture named on the command line, RGB uint8 (H, W, 3). Raises ImageError, which
    names it."""
    try:
        return read_image(picture_bytes(Path(args.image)))
    except ImageError as error:
        raise ImageError(f"{args.image}: {error}") from error
