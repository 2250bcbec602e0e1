"""What commands that run a network have in common: which model, and on which picture."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from mvit.bundles import weights
from mvit.charts.text import plain_label
from mvit.images.reader import ImageError, picture_bytes, read_image
from mvit.inference import precision
from mvit.models.cautious import Caution
from mvit.models.multi_exit import MultiExitViT

# what an exit says besides its prediction, by the task's metric
READ = {"accuracy": "confidence", "mae": "count"}
I_DO_NOT_KNOW = (
    "I do not know this: it looks like none of the things that I was taught. Answers are guesses."
)


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


def speaker(task: str, card: dict) -> Callable[[tuple[int, str], Sequence[float]], dict]:
    """Return what tells {"says", "sure", "unsure"} of an exit (layer, head) by its class
    probabilities: the most specific thing that it is sure enough of, how probable that is, and
    whether it is of nothing; "sure" is then of its best guess. It tells nothing where a task's
    classes have no tree."""
    caution = Caution.of(task, card)

    def speak(place: tuple[int, str], scores: Sequence[float]) -> dict:
        if caution is None:
            return {}
        said = caution.says(place, scores)
        return {"says": plain_label(said.name), "sure": said.probability, "unsure": said.unsure}

    return speak


def unknown(model: MultiExitViT, card: dict, logits: dict) -> dict:
    """Return {"unlike": whether a picture is unlike all that the model was taught}, by the logits
    of a run; nothing where its card records no check of the exits that ran."""
    from mvit.evaluation.unlike import Check  # reads recorded data, which few commands need

    check = Check.of(card, model)
    fits = check is not None and {*check.exits} <= logits.keys()
    return {"unlike": check.unlike(logits)} if fits else {}
