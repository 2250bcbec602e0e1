"""`python -m mvit bench`: measure what exits cost and save on this machine."""

from __future__ import annotations

import argparse

from mvit.bench import report
from mvit.cli.answer import load

add_arguments, describe = report.add_arguments, report.describe


def run(args: argparse.Namespace) -> dict:
    """Do it with the model that the common options name."""
    return report.run(args, load(args))
