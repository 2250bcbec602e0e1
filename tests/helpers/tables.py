"""A Table I for tests, as `python -m mvit table1` writes it."""

import json
from pathlib import Path

from bundles import BACKBONE

from mvit.evaluation import paper


def write_table1(
    weights: Path, changes: tuple[float, float], heads: tuple[str, str] = ("mlp", "vit")
) -> None:
    """Two heads whose final exits change by `changes` layer-wise and end-to-end, in points."""
    rows = [
        {
            "strategy": "classifier-wise",
            "head": h,
            "accuracy": 0.8,
            "final": 0.9,
            "change": 0.0,
            "seconds": 1,
        }
        for h in heads
    ]
    for strategy, change in zip(("layer-wise", "end-to-end"), changes, strict=True):
        rows += [
            {
                "strategy": strategy,
                "head": h,
                "accuracy": 0.85,
                "final": 0.9 + change / 100,
                "change": change + more,
                "seconds": 1,
            }
            for h, more in zip(heads, (0.1, -0.1), strict=True)
        ]
    found = {
        "task": "cifar10",
        "layer": 6,
        "n": 10_000,
        "budget": {"images": 9600, "px": 96},
        "init": "start",
        "plain": {"accuracy": 0.9},
        "rows": rows,
        "missing": 0,
    }
    (weights / "cifar10" / BACKBONE / paper.TABLE1).write_text(json.dumps(found))
