"""What the page "Compare heads" tells of one picture: a table of every head at every layer, and its
findings in sentences."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from mvit.charts.style import RIGHT, UNKNOWN, WRONG, light_cells, macs_text, plain_label
from mvit.models.multi_exit import FINAL, Exit, MultiExitViT

AGREES, FITS, DIFFERS = "the final answer", "an answer that fits it", "another answer"
OWN = "layer head label guess confidence unsure practical macs".split()


def comparison(
    model: MultiExitViT, runs: Sequence[Sequence[Exit]], said: Sequence[Exit], *, truth: str | None
) -> pd.DataFrame:
    """All exits on one picture, one row each, ready for the charts: layer, head, label, guess,
    confidence, unsure, practical, macs; ms, head_ms, own_macs, macs_text, verdict, agrees,
    agreement, answer, light.

    runs: what `MultiExitViT.traced` gave, several times; said: the first of them, where they say no
    more than they are sure of. ms: the layers before an exit and its own head, each by its median
    over the runs, so that heads behind one layer differ by their own times only. agrees: whether it
    is the final exit's answer. own_macs: of the head alone.
    """
    rows = pd.DataFrame([{name: getattr(e, name) for name in OWN} for e in said])
    times = pd.DataFrame(
        [(i, e.layer, e.ms - e.head_ms, e.head_ms) for run in runs for i, e in enumerate(run)],
        columns=["exit", "layer", "layers_ms", "head_ms"],
    )
    rows["head_ms"] = times.groupby("exit").head_ms.median()
    rows["ms"] = rows.layer.map(times.groupby("layer").layers_ms.median()) + rows.head_ms
    final = said[-1]
    rows["agrees"] = rows.label == final.label
    rows["agreement"] = [
        AGREES if e.label == final.label else FITS if e.fits(final) else DIFFERS for e in said
    ]
    known = {True: RIGHT, False: WRONG, None: UNKNOWN}
    rows["verdict"] = [known[e.right(truth)] for e in said]
    rows["answer"] = rows.label.map(plain_label)
    rows["guess"] = rows.guess.map(plain_label)
    rows["light"] = light_cells(rows.confidence)
    rows["own_macs"] = [
        model.head_macs(*place) for place in zip(rows.layer, rows["head"], strict=True)
    ]
    rows["macs_text"] = rows.macs.map(macs_text)
    return rows


def keeps(rows: pd.DataFrame, head: str) -> int | None:
    """The first layer from which on this head gives the final answer at every layer; None if it
    does not end with it. rows: as `comparison` gives them."""
    own, since = rows[rows["head"] == head], None
    for layer, agrees in zip(own.layer, own.agrees, strict=True):
        since = (since or int(layer)) if agrees else None
    return since


def agreement(rows: pd.DataFrame) -> str:
    """The heat map's finding in one sentence. rows: as `comparison` gives them."""
    final, exits = rows[rows["head"] == FINAL].iloc[0], rows[rows["head"] != FINAL]
    if final.unsure:
        return (
            f"The final exit is not sure of anything, nor are {int(exits.unsure.sum())} of "
            f"{len(exits)} other exits"
        )
    if not exits.agrees.any():
        return f"No exit says '{final.answer}', as the final exit does"
    share = f"{int(exits.agrees.sum())} of {len(exits)} exits say '{final.answer}', as the final"
    since = {h: keeps(rows, h) for h in dict.fromkeys(exits["head"])}
    known = [b for b in since.values() if b is not None]
    if not known:
        return f"{share} exit does; no head says so until the end"
    first = [h for h, b in since.items() if b == min(known)]
    who = " and ".join(first) if len(first) < 3 else f"{len(first)} of {len(since)} heads"
    verb = "settles" if len(first) == 1 else "settle"
    when = " first," if len(since) > 1 else ""
    return f"{share} exit does; {who} {verb} on it{when} from layer {min(known)} on"


def _work(macs: float) -> str:
    if macs >= 1e8:  # of a large network's head
        return f"{macs / 1e6:,.0f} million MACs"
    return f"{macs / 1e6:.3g} million MACs" if macs >= 1e6 else f"{macs / 1e3:.3g} thousand MACs"


def dearest(rows: pd.DataFrame, layer: int, what: str) -> str:
    """The cost chart's finding: the cheapest and the dearest head after one layer, which have the
    shortest and the longest bar, or the only one. what: "ms" or "macs"."""
    own = rows[(rows.layer == layer) & (rows["head"] != FINAL)]
    column = {"ms": "head_ms", "macs": "own_macs"}[what]
    low, high = own.loc[own[column].idxmin()], own.loc[own[column].idxmax()]
    show = {"ms": lambda ms: f"{ms:.2f} ms", "macs": _work}[what]
    least, most = show(low[column]), show(high[column])
    if len(own) == 1:
        return f"After layer {layer} the head {low['head']} adds {least} to the layers before it"
    return (
        f"After layer {layer} the cheapest head is {low['head']}, which adds {least} to the layers "
        f"before it; the dearest is {high['head']}, which adds {most}"
    )
