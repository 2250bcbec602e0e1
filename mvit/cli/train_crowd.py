"""`python -m mvit train --task crowd`: the options of `train` that mean something for a counter,
and its own."""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path

from mvit.training.counter import CrowdRecipe
from mvit.training.crowd_study import CrowdStudy
from mvit.training.crowd_study import train as train_counter
from mvit.training.exits import ExitRecipe
from mvit.training.initial import architecture_of


def train(args: argparse.Namespace, data: Path) -> dict:
    """Fine-tune a counter, train its exits, measure them and write the bundle; gives back the
    card."""
    given = {k: v for k, v in vars(args).items() if v is not None}
    recipe = CrowdRecipe(
        **{
            f.name: given[f.name]
            for f in dataclasses.fields(CrowdRecipe)
            if f.name in given and f.name != "stages"
        }
    )
    if args.tile_stages:
        recipe.stages = args.tile_stages
    own = {
        f.name: given[f.name]
        for f in dataclasses.fields(ExitRecipe)
        if f.name in given and f.name != "batch"
    }
    exits = ExitRecipe(batch=args.exit_batch or 12, mean_decay=0.98, **own)
    run = Path(args.run or Path("runs") / "crowd")
    return train_counter(
        CrowdStudy(
            data,
            run,
            architecture=architecture_of(args.backbone),
            init=Path(args.init) if args.init else None,
            name=args.name,
            recipe=recipe,
            exits=exits,
            scenes=args.scenes,
            empties=args.empties,
            limit=args.limit,
            precision=args.precision,
            device=args.device,
            notes=args.notes,
            hub=args.backbone,
        )
    )


def tile_stages(text: str) -> tuple[tuple[int, int, int], ...]:
    """Read `192:60000:32,384:16000:12` as ((192, 60000, 32), (384, 16000, 12))."""
    try:
        found = tuple(tuple(int(part) for part in stage.split(":")) for stage in text.split(","))
    except ValueError:
        found = ()
    if not found or any(
        len(s) != 3 or s[0] < 32 or s[0] % 16 or s[1] < 1 or s[2] < 1 for s in found
    ):
        raise argparse.ArgumentTypeError(
            f"'{text}' is not of the form PIXELS:TILES:BATCH,..., PIXELS a multiple of 16"
        )
    return found


def add_arguments(sub: argparse.ArgumentParser) -> None:
    """The options of `train` that only --task crowd has."""
    sub.add_argument(
        "--tile-stages",
        type=tile_stages,
        help="crowd: PIXELS:TILES:BATCH,... (default: 192:60000:32,384:16000:12)",
    )
    sub.add_argument(
        "--scenes",
        type=int,
        default=120,
        help="crowd: rendered scenes that join the training pictures (default: 120)",
    )
    sub.add_argument(
        "--empties",
        type=int,
        default=16,
        help="crowd: pictures without anyone that join them (default: 16)",
    )
