"""What a stop rule does to the test set: accuracy against cost, and who leaves where."""

from __future__ import annotations

import numpy as np
import pandas as pd
from streamlit.column_config import NumberColumn

from mvit.charts import rules as draw
from mvit.charts.tradeoff import CHOSEN, YOURS, tradeoff
from mvit.policies import outcomes
from mvit.policies.outcomes import Operating
from mvit.policies.policy import Policy
from pages import parts as ui
from pages.parts import columns
from pages.parts import recorded as recordings
from pages.parts.rules.prepared import Replay
from pages.parts.timeline.runs import place_name
from pages.parts.words import percent

COLUMNS = {
    **columns.INTERVAL,
    "accuracy": columns.share(help="Share of the test pictures with a right answer."),
    "macs": columns.macs("mean MACs"),
    "ms": NumberColumn("mean ms", format="%.2f", help="From the exits' times on this machine."),
    "early": columns.share("leave early", help="Share that leaves before the final exit."),
}

SHARES = {name: columns.share(help="Of all test pictures.") for name in ("share", "right", "wrong")}


def without_predictions(bundle: ui.Bundle, head: str, rule: type[Policy], measured: dict) -> None:
    """What the card and this machine's clock can tell: the price and accuracy of always leaving at
    one exit."""
    fixed = recordings.fixed_exits(bundle, head, measured["trace"])
    if fixed.empty:
        return
    best = fixed.iloc[fixed.accuracy.idxmax()]
    finding = (
        f"Always leaving at one exit: the best is {best.exit}, {percent(best.accuracy, 1)} right "
        f"after {best.ms:.1f} ms"
    )
    none = fixed.assign(threshold=0.0, what="").iloc[:0]
    figure = tradeoff(
        none,
        fixed,
        none,
        final=float(fixed.accuracy.iloc[-1]),
        cost="macs",
        rule=rule,
        finding=finding,
    )
    ui.chart(figure, alt=finding)
    n = bundle.card.get("n")
    ui.table(columns.with_intervals(fixed, n) if n else fixed, column_config=COLUMNS)
    ui.export("rules", fixed, bundle, settings={"head": head, "predictions": "none recorded"})


def show_tradeoff(
    replay: Replay, curve: pd.DataFrame, fixed: pd.DataFrame, here: Operating, cost: str
) -> None:
    """Accuracy against cost, with the two marked thresholds."""
    rule, chosen = replay.rule, replay.chosen
    marks = [(CHOSEN, chosen)] * (chosen is not None) + [(YOURS, here)]
    names = ("threshold", "accuracy", "macs", "ms")
    points = pd.DataFrame([{"what": w} | {n: getattr(o, n) for n in names} for w, o in marks])
    share = getattr(here, cost) / fixed[cost].iloc[-1]
    what = "MACs" if cost == "macs" else "time"
    overrun = ", which it overruns" if rule.at(here.threshold).overrun else ""
    finding = (
        f"{rule.title} {rule.told(here.threshold)}{overrun}: {percent(here.accuracy, 1)} right for "
        f"{percent(share)} of the final exit's {what}"
    )
    figure = tradeoff(
        curve,
        fixed,
        points,
        final=float(replay.test.accuracy[-1]),
        cost=cost,
        rule=rule,
        finding=finding,
    )
    ui.chart(figure, alt=f"Accuracy against cost. {finding}.")
    name = rule.in_unit("threshold")
    own = {"threshold": NumberColumn(name, format="%.4f", help=rule.meaning)}
    rows = columns.with_intervals(curve, len(here.taken))
    ui.table(rows, column_config=COLUMNS | own)


def show_leaving(here: Operating) -> None:
    """Who leaves where."""
    rows = outcomes.leaving(here.taken, here.seen)
    finding = leaving_finding(rows, here.early)
    ui.chart(draw.leaving(rows, finding), alt=f"Share of pictures by exit. {finding}.")
    ui.table(rows, column_config=SHARES)


def leaving_finding(rows: pd.DataFrame, early: float) -> str:
    """Where pictures leave, in a sentence. rows: layer, head, share; early: the share before the
    end."""
    top = rows.iloc[rows.share.idxmax()]
    half = rows.iloc[int(np.searchsorted(rows.share.cumsum(), 0.5 - 1e-9))]
    by, at = (place_name(row.layer, row["head"]) for row in (half, top))
    if percent(top.share) == percent(1):
        return f"{'All' if top.share == 1 else 'Nearly all'} pictures leave at {at}"
    # where most of all pictures leave, half have left too
    left = "" if top.share > 0.5 else f". Half of all pictures have left after {by}"
    most = f"most leave at {at}: {percent(top.share)}"
    if top.share <= 0.5:
        most = f"the largest share, {percent(top.share)}, leaves at {at}"
    return f"{percent(early)} leave before the end{left}; {most}"
