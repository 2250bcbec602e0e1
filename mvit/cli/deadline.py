"""`python -m mvit deadline`: interrupt a real run and print the latest answer."""

from __future__ import annotations

import argparse
import math
import shlex
import sys

from mvit.bundles import weights
from mvit.charts.text import plain_label, sure_words
from mvit.cli.answer import READ, load, picture_of, speaker
from mvit.inference.deadline import LONGEST_MS, answer_by
from mvit.models.exit import FINAL
from mvit.policies.plans import best_head

WAKE_MS = 20  # until an idle thread works, on a machine that does other things too


def add_arguments(sub: argparse.ArgumentParser) -> None:
    """The options of `deadline`."""
    sub.add_argument("image")
    sub.add_argument("--ms", type=float, required=True, help="the deadline in milliseconds")


def run(args: argparse.Namespace) -> dict:
    """Return the latest answer when the clock runs out."""
    model, picture = load(args), picture_of(args)
    head = args.head or best_head(weights.card_of(args.task, args.backbone), list(model.heads))
    plan = model.practical(head)
    for _ in model.run(picture, plan):  # warm-up
        pass
    answer = answer_by(model, picture, args.ms, plan=plan)
    if not args.json and not answer.ready:
        print(f"{answer.message}; try: {longer(args, answer.first_ms)}", file=sys.stderr)
    found, said = answer.exit, READ[model.task.metric]
    fields = {"layer": "layer", "head": "head", "prediction": "label", said: said}
    speak = speaker(args.task, weights.card_of(args.task, args.backbone))
    spoken = {} if found is None else speak((found.layer, found.head), found.scores)
    return {
        "deadline_ms": answer.deadline_ms,
        "answered_ms": answer.answered_ms,
        **{name: None if found is None else getattr(found, of) for name, of in fields.items()},
        **spoken,
        "ready": answer.ready,
    }


def longer(args: argparse.Namespace, first_ms: float) -> str:
    """The same command with twice the time that the first exit needs and a little more, rounded up,
    since the machine may be slower the next time and a thread takes a moment to wake."""
    needed = 2 * max(first_ms, args.ms) + WAKE_MS
    step = 10 ** (math.floor(math.log10(needed)) - 1)  # two digits
    ms = min(LONGEST_MS, math.ceil(needed / step) * step)
    usual = {"task": "cifar10", "backbone": weights.default_backbone(args.task), "device": "auto"}
    usual |= {"head": None, "dtype": "float32", "engine": "auto"}
    more = [f"--{name}={vars(args)[name]}" for name in usual if vars(args)[name] != usual[name]]
    return shlex.join(["python", "-m", "mvit", "deadline", args.image, f"--ms={ms:g}", *more])


def describe(result: dict) -> str:
    """The answer in hand at the deadline, from which exit, and when it was ready."""
    deadline = f"{result['deadline_ms']:g} ms"
    if not result["ready"]:
        return "prediction: no answer yet"
    if "count" in result:
        said = f"{max(result['count'], 0):.0f} people"
    else:
        word = plain_label(str(result.get("says", result["prediction"])))
        sure = sure_words(result.get("sure", result["confidence"]), result.get("unsure", False))
        said = f"{word}, {sure}"
    where = f"the {result['head']} exit after layer {result['layer']}"
    where = "the final exit" if result["head"] == FINAL else where
    return (
        f"prediction: {said}, by {where}\n"
        f"in hand after {result['answered_ms']:.1f} ms; the deadline was {deadline}"
    )
