"""Steps of the lesson that ask recorded answers and the card: thousands of pictures at once."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from mvit.charts import lesson as charts_lesson
from mvit.charts import rules as charts_rules
from mvit.charts import style as charts
from mvit.evaluation import lesson, paper
from mvit.evaluation.predictions import Predictions
from mvit.models.multi_exit import FINAL
from mvit.policies import outcomes as rules
from mvit.policies.plans import costs
from pages.parts import shared as ui
from pages.parts import words
from pages.parts.lesson.scene import Question, Scene, Step, percent

SURE = 0.9  # the confidence that the stop rule asks for first
DROPS = [1, 2, 5, 10]


def ask_trust(s: Scene) -> Question:
    found = lesson.trust(s.test, s.test.exits.index((s.middle, s.head)))
    return Question(
        f"An exit may be sure and wrong. Take the {s.head} exit after layer {s.middle} and all {len(s.test.truth):,} test pictures. About "
        f"{found.pictures:,} of them it is at least {percent(found.bar)} sure.",
        "How many of these answers are right?",
        (s.place, found.bar),
        lambda: [100 * found.right],
        near=5,
    )


def tell_trust(s: Scene, answers: list) -> str:
    found = lesson.trust(s.test, s.test.exits.index((s.middle, s.head)))
    own = s.test.accuracy[s.test.exits.index((s.middle, s.head))]
    return (
        f"{percent(found.right, 1)} of the answers of which it is at least {percent(found.bar)} sure are right; "
        f"of all its answers only {percent(own, 1)}"
    )


def show_trust(s: Scene, answers: list) -> None:
    at = s.test.exits.index((s.middle, s.head))
    ui.recorded_badge(s.bundle, f"{len(s.test.truth):,} pictures")
    told = "Confidence is worth something: the surer the exit, the more often it is right"
    bars = rules.reliability(s.test.confidence[at], s.test.correct[at])
    ui.chart(charts_rules.reliability(bars, told), alt=f"Reliability. {told}.")
    ui.table(bars)


def at_widest(s: Scene) -> tuple[int, pd.Series]:
    """The layer where the heads differ most, and their accuracies there, best first."""
    known = s.bundle.accuracies
    layer = lesson.widest_layer(known, s.bundle.heads)
    return layer, pd.Series(
        {h: known[layer, h] for h in s.bundle.heads if (layer, h) in known}
    ).sort_values(ascending=False)


def ask_heads(s: Scene) -> Question:
    layer, here = at_widest(s)
    ways = "\n".join(f"- **{h}**: {words.about(h)}" for h in s.bundle.heads if h in here)
    return Question(
        f"An exit is a small network, a **head**, and there are many ways to build one. All of these read the same tokens:\n\n{ways}",
        f"After layer {layer} they differ most. Which one is right most often?",
        (s.bundle.task, s.bundle.backbone, tuple(here.index)),
        lambda: here.index[here == here.max()].tolist(),
        [h for h in s.bundle.heads if h in here],
    )


def tell_heads(s: Scene, answers: list) -> str:
    layer, here = at_widest(s)
    return (
        f"{here.index[0]} is right on {percent(here.iloc[0])} of the test pictures after layer {layer}, "
        f"{here.index[-1]} on {percent(here.iloc[-1])}"
    )


def show_heads(s: Scene, answers: list) -> None:
    layer, here = at_widest(s)
    last = max(b for b, _ in s.bundle.accuracies)
    rows = pd.DataFrame(
        {"name": here.index, "value": here.values, "mark": ["best", *[""] * (len(here) - 1)]}
    )
    ui.recorded_badge(s.bundle, "every exit")
    told = f"After layer {layer} the head decides: {percent(here.iloc[-1])} to {percent(here.iloc[0])} right"
    ui.chart(charts_lesson.bars(rows, "Right on test", told), alt=f"Accuracy of the heads. {told}.")
    ui.table(rows[["name", "value"]])
    end = [s.bundle.accuracy(last, h) for h in here.index if s.bundle.accuracy(last, h) is not None]
    if end:
        st.markdown(
            f"After layer {last} the layers have done the work, and the head hardly matters: **{percent(min(end))} to "
            f"{percent(max(end))}**. A strong head is worth its price early on."
        )


def card_exits(s: Scene) -> list[dict]:
    return [e for e in s.bundle.card.get("exits", []) if "accuracy" in e]


def ask_practical(s: Scene) -> Question:
    head = lesson.pickiest(card_exits(s), s.bundle.heads)
    good, of = lesson.practical_count(card_exits(s), head)
    return Question(
        "An exit is worth having only if it is more often right than **every earlier exit of the same head**: those were cheaper. "
        "The paper calls such an exit **practical**.",
        f"The head {head} has {of} exits. How many of them are practical?",
        (s.bundle.task, s.bundle.backbone, head),
        lambda: [str(good)],
        [str(k) for k in range(1, of + 1)],
        near=1,
    )


def tell_practical(s: Scene, answers: list) -> str:
    head = lesson.pickiest(card_exits(s), s.bundle.heads)
    rows = [lesson.practical_count(card_exits(s), h) for h in s.bundle.heads]
    good, of = lesson.practical_count(card_exits(s), head)
    lost = [e["layer"] for e in card_exits(s) if e["head"] == head and not e.get("practical")]
    where = f"; not at layer {', '.join(map(str, lost))}" if lost else ""
    return f"{good} of {of} exits of {head} are practical{where}. Of all heads: {sum(r[0] for r in rows)} of {sum(r[1] for r in rows)}"


def show_practical(s: Scene, answers: list) -> None:
    ui.recorded_badge(s.bundle, "every exit")
    exits = pd.DataFrame(card_exits(s))
    exits = exits[exits["head"].isin(s.bundle.heads)].assign(
        practical=lambda t: t.get("practical", False)
    )
    told = f"{int(exits.practical.sum())} of {len(exits)} exits are practical: they wear a ring"
    ui.chart(charts.accuracy_map(exits, told), alt=f"Accuracy by head and layer. {told}.")
    ui.table(exits)


@st.cache_data(max_entries=32, show_spinner=False)
def plan_for(key: tuple, _val: Predictions, _model) -> list[tuple[int, str]]:
    """The few exits with which leaving when sure is cheapest on validation."""
    return rules.few_exits("confidence", _val, lambda plan: costs(_model, plan))


def operate(s: Scene, sure: float) -> tuple[rules.Operating, Predictions, float]:
    """The rule over the test set: what it does, on which exits, and its work as a share of the
    final exit's."""
    with st.spinner("Looking for the exits worth running …", show_time=True):
        test = s.test.select(plan_for((s.sha, s.head), s.recorded["val"], s.model))
    macs = costs(s.model, test.exits)
    here = rules.operate("confidence", sure, test, macs, macs)
    return here, test, here.macs / s.model.exit_macs(s.depth, FINAL)


def ask_rule(s: Scene) -> Question:
    return Question(
        f"Now let every picture leave early, if it can. The **stop rule**: at a few exits, ask how sure it is. If it is at least "
        f"{percent(SURE)} sure, that is the answer, and the rest never runs. Else go on. Heads on the way cost too.",
        f"How much of the work does this save, on average over {len(s.test.truth):,} test pictures?",
        s.place,
        lambda: [100 * (1 - operate(s, SURE)[2])],
        near=10,
    )


def tell_rule(s: Scene, answers: list) -> str:
    here, test, share = operate(s, SURE)
    did = f"saves {percent(1 - share)}" if share <= 1 else f"costs {percent(share - 1)} more"
    return (
        f"Leaving at {percent(SURE)} {did} of the work; {percent(here.accuracy, 1)} of the answers are right, "
        f"against {percent(test.accuracy[-1], 1)} at the final exit"
    )


def show_rule(s: Scene, answers: list) -> None:
    ui.recorded_badge(s.bundle, f"{len(s.test.truth):,} pictures")
    sure = ui.linked(
        st.slider,
        "Now you: leave at confidence",
        key="threshold",
        min_value=0.3,
        max_value=1.0,
        value=SURE,
        step=0.01,
        help="The rule's threshold. Lower: more pictures leave early, and more of them with a wrong answer.",
    )
    here, test, share = operate(s, sure)
    with st.container(horizontal=True):
        st.metric(
            "Right",
            percent(here.accuracy, 1),
            f"{100 * (here.accuracy - test.accuracy[-1]):+.1f} points",
            help="Share of the test pictures with a right answer, and the difference to the final exit.",
        )
        st.metric(
            "Work",
            percent(share),
            f"{100 * (share - 1):+.0f} %",
            "inverse",
            help=words.WORDS["macs"],
        )
        st.metric(
            "Leave early",
            percent(here.early),
            help="Share of the pictures that leave before the final exit.",
        )
    rows = rules.leaving(here.taken, test)
    top = rows.iloc[rows.share.idxmax()]
    told = f"Most pictures leave at {'the final exit' if top['head'] == FINAL else f'layer {top.layer}'}: {percent(top.share)}"
    ui.chart(charts_rules.leaving(rows, told), alt=f"Who leaves where. {told}.")
    ui.table(rows)


def ask_overthinking(s: Scene) -> Question:
    found = lesson.rescue(s.test)
    return Question(
        f"More thinking is not always better. The final exit is wrong on {found.wrong:,} of {len(s.test.truth):,} test pictures. Perhaps "
        f"the network had the right answer earlier and talked itself out of it: **overthinking**.",
        f"For how many of these mistakes was some earlier {s.head} exit right?",
        s.place,
        lambda: [100 * found.share],
        near=12,
    )


def tell_overthinking(s: Scene, answers: list) -> str:
    found = lesson.rescue(s.test)
    return (
        f"For {percent(found.share)} of the final exit's {found.wrong:,} mistakes an earlier exit was right, if only one had known "
        "when to stop"
    )


def show_overthinking(s: Scene, answers: list) -> None:
    ui.recorded_badge(s.bundle, f"{len(s.test.truth):,} pictures")
    quality = rules.quality(s.test)
    early = quality.iloc[0]
    told = (
        f"At layer {early.layer} {percent(early.overthought, 1)} of all pictures are right and end wrong; {percent(early.mended)} are "
        "wrong and end right"
    )
    ui.chart(charts_rules.overthinking(quality, told), alt=f"Overthinking by exit. {told}.")
    ui.table(quality)
    st.markdown(
        "Hindsight is easy: nobody knows beforehand which exit is the right one. On the whole, going on mends more than it spoils."
    )


def choices(s: Scene) -> tuple[pd.DataFrame, pd.Series | None]:
    """Every exit of the card, and the cheapest that loses at most the points chosen."""
    exits = paper.exits_of(s.bundle.card)
    exits = exits[exits["head"].isin(s.bundle.heads)]
    return exits, paper.cheapest_within(exits, s.points)


def ask_choose(s: Scene) -> Question:
    s.points = ui.linked(
        st.segmented_control,
        "Points of accuracy that you may lose",
        key="points",
        options=DROPS,
        default=5,
        required=True,
        help="Percentage points below the final exit's accuracy on the test set.",
    )
    exits, best = choices(s)
    return Question(
        "You build a small device. It has no stop rule: it runs up to one fixed exit, and that is its answer. "
        f"You may choose among all {len(exits)} exits, and lose **{s.points} {'point' if s.points == 1 else 'points'}** against the "
        "final exit.",
        "How much of the work can one well-chosen exit save?",
        (s.bundle.task, s.bundle.backbone, s.points),
        lambda: [0.0 if best is None else 100 * (1 - best.share)],
        near=8,
    )


def tell_choose(s: Scene, answers: list) -> str:
    _, best = choices(s)
    if best is None:
        return "Nothing: no early exit that is cheaper comes so close to the final one"
    return (
        f"{best['head']} after layer {best.layer} saves {percent(1 - best.share)} of the work and is right on "
        f"{percent(best.accuracy, 1)}, {best.behind:.1f} points behind the final exit"
    )


def show_choose(s: Scene, answers: list) -> None:
    exits, best = choices(s)
    ui.recorded_badge(s.bundle, "every exit")
    told = (
        "Nothing cheap comes close enough"
        if best is None
        else f"The cheapest within reach: {best['head']} after layer {best.layer}"
    )
    place = None if best is None else (int(best.layer), best["head"])
    ui.chart(
        charts_lesson.choice(exits, s.bundle.card["final"], s.points, place, told),
        alt=f"Accuracy against MACs. {told}.",
    )
    ui.table(exits)


STEPS = {
    step.name: step
    for step in [
        Step(
            "trust",
            "Sure, and right?",
            ask_trust,
            tell_trust,
            show_trust,
            ("rules", "Can confidence be trusted?"),
            needs="predictions",
        ),
        Step(
            "heads",
            "Many heads",
            ask_heads,
            tell_heads,
            show_heads,
            ("compare", "Compare heads on a picture"),
            needs="accuracies",
        ),
        Step(
            "practical",
            "Which exits are worth having?",
            ask_practical,
            tell_practical,
            show_practical,
            ("paper", "Practical exits in the paper's figure"),
            needs="accuracies",
        ),
        Step(
            "rule",
            "Leave when sure",
            ask_rule,
            tell_rule,
            show_rule,
            ("rules", "Other rules and thresholds"),
            needs="predictions",
        ),
        Step(
            "overthinking",
            "Thinking too long",
            ask_overthinking,
            tell_overthinking,
            show_overthinking,
            ("rules", "Overthinking, exit by exit"),
            needs="predictions",
        ),
        Step(
            "choose",
            "Choose an exit for a device",
            ask_choose,
            tell_choose,
            show_choose,
            ("paper", "Every exit in one figure"),
            needs="accuracies",
        ),
    ]
}
