"""`python -m mvit verify`: check the weights."""

from __future__ import annotations

import argparse

from mvit.bundles import weights
from mvit.bundles.offers import grown
from mvit.evaluation.intact import verify


def add_arguments(sub: argparse.ArgumentParser) -> None:
    """`verify` has the common options alone."""


def run(args: argparse.Namespace) -> dict:
    """Check every file of every bundle, or of those that are named; "grown" names what `load` grows
    from one of them."""
    found = verify(args.task, args.backbone)
    checked = {(b["task"], b["backbone"]) for b in found}
    return {
        "root": weights.root().name,
        "ok": bool(found) and all(b["ok"] for b in found),
        "bundles": found,
        "grown": [
            {"task": task, "backbone": backbone, "from": small}
            for (task, backbone), small in grown().items()
            if {(task, backbone), (task, small)} & checked
        ],
    }


def describe(result: dict) -> str:
    """A line for each bundle: intact, or which file is not and why; then what is grown from one."""
    lines = [
        f"{b['task']}/{b['backbone']}: {'every file is intact' if b['ok'] else b['reason']}"
        for b in result["bundles"]
    ]
    lines += [
        f"{g['task']}/{g['backbone']}: grown from {g['from']} at load, without files of its own"
        for g in result["grown"]
    ]
    return "\n".join(lines)
