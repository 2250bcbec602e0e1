"""`python -m mvit ablation`: joint training since the paper, part by part."""

from __future__ import annotations

import argparse

from mvit.cli import options
from mvit.cli.train import run_ablation

run = run_ablation


def add_arguments(sub: argparse.ArgumentParser) -> None:
    """The options of `ablation`."""
    options.add_arguments(sub, {"ablation"})
