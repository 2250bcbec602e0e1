"""Table I of a counter, as `python -m mvit table1 --task crowd` wrote it (see
mvit.training.table1_counts)."""

from __future__ import annotations

import json

import pandas as pd

from mvit.bundles import weights
from mvit.evaluation.paper import JOINT, TABLE1

NUMBERS = ["mae", "final", "gain", "gain_noise", "change", "change_noise"]


def count_table(task: str, card: dict) -> dict | None:
    """What was measured for a counter and architecture; None if nothing was, or it is damaged.

    Its "rows" become a table: strategy, head, mae (at the layer, in people), final, gain (how many
    people closer the exit is than the same head trained classifier-wise), gain_noise (how much of
    that could be chance, 95 %), change (of the final exit's error against the plain network's) and
    change_noise; "splits" another: strategy, head, set, mae, final.
    """
    try:
        place = weights.root() / task / (card.get("grown_from") or card["architecture"])
        found = json.loads((place / TABLE1).read_text())
        rows = pd.DataFrame(found["rows"])
        splits = [
            {"strategy": row["strategy"], "head": row["head"], "set": name} | errors
            for row in found["rows"]
            for name, errors in row["splits"].items()
        ]
        plain = float(found["plain"]["mae"])
        rows = rows[["strategy", "head", *NUMBERS]].astype(dict.fromkeys(NUMBERS, float))
        return found | {"rows": rows, "splits": pd.DataFrame(splits), "plain": plain}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def joint(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows of the strategies in which the backbone learns too."""
    return rows[rows.strategy.isin(JOINT)].reset_index(drop=True)


def decided(gain: float, noise: float) -> int:
    """What a difference says: 1 better, -1 worse, 0 for one that could be chance."""
    return 0 if abs(gain) <= noise else 1 if gain > 0 else -1
