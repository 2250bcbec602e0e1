"""`python -m mvit trace`: what every exit says about one picture."""

from __future__ import annotations

import argparse
import sys
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from mvit.bundles import opening, weights
from mvit.bundles.first_view import FirstView, fingerprint, sha256, write
from mvit.cli.answer import I_DO_NOT_KNOW, READ, load, picture_of, speaker, unknown
from mvit.cli.tables import answers
from mvit.clock import environment
from mvit.images.draw import data_url
from mvit.inference.baseline import plain_time, run_beside_plain
from mvit.models.multi_exit import MultiExitViT
from mvit.policies.plans import accuracies, best_head, costs, exits_for_deadlines

WHOLE = "end-to-end"  # what a card calls the training of exits together with their backbone


def add_arguments(sub: argparse.ArgumentParser) -> None:
    """The options of `trace`."""
    sub.add_argument("image")
    sub.add_argument(
        "--record",
        action="store_true",
        help="also keep a run of the few exits that the app shows in the bundle: what the app "
        "opens with, until it has started; IMAGE must be its first example",
    )


def record(args: argparse.Namespace, model: MultiExitViT, picture: np.ndarray) -> None:
    """Keep a measured run on the picture in the bundle's folder. Raises ValueError for a network
    that counts or has no bundle of its own, and for a run that the app does not open with."""
    folder, card = (
        weights.folder(args.task, args.backbone),
        weights.card_of(args.task, args.backbone),
    )
    if model.task.counts or model.grown_from:
        raise ValueError("--record keeps runs of a bundle that names what it sees")
    check_shown(folder, Path(args.image))
    head = args.head or best_head(card, list(model.heads))
    plan = exits_for_deadlines(model, accuracies(card, model.final_exit), head)
    plain_ms = plain_time(model).median
    exits, _ = run_beside_plain(model, picture, plan, usual_ms=plain_ms)
    used = weights.parts(card["files"])
    names = [*used["backbone"], *used[f"heads/{head}"]]
    about = environment(model.device, model.dtype)
    view = FirstView(
        made=datetime.now(UTC).date().isoformat(),
        device=about["device"],
        dtype=about["dtype"],
        head=head,
        picture_sha256=sha256(Path(args.image)),
        picture=data_url(picture),
        seen=data_url(model.task.seen(picture)),
        exits=exits,
        macs=costs(model, plan).tolist(),
        plain_ms=plain_ms,
        weights=fingerprint(folder, names),
    )
    print(f"kept in {write(folder, view)}", file=sys.stderr)


def check_shown(folder: Path, picture: Path) -> None:
    """Raise ValueError unless the app opens with this bundle and this picture: it would never show
    the run."""
    if (opens := opening.opens_with()) is None:
        raise ValueError("--record is of no use: the app has no example picture to open with")
    bundle, example = opens
    shown = opening.EXAMPLES / example["file"]
    if folder != bundle or sha256(picture) != sha256(shown):
        raise ValueError(
            "--record keeps what the app opens with, and it would never show this run: record "
            f"{shown.name} with --task {bundle.parent.name} --backbone {bundle.name}"
        )


def run(args: argparse.Namespace) -> dict:
    """Return every exit's answer on one picture; with --record also keep a run."""
    model, picture = load(args), picture_of(args)
    if args.record:
        record(args, model, picture)
    model.trace(picture)  # warm-up: the first pass sets up kernels and memory
    logits = {}
    table = model.trace(picture, seen=logits)
    card = weights.card_of(args.task, args.backbone)
    said, speak = READ[model.task.metric], speaker(args.task, card)
    rows = [
        {
            "layer": r["layer"],
            "head": r["head"],
            "prediction": r["label"],
            said: r[said],
            **speak(place := (r["layer"], r["head"]), model.task.scores(logits[place]).tolist()),
            **{k: r[k] for k in ("ms", "macs", "practical")},
        }
        for r in table.to_dict("records")
    ]
    about = {"task": args.task, "backbone": args.backbone, **table.attrs}
    final = {k: v for k, v in rows.pop().items() if k not in ("head", "practical")}
    return about | {"exits": rows, "final": final} | unknown(model, card, logits)


def describe(result: dict) -> str:
    """The exits of one head, the best if there are several, with what the columns mean, and which
    model it is."""
    card = weights.card_of(result["task"], result["backbone"])
    heads = list(dict.fromkeys(e["head"] for e in result["exits"]))
    head = best_head(card, heads)
    own = [e for e in result["exits"] if e["head"] == head]
    lines = [
        f"What the exits of head {head} say of this picture, one behind each layer:",
        "",
        *answers([*own, result["final"]]),
        "",
        "ms and MACs (multiply-accumulates): what this exit costs alone, with the layers before it "
        f"({result['device']}, {result['dtype']}).",
        "*: a practical exit, better on the test set than every earlier exit of its head.",
        f"Model: {result['task']}/{result['backbone']}.{_watched(result['task'], card)}",
    ]
    if result.get("unlike"):
        lines.insert(0, f"{I_DO_NOT_KNOW}\n")
    if len(heads) > 1:
        others = ", ".join(h for h in heads if h != head)
        lines.append(
            f"No head is better on average than {head} at its cost; --head shows another "
            f"({others}), --json all {len(result['exits'])} early exits and the final one."
        )
    return "\n".join(lines)


def _watched(task: str, card: dict) -> str:
    """That the app's page Watch shows another model of this task, trained as a whole, if it is."""
    for name, other in weights.bundles():
        trained = name == task and weights.card_of(name, other).get("strategy")
        if trained == WHOLE != card.get("strategy"):
            return (
                " Its exits were trained apart from the backbone; the app's page Watch shows the "
                f"model trained as a whole: --backbone {other}"
            )
    return ""
