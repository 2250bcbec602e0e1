"""What a stop rule does to the test set: accuracy against cost, who leaves where, and which
pictures are easy."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import streamlit as st

from mvit.charts import rules as draw
from mvit.charts.style import macs_text, plain_label
from mvit.policies import outcomes
from mvit.policies.outcomes import Operating
from mvit.policies.policy import Policy
from mvit.policies.replay import leaves_at
from pages import parts as ui
from pages.parts import pictures
from pages.parts import recorded as recordings
from pages.parts.rules.choice import Replay
from pages.parts.words import WORDS, exit_list, percent

GROUPS = (
    "Right for good from the first third of the layers on (easy), the second (middling), only the "
    "last (hard), or not at all."
)


def _percent_column(label: str | None, help: str):
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
    figure = draw.tradeoff(
        none,
        fixed,
        none,
        final=float(fixed.accuracy.iloc[-1]),
        cost="macs",
        rule=rule,
        finding=finding,
    )
    ui.chart(figure, alt=finding)
    ui.table(fixed)
    ui.export("rules", fixed, bundle, {"head": head, "predictions": "none recorded"})


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
            help="Share of the test pictures that get a right answer under this rule.",
        )
        st.metric(
            "Average MACs",
            macs_text(here.macs),
            f"{100 * (here.macs / full - 1):+.0f} % against the plain backbone",
            "inverse",
            help=f"{WORDS['macs']} All heads on the way are counted.",
        )
        st.metric(
            "Expected time",
            f"{here.ms:.1f} ms",
            f"{100 * (here.ms / plain - 1):+.0f} % against the plain backbone",
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
    least = replay.rule.fewest
    none = len(replay.plan) <= least
    why = f" With {replay.rule.title} no early exit pays within this allowance." if none else ""
    st.caption(f"Exits that run: {exit_list(replay.plan)}.{why} {replay.rule.note}".strip())


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
    marks = [(draw.CHOSEN, chosen)] * (chosen is not None) + [(draw.YOURS, here)]
    names = ("threshold", "accuracy", "macs", "ms")
    points = pd.DataFrame([{"what": w} | {n: getattr(o, n) for n in names} for w, o in marks])
    share = getattr(here, cost) / fixed[cost].iloc[-1]
    what = "MACs" if cost == "macs" else "time"
    finding = (
        f"{rule.title} {here.threshold:g}: {percent(here.accuracy, 1)} right for {percent(share)} "
        f"of the final exit's {what}"
    )
    figure = draw.tradeoff(
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
        curve,
        column_config={
            "threshold": number(format="%.4f", help=rule.meaning),
            "accuracy": _percent_column(None, "Share of the test pictures with a right answer."),
            "macs": number("mean MACs", format="compact", help=WORDS["macs"]),
            "ms": number("mean ms", format="%.2f", help="From the exits' times on this machine."),
            "early": _percent_column("leave early", "Share that leaves before the final exit."),
        },
    )


def show_leaving(here: Operating) -> None:
    """Who leaves where."""
    rows = outcomes.leaving(here.taken, here.seen)
    top = rows.iloc[rows.share.idxmax()]
    half = rows.exit[int(np.searchsorted(rows.share.cumsum(), 0.5 - 1e-9))]
    finding = (
        f"{percent(here.early)} leave before the end, half of all by exit {half}; most at "
        f"{top.exit}: {percent(top.share)}"
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
        run = ui.measured("rule_photos", bundle, (head, len(photos)), work)
    spent = []
    for exits in run["exits"]:
        own = {(e.layer, e.head): e for e in exits}
        # the time that this plan takes, without the exits that it leaves out
        path = [
            replace(own[e], elapsed_ms=float(ms))
            for e, ms in zip(replay.plan, replay.ms, strict=True)
        ]
        spent.append(replay.macs[leaves_at(replay.rule.at(here.threshold), path)])
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
    rule = replay.rule.at(float(threshold))
    with st.expander("This rule as Python", icon=":material/code:"):
        st.code(code(bundle.task, bundle.backbone, replay.plan, rule), language="python")


def code(task: str, backbone: str, plan: list[tuple[int, str]], rule: Policy) -> str:
    """A program that runs a rule along a plan on one picture, photo.jpg."""
    names = ", ".join(dict.fromkeys([type(rule).__name__, *_inner(rule)]))
    return f"""import mvit
from {type(rule).__module__} import {names}

model = mvit.load("{task}", "{backbone}")
image = mvit.images.read_image(open("photo.jpg", "rb").read())
rule = {rule!r}
for exit in model.run(image, plan={plan}):
    if rule.stop(exit):
        break
answer = rule.answer(exit)
print(answer.label, f"{{answer.confidence:.0%}} sure, after layer {{exit.layer}}")
"""


def _inner(rule: Policy) -> list[str]:
    return [type(v).__name__ for v in vars(rule).values() if isinstance(v, Policy)]


def show_difficulty(bundle: ui.Bundle, replay: Replay, here: Operating) -> None:
    """Easy and hard classes and pictures."""
    st.subheader(
        "Easy and hard pictures",
        anchor=False,
        help=f"{WORDS['settled']} Here: gives the right answer from there to the end.",
    )
    # what the rule does not run is still part of how hard a picture is
    settled = outcomes.settled_layer(replay.whole)
    labels, macs = bundle.model.task.labels, replay.macs
    rows = outcomes.by_class(here.taken, here.seen, labels, macs, settled)
    easy, hard = rows.iloc[0], rows.iloc[-1]
    finding = (
        f"{plain_label(easy.label)} is easiest (right for good from layer {easy.settled:.1f} on "
        f"average), {plain_label(hard.label)} hardest ({hard.settled:.1f})"
    )
    shown = rows if len(rows) <= 20 else pd.concat([rows.head(8), rows.tail(8)])
    left, right = st.columns(2, gap="medium")
    with left:
        figure = draw.classes(shown, bundle.model.depth, finding)
        ui.chart(figure, alt=f"Classes by difficulty. {finding}.")
        if len(shown) < len(rows):
            st.caption(
                f"The 8 easiest and the 8 hardest of {len(rows)} classes; the table has them all."
            )
        ui.table(rows)
    with right:
        groups = outcomes.easy_and_hard(here.taken, here.seen, macs, settled)
        easy, wrong = percent(groups.share.iloc[0]), percent(groups.share.iloc[3], 1)
        st.markdown(f"**{easy} of the pictures are easy, {wrong} end wrong.**")
        st.dataframe(
            groups,
            hide_index=True,
            alt="Easy and hard pictures under the chosen rule",
            column_config={
                "group": st.column_config.TextColumn("pictures", help=GROUPS),
                "share": _percent_column("share", "Of all test pictures."),
                "accuracy": _percent_column("right", "Right answers under the rule."),
                "macs": st.column_config.NumberColumn("MACs", format="compact", help=WORDS["macs"]),
                "first_confidence": _percent_column("first sure", WORDS["confidence"]),
                "final_confidence": _percent_column("final sure", WORDS["confidence"]),
            },
        )
