"""`python -m mvit table1`: the paper's Table I."""

from __future__ import annotations

import argparse

from mvit.cli import options
from mvit.cli.train import run_table1

run = run_table1


def add_arguments(sub: argparse.ArgumentParser) -> None:
    """The options of `table1`."""
    options.add_arguments(sub, options.TABLE)
