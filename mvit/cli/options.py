"""The options of `train`, `table1` and `ablation`, and which way of training obeys which."""

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
    "together": f"--distill with --strategy {END_TO_END}",
    "maps": "--maps",
    "crowd": "--task crowd",
    "crowd " + END_TO_END: f"--task crowd with --strategy {END_TO_END}",
    "crowd " + LAYER_WISE: f"--task crowd with --strategy {LAYER_WISE}",
    "table1": "table1",
    "ablation": "ablation",
}
ALL, TRAINED, TABLE = set(WAYS), {FINE, END_TO_END, LAYER_WISE}, {"table1"}
COMPARED, DISTILLED = {"table1", "ablation"}, {"distilling", "together"}
COUNTED = {f"crowd {strategy}" for strategy in (END_TO_END, LAYER_WISE)}  # with their backbone
CROWD = {"crowd"} | COUNTED
NOT_CROWD = ALL - CROWD - {"maps"}
WHOLE = ALL - {"maps"}  # which read --data and write a bundle
FROZEN = {FINE, "adding", "crowd"}  # exits learn by themselves, on a frozen backbone
TUNED = TRAINED | CROWD | COMPARED  # the backbone learns
# Every option: which ways obey it, what reads its words (or argparse's own settings), its help.
OPTIONS = {
    "data": (WHOLE, {}, "folder of the data set's folder, or of your own pictures (or: MVIT_DATA)"),
    "task_name": (NOT_CROWD, {}, "a name for your own data: class folders, or train/ and test/"),
    "name": (
        ALL,
        values.bundle_name,
        "the bundle's folder (default: the backbone's name, and the strategy)",
    ),
    "overwrite": (
        ALL,
        {"action": "store_true"},
        "replace a bundle, or a head or the maps of one, that another run made",
    ),
    "init": (
        TUNED | DISTILLED,
        {},
        "start weights: a safetensors file of timm's names, a checkpoint, or a bundle's folder "
        "(default: hub)",
    ),
    "run": (ALL, {}, "folder for checkpoints, resumed from (default: runs/<task>)"),
    "strategy": (
        TRAINED | CROWD | {"together"},
        {"choices": STRATEGIES},
        f"how exits are trained (default: {FINE})",
    ),
    "heads": (
        TRAINED | CROWD | TABLE | DISTILLED,
        values.head_names,
        f"which heads: {', '.join(EVERY)} (default: the paper's seven; --distill: lens)",
    ),
    "layers": (
        TRAINED | CROWD | DISTILLED,
        values.layers,
        "exits after these layers only, as 3,6 (default: all)",
    ),
    "layer": (TABLE, values.positive, "the exits' layer (default: 6, as in the paper)"),
    "strategies": (TABLE, values.strategies, f"which: {', '.join(STRATEGIES)} (default: all)"),
    "last_step": (
        TABLE,
        {"action": "store_const", "const": True},
        "layer-wise: let the layers above the exit begin from nothing and from end-to-end's too",
    ),
    "px": (COMPARED, values.positive, "side of the pictures in training (default: 96; crowd: 384)"),
    "images": (
        COMPARED,
        values.positive,
        "pictures that a training sees (default: 12000; ablation: 24000)",
    ),
    "add_heads": (
        {"adding"},
        values.head_names,
        "only train these heads on the bundle that is there, and add them to it",
    ),
    "into": (
        {"adding"},
        {"type": values.bundle_name, "metavar": "NAME"},
        "with --add-heads: put them into a bundle of this name with the same backbone instead",
    ),
    "distill": (
        DISTILLED,
        {"nargs": "+", "metavar": "FOLDER"},
        "teach exits from the photos in these folders, which need no labels; heads that the "
        "bundle given by --init has been taught so stay as they are, and so does the backbone "
        "(--strategy end-to-end: all learn together)",
    ),
    "teacher": (
        {"together"},
        {"metavar": "BUNDLE"},
        "with --distill and end-to-end: the bundle's folder whose network teaches (default: the "
        "one that --init starts from)",
    ),
    "closed_form": (
        {"distilling"},
        {"action": "store_const", "const": True},
        "with --distill: only solve the dense layer of each exit, in one look at the photos",
    ),
    "maps": (
        {"maps"},
        {"nargs": "+", "metavar": "FOLDER"},
        "only teach the counter of the bundle that is there where people are, from the crowd "
        "pictures with points in these folders",
    ),
    "stages": (
        TRAINED | {"together"},
        values.stages,
        "training the backbone as PIXELS:EPOCHS,... or none: exits alone (default: "
        "96:3,128:1.5,224:0.4)",
    ),
    "tile_stages": (
        CROWD,
        values.tile_stages,
        "crowd: PIXELS:TILES:BATCH,... (default: 192:60000:32,384:16000:12)",
    ),
    "scenes": (CROWD, values.natural, "crowd: rendered scenes that join in (default: 120)"),
    "empties": (CROWD, values.natural, "crowd: pictures without anyone likewise (default: 16)"),
    "solved_tiles": (
        CROWD,
        values.positive,
        "crowd: on how many tiles the exits' last layers are solved at the end (default: all)",
    ),
    "zoom": (CROWD, values.zoom, "crowd: squares are zoomed at most so much (default: 1.33)"),
    "repeat": (CROWD, values.repeat, "crowd: SET:TIMES,... pictures that are drawn more often"),
    "from_layer": (
        {FINE},
        values.positive,
        "with --init BUNDLE: train from this layer up, leave all below (default: 1)",
    ),
    "learning_rate": (
        TUNED | {"together"},
        values.rate,
        "the backbone's peak learning rate (default: 2e-4; table1: 1e-4; crowd: 3e-4)",
    ),
    "batch": (TUNED - CROWD | {"together"}, values.positive, "the backbone's batch (default: 64)"),
    "mix": (
        TRAINED | {"together"},
        values.share,
        "chance that a batch is mixed by MixUp or CutMix, for long trainings of large networks; "
        "--distill: that a photo is blended with another (default: 0)",
    ),
    "drop_path": (
        {FINE},
        values.share,
        "stochastic depth: how often the last layer is left out (default: 0)",
    ),
    "rank": (
        {FINE},
        values.positive,
        "grown networks: let exits learn only a change of this rank, and the backbone of four "
        "times it (LoRA), as it is stored (default: all weights learn)",
    ),
    "mean_decay": (
        TRAINED | CROWD,
        {"type": values.share},
        "end with a running mean of the weights that learned with the backbone, of which this much "
        "stays in a step, as 0.999 (default: 0, the last weights; crowd: 0.998)",
    ),
    "start_share": (
        {END_TO_END, LAYER_WISE, "together"} | COUNTED,
        values.share,
        "exits that learn with their backbone: end so much of the way back to the start weights, "
        "whose answers to other pictures are kept so (default: 0)",
    ),
    "layer_decay": (
        TRAINED | CROWD | {"together"},
        values.share,
        "learning rate of a layer against the next (default: 0.85; other strategies: 0.9)",
    ),
    "exit_rate": (
        {END_TO_END, LAYER_WISE, "together"} | COUNTED | COMPARED,
        values.rate,
        "the exits' peak learning rate where they learn with the backbone (default: 1e-3)",
    ),
    "exit_weights": (
        {END_TO_END, "together", f"crowd {END_TO_END}"},
        values.exit_weights,
        "end-to-end: half, depth, or a number a layer, where the final exit weighs 1 "
        "(default: half; many layers: depth)",
    ),
    "self_distillation": (
        {END_TO_END, "ablation"},
        values.share,
        "end-to-end: how much of an early exit's loss is its distance to the final exit's answer "
        "(default: 0; ablation: 0.5)",
    ),
    "gradient_equilibrium": (
        {END_TO_END},
        {"action": "store_true", "default": None},
        "end-to-end: let every layer learn equally much from the exits above it",
    ),
    "rates": (
        FROZEN | TABLE,
        values.rates,
        "learning rates tried for exits on a frozen backbone (default: 1e-3,1e-4,1e-5)",
    ),
    "exit_batch": (FROZEN, values.positive, "the exits' batch likewise (default: 64; crowd: 12)"),
    "round_images": (
        FROZEN | TABLE,
        values.positive,
        "pictures between two validations of the exits (default: all; table1: 5000)",
    ),
    "max_rounds": (
        FROZEN | TABLE,
        values.positive,
        "at most this many rounds for the exits (default: 100; table1, before its cells: 30)",
    ),
    "trial_steps": (
        FROZEN,
        values.positive,
        "how long each learning rate is tried (default: 100 steps)",
    ),
    "val_images": (
        FROZEN | TABLE,
        values.positive,
        "validate the exits on this many pictures (default: all held out)",
    ),
    "limit": (
        ALL,
        values.positive,
        "train on a seeded random N pictures only (crowd: N of each set)",
    ),
    "test_limit": (
        ALL,
        values.positive,
        "measure on a seeded random N test pictures only (default: all)",
    ),
    "compiled": (
        TRAINED | COUNTED | {"together"},
        {"action": "store_const", "const": True},
        "on a GPU: train encoder layers as one compiled program each, which takes half a minute "
        "to make and is up to twice as fast",
    ),
    "precision": (
        ALL,
        {"choices": ("no", "bf16", "fp16"), "default": "no"},
        "accelerate's mixed precision",
    ),
    "notes": (TRAINED | CROWD | DISTILLED, {}, "a remark for the card"),
    "seed": (ALL, {"type": values.natural, "default": 0}, "of all chance (default: 0)"),
}
# Options of table1 that only some of its strategies read.
OF_STRATEGY = {"rates": {FINE}, "val_images": {FINE}, "exit_rate": {END_TO_END, LAYER_WISE}}


def add_arguments(parser: argparse.ArgumentParser, ways: set[str]) -> None:
    """Add the options that any of these ways of training obeys."""
    for name, (obeyed, reading, text) in OPTIONS.items():
        if obeyed & ways:
            how = {"type": reading} if callable(reading) else reading
            parser.add_argument(flag(name), help=text, **how)


def way_of(args: argparse.Namespace) -> str:
    """Return the way of training that the options ask for. Raises ValueError for an option that it
    would ignore."""
    if args.command in COMPARED:
        way = args.command
    elif args.add_heads:
        way = "adding"
    elif args.distill:
        way = "together" if args.strategy == END_TO_END else "distilling"
    elif args.maps:
        way = "maps"
    elif args.task == "crowd" and not args.task_name:
        way = "crowd" if args.strategy in (None, FINE) else f"crowd {args.strategy}"
    else:
        way = args.strategy or FINE
    given = [name for name in OPTIONS if getattr(args, name, None) is not None]
    for name in given:
        obeyed = OPTIONS[name][0]
        if way not in obeyed:
            owners = ", ".join(words for other, words in WAYS.items() if other in obeyed)
            raise ValueError(f"{flag(name)} belongs to {owners}; {WAYS[way]} would ignore it")
        readers = OF_STRATEGY.get(name)
        if way == "table1" and readers and not readers & set(args.strategies or STRATEGIES):
            raise ValueError(
                f"{flag(name)} belongs to --strategies {', '.join(sorted(readers))}; "
                f"{', '.join(args.strategies)} would ignore it"
            )
    return way


def flag(name: str) -> str:
    """Return an option as it is typed."""
    return f"--{name.replace('_', '-')}"
