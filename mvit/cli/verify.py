"""`python -m mvit verify`: check the weights."""

from __future__ import annotations

import argparse

from mvit.bundles import weights


def add_arguments(sub: argparse.ArgumentParser) -> None:
    """`verify` has the common options alone."""


def run(args: argparse.Namespace) -> dict:
    """Check every file of every bundle, or of those that are named."""
    found = weights.verify(args.task, args.backbone)
    return {
        "root": weights.root().name,
        "ok": bool(found) and all(b["ok"] for b in found),
        "bundles": found,
    }


def describe(result: dict) -> str:
    """A line for each bundle: intact, or which file is not and why."""
    return "\n".join(
        f"{b['task']}/{b['backbone']}: {'every file is intact' if b['ok'] else b['reason']}"
        for b in result["bundles"]
    )
