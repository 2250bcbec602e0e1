"""`python -m mvit train` and `table1`: their options, and the study or table that they ask for."""

from __future__ import annotations

import argparse
import dataclasses
import sys
from pathlib import Path

from mvit.bundles import weights
from mvit.data.labelled import DataError, data_root
from mvit.models.extra_heads import EVERY
from mvit.models.heads import HEADS
from mvit.tasks import TASKS, Task
from mvit.training.add_heads import add_heads
from mvit.training.exits import ExitRecipe
from mvit.training.finetune import Recipe
from mvit.training.initial import architecture_of
from mvit.training.joint import STRATEGIES, JointRecipe
from mvit.training.study import Study, own_task, train
from mvit.training.table1 import Budget, Table1, measure


def run_train(args: argparse.Namespace) -> dict:
    """Train and measure what the options say and write the bundle; gives back the card."""
    data = data_root(args.data)
    given = [
        name for name in ("mix", "drop_path", "from_layer") if getattr(args, name, None) is not None
    ]
    if given and (args.add_heads or args.strategy != STRATEGIES[0]):
        raise DataError(
            f"--{given[0].replace('_', '-')} belongs to fine-tuning, which only --strategy {STRATEGIES[0]} does"
        )
    if args.add_heads:
        return add_heads(
            study_of(args, task_with_bundle(args, data), data, args.name or args.backbone),
            args.add_heads,
            args.into,
        )
    return train(study_of(args, task_of(args, data), data, args.name))


def run_table1(args: argparse.Namespace) -> dict:
    """Train and measure the cells of Table I that are missing and write table1.json; gives back its
    content."""
    data = data_root(args.data)
    given = {f.name: getattr(args, f.name, None) for f in dataclasses.fields(Budget)}
    table = Table1(
        study_of(args, task_of(args, data), data, args.name),
        Budget(**{k: v for k, v in given.items() if v is not None}),
    )
    table = dataclasses.replace(
        table,
        layer=args.layer,
        heads=args.heads or table.heads,
        strategies=args.strategies or table.strategies,
    )
    return measure(table, lambda line: print(line, file=sys.stderr))


def study_of(args: argparse.Namespace, task: Task, data: Path, name: str | None) -> Study:
    """The study that the options describe; what they leave out keeps its default."""
    given = {k: v for k, v in vars(args).items() if v is not None}
    strategy = given.get("strategy", STRATEGIES[0])
    kind = Recipe if strategy == "classifier-wise" else JointRecipe
    recipe = kind(**{f.name: given[f.name] for f in dataclasses.fields(kind) if f.name in given})
    own = {
        f.name: given[f.name]
        for f in dataclasses.fields(ExitRecipe)
        if f.name in given and f.name != "batch"
    }
    exits = ExitRecipe(**own | ({"batch": given["exit_batch"]} if "exit_batch" in given else {}))
    heads = given.get("heads") or (
        tuple(HEADS) if strategy == "classifier-wise" else ("cnn_ignore",)
    )
    return Study(
        task,
        data,
        Path(args.run or Path("runs") / task.name),
        architecture_of(args.backbone),
        Path(args.init) if args.init else None,
        name,
        recipe,
        exits,
        args.limit,
        args.test_limit,
        args.precision,
        args.device,
        args.notes,
        strategy,
        heads,
        given.get("layers"),
        given.get("exit_weights"),
        args.backbone,
    )


def task_of(args: argparse.Namespace, data: Path) -> Task:
    """The built-in task that --task names, or one's own from the folder. Raises DataError."""
    if args.task_name:
        return own_task(data, args.task_name)
    if args.task == "crowd":
        raise DataError(
            "this is for tasks with classes; --task crowd has `train` and no other strategy than classifier-wise"
        )
    if args.task not in TASKS:
        raise DataError(
            f"unknown task '{args.task}'; there are: {', '.join(TASKS)}; for your own pictures use --task-name"
        )
    return TASKS[args.task]


def task_with_bundle(args: argparse.Namespace, data: Path) -> Task:
    """The task of the bundle that is added to, as its card tells it. Raises WeightsError."""
    name = args.task_name or args.task
    return weights.task_of(weights.read_card(weights.folder(name, args.name or args.backbone)))


def stages(text: str) -> tuple[tuple[int, float], ...]:
    """Read `96:3,128:1.5,224:0.4` as ((96, 3.0), (128, 1.5), (224, 0.4)), and `none` as no
    stage."""
    try:
        found = (
            ()
            if text == "none"
            else tuple((int(s.split(":")[0]), float(s.split(":")[1])) for s in text.split(","))
        )
    except (ValueError, IndexError):
        found = ((0, 0),)
    if any(px < 16 or not 0 < epochs < 1e6 for px, epochs in found):
        raise argparse.ArgumentTypeError(f"'{text}' is not of the form PIXELS:EPOCHS,PIXELS:EPOCHS")
    return found


def rates(text: str) -> tuple[float, ...]:
    """Read `1e-3,1e-4` as (0.001, 0.0001)."""
    return _numbers(text, float, "learning rates", lambda r: r > 0)


def layers(text: str) -> tuple[int, ...]:
    """Read `3,6` as (3, 6)."""
    return tuple(sorted(set(_numbers(text, int, "layers", lambda b: b > 0))))


def exit_weights(text: str) -> str | tuple[float, ...]:
    """Read `half`, `depth`, or numbers as `0.1,0.5`."""
    return (
        text
        if text in ("half", "depth")
        else _numbers(text, float, "weights, nor 'half' or 'depth'", lambda w: w >= 0)
    )


def _numbers(text: str, kind: type, what: str, legal) -> tuple:
    try:
        found = tuple(kind(part) for part in text.split(","))
    except ValueError:
        found = ()
    if not found or not all(legal(number) for number in found):
        raise argparse.ArgumentTypeError(f"'{text}' is not a list of {what}")
    return found


def head_names(text: str) -> tuple[str, ...]:
    """Read `cnn_ignore,gmlp` as names of heads, each once."""
    found = tuple(dict.fromkeys(text.split(",")))
    if unknown := [name for name in found if name not in EVERY]:
        raise argparse.ArgumentTypeError(
            f"unknown head '{unknown[0]}'; there are: {', '.join(EVERY)}"
        )
    return found


def strategies(text: str) -> tuple[str, ...]:
    """Read `end-to-end,layer-wise` as names of strategies."""
    found = tuple(dict.fromkeys(text.split(",")))
    if unknown := [name for name in found if name not in STRATEGIES]:
        raise argparse.ArgumentTypeError(
            f"unknown strategy '{unknown[0]}'; there are: {', '.join(STRATEGIES)}"
        )
    return found


def positive(text: str) -> int:
    """A whole number above 0."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"'{text}' is not a whole number above 0")
    return int(text)


def share(text: str) -> float:
    """A number from 0 to 1."""
    return _numbers(text, float, "numbers from 0 to 1", lambda s: 0 <= s <= 1)[0]


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
        help="name of the bundle's folder (default: the backbone's, with the strategy if not classifier-wise)",
    )
    sub.add_argument(
        "--init",
        help="start weights: a safetensors file with timm's names, a checkpoint or a bundle's folder (default: hub)",
    )
    sub.add_argument("--run", help="folder for checkpoints, resumed from (default: runs/<task>)")
    sub.add_argument(
        "--learning-rate",
        type=float,
        help="the backbone's peak learning rate (default: 2e-4; table1: 1e-4)",
    )
    sub.add_argument("--batch", type=positive, help="the backbone's batch (default: 64)")
    sub.add_argument(
        "--exit-rate",
        type=float,
        help="the exits' peak learning rate where they learn with the backbone (default: 1e-3)",
    )
    sub.add_argument(
        "--rates",
        type=rates,
        help="learning rates tried for exits on a frozen backbone (default: 1e-3,1e-4,1e-5)",
    )
    sub.add_argument(
        "--heads",
        type=head_names,
        help=f"which heads: {', '.join(EVERY)} (default: the paper's seven)",
    )
    sub.add_argument(
        "--val-images",
        type=positive,
        help="validate the exits on this many pictures (default: all held out)",
    )
    sub.add_argument("--limit", type=positive, help="train on a seeded random N pictures only")
    sub.add_argument(
        "--test-limit",
        type=positive,
        help="measure on a seeded random N test pictures only (default: all)",
    )
    sub.add_argument(
        "--precision",
        choices=("no", "bf16", "fp16"),
        default="no",
        help="accelerate's mixed precision",
    )
    sub.add_argument("--notes", default="", help="a remark for the card")
    sub.add_argument("--seed", type=int, default=0)


def train_arguments(sub: argparse.ArgumentParser) -> None:
    """Options of `train`; it resumes from the run folder when started again."""
    shared_arguments(sub)
    sub.add_argument(
        "--strategy",
        choices=STRATEGIES,
        default=STRATEGIES[0],
        help=f"how exits are trained (default: {STRATEGIES[0]})",
    )
    sub.add_argument(
        "--layers", type=layers, help="exits after these layers only, as 3,6 (default: all)"
    )
    weigh = "end-to-end: half, depth, or a number a layer, where the final exit weighs 1 (default: half; many layers: depth)"
    sub.add_argument("--exit-weights", type=exit_weights, help=weigh)
    sub.add_argument(
        "--add-heads",
        type=head_names,
        help="only train these heads on the bundle that is there, and add them to it",
    )
    sub.add_argument(
        "--into",
        metavar="NAME",
        help="with --add-heads: put them into a bundle of this name with the same backbone instead",
    )
    sub.add_argument(
        "--stages",
        type=stages,
        help="training the backbone as PIXELS:EPOCHS,... or none (default: 96:3,128:1.5,224:0.4)",
    )
    sub.add_argument(
        "--from-layer",
        type=positive,
        help="with --init BUNDLE: train from this layer up, leave all below (default: 1)",
    )
    sub.add_argument(
        "--mix",
        type=share,
        help="chance that a batch is mixed by MixUp or CutMix, for large networks (default: 0)",
    )
    sub.add_argument(
        "--drop-path",
        type=share,
        help="stochastic depth: how often the last layer is left out (default: 0)",
    )
    sub.add_argument(
        "--layer-decay",
        type=float,
        help="learning rate of a layer against the next (default: 0.85; other strategies: 0.9)",
    )
    sub.add_argument(
        "--exit-batch",
        type=positive,
        help="the exits' batch on a frozen backbone (default: 64; crowd: 12)",
    )
    sub.add_argument(
        "--round-images",
        type=positive,
        help="pictures between two validations of the exits (default: all)",
    )
    sub.add_argument(
        "--max-rounds", type=positive, help="at most this many rounds for the exits (default: 100)"
    )
    sub.add_argument(
        "--trial-steps",
        type=positive,
        help="how long each learning rate is tried (default: 100 steps)",
    )


def table1_arguments(sub: argparse.ArgumentParser) -> None:
    """Options of `table1`; it goes on with the first missing cell when started again."""
    shared_arguments(sub)
    sub.add_argument(
        "--layer", type=positive, default=6, help="the exits' layer (default: 6, as in the paper)"
    )
    sub.add_argument("--px", type=positive, help="side of the pictures in every cell (default: 96)")
    sub.add_argument(
        "--images", type=positive, help="pictures that every cell sees (default: 12000)"
    )
    sub.add_argument(
        "--strategies", type=strategies, help=f"which: {', '.join(STRATEGIES)} (default: all)"
    )
