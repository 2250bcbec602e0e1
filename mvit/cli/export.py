"""`python -m mvit export`: write the network truncated at one exit."""

from __future__ import annotations

import argparse

from mvit.bundles import export
from mvit.cli.answer import load

add_arguments, describe = export.add_arguments, export.describe


def run(args: argparse.Namespace) -> dict:
    """Do it with the model that the common options name."""
    return export.run(args, load(args))
