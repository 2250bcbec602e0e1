"""`python -m mvit grow`: write a bundle of a wider backbone that has a smaller one's function, to
be fine-tuned or run as it is."""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

import torch

from mvit.bundles import weights
from mvit.bundles.card import at_size
from mvit.bundles.maps import PART as MAPS
from mvit.bundles.whole import check_folder
from mvit.cli.answer import load
from mvit.cli.values import natural
from mvit.clock import NoClock
from mvit.evaluation.predictions import FILE
from mvit.inference.precision import probe_pictures
from mvit.models.growth import GrowthError, grow
from mvit.models.multi_exit import MultiExitViT


@torch.inference_mode()
def difference(one: MultiExitViT, other: MultiExitViT, pictures: int = 2) -> dict:
    """How far apart two models' answers are at the exits of the second, on generated pictures:
    {"logits", "scores", "same_answers"}.

    The largest difference of a logit, the largest of a score (a probability, or people in a tile),
    and the share of exits and pictures with the same answer.
    """
    plan, task = other.plan(), one.task
    off, scores, same = 0.0, 0.0, []
    for picture in probe_pictures(task, pictures):
        x = one.to_input(picture)
        for (*_, a, _), (*_, b, _) in zip(
            one.steps(x, plan, NoClock()), other.steps(x, plan, NoClock()), strict=True
        ):
            off = max(off, (a - b).abs().max().item())
            a, b = task.scores(a), task.scores(b)
            scores = max(scores, (a - b).abs().max().item())
            same.append(task.answer(a) == task.answer(b))
    return {"logits": off, "scores": scores, "same_answers": sum(same) / len(same)}


def grow_bundle(model: MultiExitViT, card: dict, to: str, folder: Path, seed: int = 0) -> dict:
    """Grow a model and write it with its card, half precision, to a folder; return the new
    card.

    The card keeps the accuracies, which were measured before growth, and tells how far rounding to
    half precision moved the answers. Raises GrowthError, or WeightsError if the files read back are
    not as written.
    """
    wide = grow(model, to, seed=seed)
    growth = {
        "factor": wide.backbone.dim // model.backbone.dim,
        "seed": seed,
        "before_rounding": difference(model, wide),
    }
    own = {name: told for name, told in card.items() if name != MAPS}  # those are not grown
    about = {"architecture": to, "grown_from": wide.grown_from, "growth": growth}
    card = own | about | at_size(card, wide)
    card = weights.save(wide, folder, card)
    del wide
    growth["on_disk"] = difference(model, weights.read(folder, model.task.name))
    weights.write_card(folder, card)
    return card


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `python -m mvit grow`, besides the common ones; --task and --backbone name
    what is grown."""
    parser.add_argument(
        "--to",
        default="vit_base_patch16_224",
        metavar="ARCHITECTURE",
        help="timm's name of the wider plain ViT (default: vit_base_patch16_224)",
    )
    parser.add_argument(
        "--out",
        type=Path,
        metavar="FOLDER",
        help="where to write (default: weights/TASK/ARCHITECTURE)",
    )
    parser.add_argument("--seed", type=natural, default=0, help="of the random shares (default: 0)")


def run(args: argparse.Namespace) -> dict:
    """Do what the command line asks: grow the model, write it, and tell how exactly it kept its
    function; always from float32 on the CPU."""
    args.device, args.dtype = "cpu", "float32"
    folder = args.out or weights.root() / args.task / args.to
    check_folder(folder)
    model, source = load(args), weights.folder(args.task, args.backbone)
    if model.grown_from:
        raise GrowthError(
            f"{args.backbone} is itself grown from {model.grown_from}: name that with --backbone"
        )
    if folder.exists() and any(folder.iterdir()):
        raise GrowthError(f"{folder} is not empty; name another folder with --out")
    card = grow_bundle(
        model, weights.card_of(args.task, args.backbone), args.to, folder=folder, seed=args.seed
    )
    if (source / FILE).exists():  # recorded before growth: the same function
        shutil.copyfile(source / FILE, folder / FILE)
    files = [{"file": name, "bytes": about["bytes"]} for name, about in card["files"].items()]
    return {
        "task": args.task,
        "from": args.backbone,
        "to": args.to,
        "factor": card["growth"]["factor"],
        "folder": str(folder),
        "heads": weights.head_names(card["files"]),
        "files": files,
        "bytes": sum(f["bytes"] for f in files),
        "before_rounding": card["growth"]["before_rounding"],
        "on_disk": card["growth"]["on_disk"],
    }


def describe(result: dict) -> str:
    """A few lines for a person."""
    exact, disk = result["before_rounding"], result["on_disk"]
    return (
        f"{result['from']} grown {result['factor']} times to {result['to']} "
        f"with {len(result['heads'])} heads: {result['bytes'] / 1e6:.0f} MB "
        f"in {len(result['files'])} files in {result['folder']}\n"
        f"logits moved by at most {exact['logits']:.1g} in float32, and by {disk['logits']:.2g} "
        f"after rounding to half precision on disk (scores by {disk['scores']:.2g}; "
        f"{disk['same_answers']:.1%} of the answers are the same)\n"
        "accuracies and recorded predictions are those measured before growth"
    )
