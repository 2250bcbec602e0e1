"""What Table I holds beyond its cells: the same trainings of another seed, and other beginnings of
layer-wise training's last step (see mvit.training.table1, mvit.training.last_step)."""

from __future__ import annotations

from contextlib import suppress

import numpy as np
import pandas as pd

from mvit.evaluation.paper import ALONE, JOINT

HERE = ["strategy", "head"]


def repeats(table: dict, value: str) -> pd.DataFrame:
    """The trainings that were done with other seeds too: strategy, head, first and again, a list of
    the same figure of other seeds. value: the figure's name in the rows, `accuracy` or `mae`. Empty
    if there are none."""
    found = []
    with suppress(KeyError, TypeError):
        found = [row for other in table.get("again", []) for row in other["rows"]]
        first = pd.DataFrame(table["rows"]).set_index(HERE)[value]
        rows = pd.DataFrame(found).groupby(HERE, sort=False)[value].agg(list).rename("again")
        rows = rows.to_frame().join(first.rename("first"), how="inner").reset_index()
        return rows[[*HERE, "first", "again"]]
    return pd.DataFrame(columns=[*HERE, "first", "again"])


def gains(table: dict, strategy: str, head: str) -> list[tuple[float, float]]:
    """By how many points an exit was better than the same head classifier-wise with each other
    seed, and how much of that could be chance."""
    with suppress(KeyError, TypeError):
        return [
            (float(row["gain"]), float(row["gain_noise"]))
            for other in table.get("again", [])
            for row in other["rows"]
            if (row["strategy"], row["head"]) == (strategy, head)
        ]
    return []


def same_side(rows: pd.DataFrame) -> tuple[int, int]:
    """Of the trainings of `repeats` in which the backbone learns too, how many came out on one side
    of classifier-wise training of the same head with every seed, and how many there are."""
    figures = {
        (r.head, r.strategy): np.array([r.first, *r.again]) for r in rows.itertuples(index=False)
    }
    apart = [
        np.sign(own - figures[head, ALONE])
        for (head, strategy), own in figures.items()
        if strategy in JOINT and len(figures.get((head, ALONE), ())) == len(own)
    ]
    return sum(len(set(signs)) == 1 for signs in apart), len(apart)


def last_steps(table: dict) -> tuple[pd.DataFrame, float, int] | None:
    """The final exit by what the last layers of layer-wise training began from: a row a head, a
    column a beginning; the plain network's; and the seed of both, the table's own if it was tried
    with that, else the first other. None if this was not tried, or is damaged."""
    with suppress(KeyError, TypeError, AttributeError, ValueError):
        tables = [table, *table.get("again", [])]
        if tried := [t for t in tables if t.get("last_steps")]:
            rows = pd.DataFrame(tried[0]["last_steps"])
            heads, begins = rows["head"].unique(), rows["begins"].unique()
            found = rows.pivot(index="head", columns="begins", values="final")
            plain = tried[0]["plain"]
            plain = next(iter(plain.values())) if isinstance(plain, dict) else plain
            seed = int(tried[0].get("budget", {}).get("seed", 0))
            return found.reindex(index=heads, columns=begins), float(plain), seed
    return None
