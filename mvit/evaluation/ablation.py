"""What `python -m mvit ablation` measured: what each way of joint training that came after the
paper gains and costs, by itself and all together."""

from __future__ import annotations

import json

import pandas as pd

from mvit.bundles import weights

ABLATION = "ablation.json"
BASE = "end-to-end"  # the paper's way, with which every other is compared


def ablation(task: str, card: dict) -> dict | None:
    """The file of a task and architecture (see mvit.training.ablation.compare); None if it was
    never measured, or is damaged.

    Its "rows" become a table, one row an exit: way, layer (the last one for the final exit), exit
    ("early" or "final"), accuracy, gain (against end-to-end training, in points; NaN where that has
    no such exit).
    """
    name = card.get("grown_from") or card["architecture"]
    try:
        found = json.loads((weights.root() / task / name / ABLATION).read_text())
        depth = max(len(row["layers"]) for row in found["rows"])
        rows = pd.DataFrame(
            [
                {"way": row["way"], "layer": layer, "exit": kind, "accuracy": float(accuracy)}
                for row in found["rows"]
                for layer, kind, accuracy in [
                    *((n, "early", a) for n, a in enumerate(row["layers"], 1)),
                    (depth, "final", row["final"]),
                ]
            ]
        )
        keys = ["exit", "layer"]
        base = rows[rows.way == BASE].set_index(keys).accuracy
        rows["gain"] = 100 * (rows.accuracy - base.reindex(rows.set_index(keys).index).to_numpy())
        return found | {"rows": rows, "depth": depth, "n": int(found["n"])}
    except (OSError, ValueError, KeyError, TypeError):
        return None
