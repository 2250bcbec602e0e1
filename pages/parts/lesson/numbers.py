"""Steps of the lesson that ask recorded answers: thousands of pictures at once."""

from __future__ import annotations

import streamlit as st

from mvit.charts import rules as charts_rules
from mvit.evaluation import lesson
from mvit.evaluation.predictions import Predictions
from mvit.models.multi_exit import FINAL
from mvit.policies import outcomes as rules
from mvit.policies.plans import costs
from mvit.policies.replay import exits_for_rule
from mvit.policies.rules import Confidence
from pages import parts as ui
from pages.parts import words
from pages.parts.lesson.scene import Question, Scene, Step
from pages.parts.rules.views import leaving_finding
from pages.parts.words import percent

SURE = 0.9  # the confidence that the stop rule asks for first


def ask_trust(s: Scene) -> Question:
    found = lesson.trust(s.test, s.test.exits.index((s.middle, s.head)))
    return Question(
        f"An exit may be sure and wrong. The {s.head} exit after layer {s.middle} was asked about "
        f"{len(s.test.truth):,} test pictures. It is at least {percent(found.bar)} sure of its "
        f"answer for {found.pictures:,} of these pictures.",
        "What share of these answers is right?",
        (s.place, found.bar),
        answer=lambda: [100 * found.right],
        near=5,
    )


def tell_trust(s: Scene, answers: list) -> str:
    found = lesson.trust(s.test, s.test.exits.index((s.middle, s.head)))
    own = s.test.accuracy[s.test.exits.index((s.middle, s.head))]
    return (
        f"Where it is at least {percent(found.bar)} sure, {percent(found.right, 1)} of its answers "
        f"are right; of all its answers {percent(own, 1)} are"
    )


def show_trust(s: Scene, answers: list) -> None:
    at = s.test.exits.index((s.middle, s.head))
    ui.recorded_badge(s.bundle, f"{len(s.test.truth):,} pictures")
    told = "Confidence is worth something: the surer the exit, the more often it is right"
    bars = rules.reliability(s.test.confidence[at], s.test.correct[at])
    ui.chart(charts_rules.reliability(bars, told), alt=f"Reliability. {told}.")
    ui.table(bars)


@st.cache_data(max_entries=32, show_spinner=False)
def plan_for(key: tuple, _val: Predictions, _model) -> list[tuple[int, str]]:
    """The few exits with which leaving when sure is cheapest on validation."""
    return exits_for_rule(lambda plan: Confidence(), _val, lambda plan: costs(_model, plan))


def operate(s: Scene, sure: float) -> tuple[rules.Operating, Predictions, float]:
    """The rule over the test set: what it does, on which exits, and its work as a share of the
    final exit's."""
    with st.spinner("Looking for the exits worth running …", show_time=True):
        test = s.test.select(plan_for((s.sha, s.head), s.recorded["val"], s.model))
    macs = costs(s.model, test.exits)
    here = rules.operate(Confidence(sure), test, macs, ms=macs)
    return here, test, here.macs / s.model.exit_macs(s.depth, FINAL)


def ask_rule(s: Scene) -> Question:
    return Question(
        "Now let every picture leave early, if it can. A **stop rule** asks a few exits in turn. "
        f"The first one that is at least {percent(SURE)} sure gives the answer, and the layers "
        "behind it never run. If none is so sure, the final exit answers. Every head that runs "
        "costs work too.",
        f"What share of the work does this save, on average over {len(s.test.truth):,} test "
        "pictures?",
        s.place,
        answer=lambda: [100 * (1 - operate(s, SURE)[2])],
        near=10,
    )


def tell_rule(s: Scene, answers: list) -> str:
    here, test, share = operate(s, SURE)
    return (
        f"This rule {words.work_saved(1 - share)}; {percent(here.accuracy, 1)} of its answers are "
        f"right, against {percent(test.accuracy[-1], 1)} of the final exit's"
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
        help="The rule's threshold. Lower: more pictures leave early, and more of them with a "
        "wrong answer.",
    )
    here, test, share = operate(s, sure)
    with st.container(horizontal=True):
        st.metric(
            "Right",
            percent(here.accuracy, 1),
            f"{100 * (here.accuracy - test.accuracy[-1]):+z.1f} points",
            help="Share of the test pictures with a right answer, and the difference to the final "
            "exit.",
        )
        st.metric(
            "Work",
            percent(share),
            f"{100 * (share - 1):+z.0f} %",
            "inverse",
            help=f"As a share of the plain network's. {words.WORDS['macs']}",
        )
        st.metric(
            "Leave early",
            percent(here.early),
            help="Share of the pictures that leave before the final exit.",
        )
    rows = rules.leaving(here.taken, test)
    told = leaving_finding(rows, here.early)
    ui.chart(charts_rules.leaving(rows, told), alt=f"Who leaves where. {told}.")
    ui.table(rows)


def ask_overthinking(s: Scene) -> Question:
    found = lesson.rescue(s.test)
    return Question(
        f"More thinking is not always better. The final exit is wrong on {found.wrong:,} of "
        f"{len(s.test.truth):,} test pictures. Perhaps the network had the right answer earlier "
        "and talked itself out of it: **overthinking**.",
        f"For what share of these mistakes was some earlier {s.head} exit right?",
        s.place,
        answer=lambda: [100 * found.share],
        near=12,
    )


def tell_overthinking(s: Scene, answers: list) -> str:
    found = lesson.rescue(s.test)
    return (
        f"For {percent(found.share)} of the final exit's {found.wrong:,} mistakes "
        f"({percent(found.share * found.wrong / len(s.test.truth), 1)} of all pictures) an earlier "
        "exit was right: it would have been better to stop there"
    )


def show_overthinking(s: Scene, answers: list) -> None:
    ui.recorded_badge(s.bundle, f"{len(s.test.truth):,} pictures")
    quality = rules.quality(s.test)
    early = quality.iloc[0]
    told = (
        f"On {percent(early.overthought, 1)} of all pictures the exit after layer {early.layer} is "
        f"right and the final exit wrong; on {percent(early.mended)} it is the other way round"
    )
    ui.chart(charts_rules.overthinking(quality, told), alt=f"Overthinking by exit. {told}.")
    ui.table(quality)
    st.markdown(
        "Hindsight is easy: nobody knows beforehand which exit is the right one. On the whole, "
        "going on mends more than it spoils."
    )


STEPS = {
    step.name: step
    for step in [
        Step(
            "trust",
            "Sure, and right?",
            ask_trust,
            tell=tell_trust,
            show=show_trust,
            deeper=("rules", "Can confidence be trusted?"),
            needs="predictions",
            there=lambda s: {"whose": f"exit {s.middle}"},
        ),
        Step(
            "rule",
            "Leave when sure",
            ask_rule,
            tell=tell_rule,
            show=show_rule,
            deeper=("rules", "Other rules and thresholds"),
            needs="predictions",
            there=lambda s: {"rule": "confidence", "threshold": SURE},
        ),
        Step(
            "overthinking",
            "Thinking too long",
            ask_overthinking,
            tell=tell_overthinking,
            show=show_overthinking,
            deeper=("rules", "Overthinking, exit by exit"),
            needs="mistakes",
        ),
    ]
}
