"""What a stop rule does to the test set: accuracy against cost, who leaves where, and which
pictures are easy."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import streamlit as st

from mvit.charts import rules as draw
from mvit.charts.style import macs_text
from mvit.charts.tradeoff import CHOSEN, YOURS, tradeoff
from mvit.evaluation.predictions import wilson
from mvit.policies import outcomes, rules
from mvit.policies.outcomes import Operating
from mvit.policies.policy import Policy
from mvit.policies.replay import leaves_at
from pages import parts as ui
from pages.parts import pictures
from pages.parts import recorded as recordings
from pages.parts.rules.prepared import Replay
from pages.parts.timeline.runs import place_name
from pages.parts.words import WORDS, exit_list, percent


def interval(share: float, n: int, digits: int = 1) -> str:
    """The 95 % interval of a share of n pictures, in words."""
    low, high = wilson(share * n, n)
    return f"{percent(float(low), digits)} and {percent(float(high), digits)}"


def with_intervals(rows: pd.DataFrame, n: int | pd.Series) -> pd.DataFrame:
    """A table with the 95 % interval of its accuracy, of n pictures (one number, or one a row),
    beside it: low, high."""
    low, high = wilson(rows.accuracy * n, n)
    at = list(rows).index("accuracy") + 1
    rows = rows.copy()
    rows.insert(at, "low", low)
    rows.insert(at + 1, "high", high)
    return rows


LOW, HIGH = (
    f"The {end} of the 95 % interval (Wilson): how far chance alone may have moved the accuracy."
    for end in ("lower end", "upper end")
)


def share_column(label: str | None, help: str):
    return st.column_config.NumberColumn(label, format="percent", help=help)


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
    ui.table(with_intervals(fixed, n) if n else fixed)
    ui.export("rules", fixed, bundle, settings={"head": head, "predictions": "none recorded"})


def show_numbers(
    bundle: ui.Bundle,
    replay: Replay,
    here: Operating,
    chosen: Operating | None,
    *,
    drop: float,
    plain: float,
) -> None:
    """The rule in four numbers, and the exits that run."""
    final, full = float(replay.test.accuracy[-1]), bundle.model.exit_macs(*bundle.model.final_exit)
    with st.container(horizontal=True):
        st.metric(
            "Right",
            percent(here.accuracy, 2),
            f"{100 * (here.accuracy - final):+.2f} points against the final exit",
            help="Share of the test pictures that get a right answer under this rule. With so many "
            f"pictures, the true share lies between {interval(here.accuracy, len(here.taken), 2)} "
            "with 95 % certainty (Wilson's interval).",
        )
        st.metric(
            "Average MACs",
            macs_text(here.macs),
            f"{100 * (here.macs / full - 1):+.0f} % against the plain network",
            "inverse",
            help=f"{WORDS['macs']} All heads on the way are counted.",
        )
        st.metric(
            "Expected time",
            f"{here.ms:.1f} ms",
            f"{100 * (here.ms / plain - 1):+.0f} % against the plain network",
            "inverse",
            help="Mean over the test pictures, from each exit's time on this machine.",
        )
        if chosen is None:
            value, said = "none", f"no threshold keeps within {drop:g} points"
        else:
            finite = np.isfinite(chosen.threshold)
            value = replay.rule.format % chosen.threshold if finite else "never leave"
            # the slider stands at the rounded threshold, so that is the one to tell the loss of
            shown = replay.rule.format % here.threshold == value
            lost = 100 * (final - (here if shown else chosen).accuracy)
            said = f"allowed {drop:g}, {'lost' if lost >= 0 else 'gained'} {abs(lost):.2f} on test"
        st.metric(
            "Validation's choice",
            value,
            said,
            "off",
            delta_arrow="off",
            help=f"The cheapest threshold that loses at most {drop:g} points on "
            f"{len(replay.val.truth):,} validation pictures, and the points that it then loses on "
            "the test pictures, which did not choose it.",
        )
    saved = f"{_times(full, here.macs)} computing (MACs) and {_times(plain, here.ms)} time"
    change = 100 * (final - here.accuracy)
    st.markdown(
        f"**Against the plain network this rule takes {saved}, and "
        f"{'loses' if change >= 0 else 'gains'} {abs(change):.2f} points on the test pictures.**"
    )
    least = replay.rule.fewest
    none = len(replay.plan) <= least
    why = f" With {replay.rule.title} no early exit pays within this allowance." if none else ""
    scaled = ""
    if replay.temperatures:
        each = ", ".join(f"{t:.2f}" for t in replay.temperatures.values())
        scaled = f" Confidences are scaled, with temperatures {each}."
    exits = exit_list(replay.plan)
    st.caption(f"Exits that run: {exits}.{scaled}{why} {replay.rule.note}".strip())


def _times(plain: float, own: float) -> str:
    """How many times less, or more, than the plain network."""
    return f"{plain / own:.2f} times less" if own <= plain else f"{own / plain:.2f} times more"


def show_tradeoff(
    replay: Replay,
    curve: pd.DataFrame,
    fixed: pd.DataFrame,
    here: Operating,
    chosen: Operating | None,
    cost: str,
) -> None:
    """Accuracy against cost, with the two marked thresholds."""
    rule = replay.rule
    marks = [(CHOSEN, chosen)] * (chosen is not None) + [(YOURS, here)]
    names = ("threshold", "accuracy", "macs", "ms")
    points = pd.DataFrame([{"what": w} | {n: getattr(o, n) for n in names} for w, o in marks])
    share = getattr(here, cost) / fixed[cost].iloc[-1]
    what = "MACs" if cost == "macs" else "time"
    finding = (
        f"{rule.title} {here.threshold:g}: {percent(here.accuracy, 1)} right for {percent(share)} "
        f"of the final exit's {what}"
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
    number = st.column_config.NumberColumn
    ui.table(
        with_intervals(curve, len(here.taken)),
        column_config={
            "low": share_column(None, LOW),
            "high": share_column(None, HIGH),
            "threshold": number(format="%.4f", help=rule.meaning),
            "accuracy": share_column(None, "Share of the test pictures with a right answer."),
            "macs": number("mean MACs", format="compact", help=WORDS["macs"]),
            "ms": number("mean ms", format="%.2f", help="From the exits' times on this machine."),
            "early": share_column("leave early", "Share that leaves before the final exit."),
        },
    )


def show_leaving(here: Operating) -> None:
    """Who leaves where."""
    rows = outcomes.leaving(here.taken, here.seen)
    top = rows.iloc[rows.share.idxmax()]
    half = rows.iloc[int(np.searchsorted(rows.share.cumsum(), 0.5 - 1e-9))]
    by, at = (place_name(row.layer, row["head"]) for row in (half, top))
    finding = (
        f"{percent(here.early)} leave before the end. Half of all pictures have left after {by}; "
        f"most leave at {at}: {percent(top.share)}"
    )
    ui.chart(draw.leaving(rows, finding), alt=f"Share of pictures by exit. {finding}.")
    ui.table(rows)


def show_photos(bundle: ui.Bundle, replay: Replay, here: Operating, head: str) -> None:
    """What the rule saves on the lab's example photos, just run: they are sharper than the test
    pictures, and leave later."""
    photos = [pictures.shown(ui.examples(bundle.task), name) for name in ui.examples(bundle.task)]
    if not photos:
        return

    def work(model) -> dict:
        return {"exits": [list(model.run(p.pixels, model.plan(head))) for p in photos]}

    with st.spinner("Running the exits on the example photos …", show_time=True):
        run = ui.measured("rule_photos", bundle, (head, len(photos)), work=work)
    spent = []
    for exits in run["exits"]:
        own = {(e.layer, e.head): e for e in exits}
        # the time that this plan takes, without the exits that it leaves out
        path = [
            replace(own[e], elapsed_ms=float(ms))
            for e, ms in zip(replay.plan, replay.ms, strict=True)
        ]
        spent.append(replay.macs[leaves_at(replay.live(here.threshold), path)])
    full = bundle.model.exit_macs(*bundle.model.final_exit)
    saved, usual = 1 - np.mean(spent) / full, 1 - here.macs / full
    harder = " These photos are sharper than the test pictures, and leave later."
    st.markdown(
        f"**On the lab's {len(photos)} example photos, run on this machine, the same rule saves "
        f"{percent(saved)} of the work; on the test pictures {percent(usual)}.**"
        f"{harder if saved < usual else ''}"
    )


def show_code(bundle: ui.Bundle, replay: Replay, threshold: float) -> None:
    """The rule as a program to copy."""
    rule = replay.live(threshold)
    with st.expander("This rule as Python", icon=":material/code:"):
        st.code(code(bundle.task, bundle.backbone, replay.plan, rule=rule), language="python")


def code(task: str, backbone: str, plan: list[tuple[int, str]], rule: Policy) -> str:
    """A program that runs a rule along a plan on one picture, photo.jpg."""
    homes: dict[str, list[str]] = {}
    for kind in dict.fromkeys(_kinds(rule)):
        known = getattr(rules, kind.__name__, None) is kind
        homes.setdefault(rules.__name__ if known else kind.__module__, []).append(kind.__name__)
    lines = "\n".join(f"from {home} import {', '.join(names)}" for home, names in homes.items())
    return f"""import mvit
{lines}

model = mvit.load("{task}", "{backbone}")
image = mvit.images.read_image(open("photo.jpg", "rb").read())
rule = {rule!r}
for exit in model.run(image, plan={plan}):
    if rule.stop(exit):
        break
answer = rule.answer(exit)
print(answer.label, f"{{answer.confidence:.0%}} sure, after layer {{exit.layer}}")
"""


def _kinds(rule: Policy) -> list[type[Policy]]:
    """The class of a rule, and those of the rules inside it."""
    inner = [kind for v in vars(rule).values() if isinstance(v, Policy) for kind in _kinds(v)]
    return [type(rule), *inner]
