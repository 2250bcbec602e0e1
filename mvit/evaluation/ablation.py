"""What `python -m mvit ablation` measured: what each way of joint training that came after the
paper gains and costs, by itself and all together."""

from __future__ import annotations

import json

import pandas as pd

from mvit.bundles import weights
from mvit.evaluation.paper import chance

ABLATION = "ablation.json"
BASE = "end-to-end"  # the paper's way, with which every other is compared


def ablation(task: str, card: dict) -> dict | None:
    """The file of a task and architecture as a table (see `table`); None if it was never measured,
    or is damaged."""
    name = card.get("grown_from") or card["architecture"]
    try:
        return table(json.loads((weights.root() / task / name / ABLATION).read_text()))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def table(found: dict) -> dict:
    """What mvit.training.ablation.compare gave, with "depth", and its "rows" as a table.

    One row an exit: way, layer (the last one for the final exit), exit ("early" or "final"),
    accuracy, gain (against end-to-end training, in points; NaN where that has no such exit), chance
    (how large a gain could be by chance, in points). Raises KeyError, TypeError or ValueError if
    something is missing.
    """
    depth, n = max(len(row["layers"]) for row in found["rows"]), int(found["n"])
    rows = pd.DataFrame(
        [
            {"way": row["way"], "layer": layer, "exit": kind, "accuracy": float(accuracy)}
            for row in found["rows"]
            for layer, kind, accuracy in [
                *((number, "early", a) for number, a in enumerate(row["layers"], 1)),
                (depth, "final", row["final"]),
            ]
        ]
    )
    keys = ["exit", "layer"]
    base = rows[rows.way == BASE].set_index(keys).accuracy
    base = base.reindex(rows.set_index(keys).index).to_numpy()
    rows["gain"] = 100 * (rows.accuracy - base)
    rows["chance"] = [chance(share, n) for share in (rows.accuracy + base) / 2]
    return found | {"rows": rows, "depth": depth, "n": n}


def early_exits(rows: pd.DataFrame) -> pd.DataFrame:
    """What each way but the paper's does to its early exits on average, the best first: way, gain,
    chance (points).

    All exits answer the same pictures, so their errors do not cancel out as independent ones would:
    the mean of their chances is the most that the mean gain could be by chance.
    """
    early = rows[(rows.exit == "early") & (rows.way != BASE) & rows.gain.notna()]
    means = early.groupby("way", sort=False)[["gain", "chance"]].mean().reset_index()
    return means.sort_values("gain", ascending=False, kind="stable", ignore_index=True)
