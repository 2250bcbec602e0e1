"""`python -m mvit export`: write the network truncated at one exit."""

from __future__ import annotations

import argparse

from mvit.bundles import export, weights
from mvit.cli.answer import load
from mvit.models.exit import FINAL
from mvit.policies.plans import best_head

add_arguments, describe = export.add_arguments, export.describe


def run(args: argparse.Namespace) -> dict:
    """Do it with the model that the common options name, and without --head with its best head, or
    after the last layer with the final exit."""
    model = load(args)
    best = best_head(weights.card_of(args.task, args.backbone), list(model.heads))
    args.head = args.head or (FINAL if args.exit == model.depth else best)
    return export.run(args, model)
