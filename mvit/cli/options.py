"""The options of `train` and `table1`, and which way of training obeys which."""

from __future__ import annotations

import argparse

from mvit.cli import values
from mvit.models.extra_heads import EVERY
from mvit.training.joint import STRATEGIES

FINE, END_TO_END, LAYER_WISE = STRATEGIES
# Every way of training and its words on the command line.
WAYS = {
    FINE: f"fine-tuning (--strategy {FINE})",
    END_TO_END: f"--strategy {END_TO_END}",
    LAYER_WISE: f"--strategy {LAYER_WISE}",
    "adding": "--add-heads",
    "distilling": "--distill",
    "crowd": "--task crowd",
    "table1": "table1",
}
TRAINED = {FINE, END_TO_END, LAYER_WISE}
FROZEN = {FINE, "adding", "crowd"}  # exits learn by themselves, on a frozen backbone
# Which ways obey an option; what is not listed here is obeyed by all.
OBEYED = {
    "strategy": {*TRAINED, "crowd"},
    "add_heads": {"adding"},
    "into": {"adding"},
    "distill": {"distilling"},
    "init": {*TRAINED, "distilling", "crowd", "table1"},
    "task_name": {*TRAINED, "adding", "distilling", "table1"},
    "learning_rate": {*TRAINED, "crowd", "table1"},
    "batch": {*TRAINED, "table1"},
    "exit_rate": {END_TO_END, LAYER_WISE, "table1"},
    "rates": {*FROZEN, "table1"},
    "val_images": {*FROZEN, "table1"},
    "heads": {*TRAINED, "crowd", "table1"},
    "layers": {*TRAINED, "distilling", "crowd"},
    "exit_weights": {END_TO_END},
    "notes": {*TRAINED, "distilling", "crowd"},
    "stages": TRAINED,
    "from_layer": {FINE},
    "mix": {FINE},
    "drop_path": {FINE},
    "layer_decay": {*TRAINED, "crowd"},
    "exit_batch": FROZEN,
    "round_images": FROZEN,
    "max_rounds": FROZEN,
    "trial_steps": FROZEN,
    "tile_stages": {"crowd"},
    "scenes": {"crowd"},
    "empties": {"crowd"},
}
# Options of table1 that only some of its strategies read.
OF_STRATEGY = {"rates": {FINE}, "val_images": {FINE}, "exit_rate": {END_TO_END, LAYER_WISE}}


def way_of(args: argparse.Namespace) -> str:
    """Return the way of training that the options ask for. Raises ValueError for an option that it
    would ignore."""
    if args.command == "table1":
        way = "table1"
    elif args.add_heads:
        way = "adding"
    elif args.distill:
        way = "distilling"
    elif args.task == "crowd" and not args.task_name:
        way = "crowd"
    else:
        way = args.strategy or FINE
    for name, ways in OBEYED.items():
        if getattr(args, name, None) is not None and way not in ways:
            owners = ", ".join(words for other, words in WAYS.items() if other in ways)
            raise ValueError(f"{flag(name)} belongs to {owners}; {WAYS[way]} would ignore it")
    if way == "table1" and args.strategies:
        for name, strategies in OF_STRATEGY.items():
            if getattr(args, name) is not None and not strategies & set(args.strategies):
                raise ValueError(
                    f"{flag(name)} belongs to --strategies {', '.join(sorted(strategies))}; "
                    f"{', '.join(args.strategies)} would ignore it"
                )
    return way


def flag(name: str) -> str:
    """Return an option as it is typed."""
    return f"--{name.replace('_', '-')}"


def shared_arguments(sub: argparse.ArgumentParser) -> None:
    """What `train` and `table1` both ask for."""
    sub.add_argument(
        "--data",
        help="folder that holds the data set's folder, or your own image folder (default: MVIT_DATA)",
    )
    sub.add_argument(
        "--task-name",
        help="a name for your own data: class folders, or train/ and test/ with class folders",
    )
    sub.add_argument(
        "--name",
        type=values.bundle_name,
        help="name of the bundle's folder (default: the backbone's, with the strategy if not classifier-wise)",
    )
    sub.add_argument(
        "--init",
        help="start weights: a safetensors file with timm's names, a checkpoint or a bundle's folder (default: hub)",
    )
    sub.add_argument(
        "--overwrite",
        action="store_true",
        help="replace a bundle, or a head of one, that another run made",
    )
    sub.add_argument("--run", help="folder for checkpoints, resumed from (default: runs/<task>)")
    sub.add_argument(
        "--learning-rate",
        type=values.rate,
        help="the backbone's peak learning rate (default: 2e-4; table1: 1e-4)",
    )
    sub.add_argument("--batch", type=values.positive, help="the backbone's batch (default: 64)")
    sub.add_argument(
        "--exit-rate",
        type=values.rate,
        help="the exits' peak learning rate where they learn with the backbone (default: 1e-3)",
    )
    sub.add_argument(
        "--rates",
        type=values.rates,
        help="learning rates tried for exits on a frozen backbone (default: 1e-3,1e-4,1e-5)",
    )
    sub.add_argument(
        "--heads",
        type=values.head_names,
        help=f"which heads: {', '.join(EVERY)} (default: the paper's seven)",
    )
    sub.add_argument(
        "--val-images",
        type=values.positive,
        help="validate the exits on this many pictures (default: all held out)",
    )
    sub.add_argument(
        "--limit",
        type=values.positive,
        help="train on a seeded random N pictures only (crowd: N of each set)",
    )
    sub.add_argument(
        "--test-limit",
        type=values.positive,
        help="measure on a seeded random N test pictures only (default: all)",
    )
    sub.add_argument(
        "--precision",
        choices=("no", "bf16", "fp16"),
        default="no",
        help="accelerate's mixed precision",
    )
    sub.add_argument("--notes", help="a remark for the card")
    sub.add_argument("--seed", type=values.natural, default=0)


def train_arguments(sub: argparse.ArgumentParser) -> None:
    """Options of `train`; it resumes from the run folder when started again."""
    shared_arguments(sub)
    sub.add_argument(
        "--strategy", choices=STRATEGIES, help=f"how exits are trained (default: {STRATEGIES[0]})"
    )
    sub.add_argument(
        "--layers", type=values.layers, help="exits after these layers only, as 3,6 (default: all)"
    )
    weigh = "end-to-end: half, depth, or a number a layer, where the final exit weighs 1 (default: half; many layers: depth)"
    sub.add_argument("--exit-weights", type=values.exit_weights, help=weigh)
    sub.add_argument(
        "--add-heads",
        type=values.head_names,
        help="only train these heads on the bundle that is there, and add them to it",
    )
    sub.add_argument(
        "--distill",
        nargs="+",
        metavar="FOLDER",
        help="teach `lens` exits from the photos in these folders, which need no labels",
    )
    sub.add_argument(
        "--into",
        type=values.bundle_name,
        metavar="NAME",
        help="with --add-heads: put them into a bundle of this name with the same backbone instead",
    )
    sub.add_argument(
        "--stages",
        type=values.stages,
        help="training the backbone as PIXELS:EPOCHS,... or none (default: 96:3,128:1.5,224:0.4)",
    )
    sub.add_argument(
        "--from-layer",
        type=values.positive,
        help="with --init BUNDLE: train from this layer up, leave all below (default: 1)",
    )
    sub.add_argument(
        "--mix",
        type=values.share,
        help="chance that a batch is mixed by MixUp or CutMix, for large networks (default: 0)",
    )
    sub.add_argument(
        "--drop-path",
        type=values.share,
        help="stochastic depth: how often the last layer is left out (default: 0)",
    )
    sub.add_argument(
        "--layer-decay",
        type=values.share,
        help="learning rate of a layer against the next (default: 0.85; other strategies: 0.9)",
    )
    sub.add_argument(
        "--exit-batch",
        type=values.positive,
        help="the exits' batch on a frozen backbone (default: 64; crowd: 12)",
    )
    sub.add_argument(
        "--round-images",
        type=values.positive,
        help="pictures between two validations of the exits (default: all)",
    )
    sub.add_argument(
        "--max-rounds",
        type=values.positive,
        help="at most this many rounds for the exits (default: 100)",
    )
    sub.add_argument(
        "--trial-steps",
        type=values.positive,
        help="how long each learning rate is tried (default: 100 steps)",
    )
    sub.add_argument(
        "--tile-stages",
        type=values.tile_stages,
        help="crowd: PIXELS:TILES:BATCH,... (default: 192:60000:32,384:16000:12)",
    )
    sub.add_argument(
        "--scenes",
        type=values.natural,
        help="crowd: rendered scenes that join the training pictures (default: 120)",
    )
    sub.add_argument(
        "--empties",
        type=values.natural,
        help="crowd: pictures without anyone that join them (default: 16)",
    )


def table1_arguments(sub: argparse.ArgumentParser) -> None:
    """Options of `table1`; it goes on with the first missing cell when started again."""
    shared_arguments(sub)
    sub.add_argument(
        "--layer",
        type=values.positive,
        default=6,
        help="the exits' layer (default: 6, as in the paper)",
    )
    sub.add_argument(
        "--px", type=values.positive, help="side of the pictures in every cell (default: 96)"
    )
    sub.add_argument(
        "--images", type=values.positive, help="pictures that every cell sees (default: 12000)"
    )
    sub.add_argument(
        "--strategies",
        type=values.strategies,
        help=f"which: {', '.join(STRATEGIES)} (default: all)",
    )
