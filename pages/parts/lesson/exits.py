"""Steps of the lesson that ask the card: which exits there are, and which are worth having."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from mvit.charts import lesson as charts_lesson
from mvit.charts import style as charts
from mvit.evaluation import lesson, paper
from pages import parts as ui
from pages.parts import words
from pages.parts.lesson.scene import Question, Scene, Step
from pages.parts.words import percent

DROPS = [1, 2, 5, 10]


def at_widest(s: Scene) -> tuple[int, pd.Series]:
    """The layer where the heads differ most, and their accuracies there, best first."""
    known = s.bundle.accuracies
    layer = lesson.widest_layer(known, s.bundle.heads)
    return layer, pd.Series(
        {h: known[layer, h] for h in s.bundle.heads if (layer, h) in known}
    ).sort_values(ascending=False)


def ask_heads(s: Scene) -> Question:
    layer, here = at_widest(s)
    ways = "\n".join(f"- {words.drawn(h)}" for h in s.bundle.heads if h in here)
    return Question(
        "An exit is a small network, a **head**, and there are many ways to build one. All of "
        f"these read the same tokens:\n\n{ways}",
        f"After layer {layer} they differ most. Which one is right most often?",
        (s.bundle.task, s.bundle.backbone, tuple(here.index)),
        answer=lambda: here.index[here == here.max()].tolist(),
        options=[h for h in s.bundle.heads if h in here],
    )


def tell_heads(s: Scene, answers: list) -> str:
    layer, here = at_widest(s)
    return (
        f"{here.index[0]} is right on {percent(here.iloc[0])} of the test pictures after layer "
        f"{layer}, {here.index[-1]} on {percent(here.iloc[-1])}"
    )


def show_heads(s: Scene, answers: list) -> None:
    layer, here = at_widest(s)
    last = max(b for b, _ in s.bundle.accuracies)
    rows = pd.DataFrame(
        {"name": here.index, "value": here.values, "mark": ["best", *[""] * (len(here) - 1)]}
    )
    ui.recorded_badge(s.bundle, "every exit")
    spread = f"{percent(here.iloc[-1])} to {percent(here.iloc[0])}"
    told = f"After layer {layer} the heads differ most: {spread} right"
    ui.chart(charts_lesson.bars(rows, "Right on test", told), alt=f"Accuracy of the heads. {told}.")
    ui.table(rows[["name", "value"]])
    end = [s.bundle.accuracy(last, h) for h in here.index if s.bundle.accuracy(last, h) is not None]
    if end:
        st.markdown(
            f"After layer {last} the head hardly matters: **{percent(min(end))} to "
            f"{percent(max(end))}** right. A strong head is worth its cost behind an early layer."
        )


def card_exits(s: Scene) -> list[dict]:
    return [e for e in s.bundle.card.get("exits", []) if "accuracy" in e]


def ask_practical(s: Scene) -> Question:
    head = lesson.pickiest(card_exits(s), s.bundle.heads)
    good, of = lesson.practical_count(card_exits(s), head)
    return Question(
        "An exit is worth having only if it is more often right than **every earlier exit of the "
        "same head**, which were cheaper, and than guessing. Such an exit is called "
        "**practical**; the word is the paper's.",
        f"How many of the {of} exits with the head {head} are practical?",
        (s.bundle.task, s.bundle.backbone, head),
        answer=lambda: [str(good)],
        options=[str(k) for k in range(of + 1)],
    )


def tell_practical(s: Scene, answers: list) -> str:
    head = lesson.pickiest(card_exits(s), s.bundle.heads)
    rows = [lesson.practical_count(card_exits(s), h) for h in s.bundle.heads]
    good, of = lesson.practical_count(card_exits(s), head)
    lost = [str(e["layer"]) for e in card_exits(s) if e["head"] == head and not e.get("practical")]
    those = "the one after layer" if len(lost) == 1 else "those after layers"
    where = f": all but {those} {', '.join(lost)}" if lost else ""
    every = f"{sum(r[0] for r in rows)} of {sum(r[1] for r in rows)}"
    return f"{good} of {of} exits of {head} are practical{where}. Of all heads' exits, {every} are"


def show_practical(s: Scene, answers: list) -> None:
    ui.recorded_badge(s.bundle, "every exit")
    exits = pd.DataFrame(card_exits(s))
    exits = exits[exits["head"].isin(s.bundle.heads)].assign(
        practical=lambda t: t.get("practical", False)
    )
    told = f"{int(exits.practical.sum())} of {len(exits)} exits are practical: they wear a ring"
    ui.chart(charts.accuracy_map(exits, told), alt=f"Accuracy by head and layer. {told}.")
    ui.table(exits)


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
        "You build a small device. It has no stop rule: it runs up to one fixed exit, and that is "
        f"its answer. You may choose among all {len(exits)} exits, and be right less often than "
        f"the final exit by at most **{s.points} {'point' if s.points == 1 else 'points'}**.",
        "What share of the work can one well-chosen exit save?",
        (s.bundle.task, s.bundle.backbone, s.points),
        answer=lambda: [0.0 if best is None else 100 * (1 - best.share)],
        near=8,
    )


def chosen(s: Scene) -> dict[str, object]:
    """The exit that was told, as a link names it."""
    _, best = choices(s)
    return {} if best is None else {"head": best["head"], "layer": best.layer}


def tell_choose(s: Scene, answers: list) -> str:
    _, best = choices(s)
    if best is None:
        return "No cheaper exit comes so close to the final exit, so nothing can be saved"
    return (
        f"{best['head']} after layer {best.layer} saves {percent(1 - best.share)} of the work and "
        f"is right on {percent(best.accuracy, 1)}, {best.behind:z.1f} points behind the final exit"
    )


def show_choose(s: Scene, answers: list) -> None:
    exits, best = choices(s)
    ui.recorded_badge(s.bundle, "every exit")
    told = (
        "No cheaper exit comes close enough"
        if best is None
        else f"The cheapest exit that is close enough: {best['head']} after layer {best.layer}"
    )
    place = None if best is None else (int(best.layer), best["head"])
    ui.chart(
        charts_lesson.choice(exits, s.bundle.card["final"], s.points, best=place, finding=told),
        alt=f"Accuracy against MACs. {told}.",
    )
    ui.table(exits)


STEPS = {
    step.name: step
    for step in [
        Step(
            "heads",
            "Many heads",
            ask_heads,
            tell=tell_heads,
            show=show_heads,
            deeper=("compare", "Compare heads on a picture"),
            needs="heads",
            there=lambda s: {"layer": at_widest(s)[0]},
        ),
        Step(
            "practical",
            "Which exits are worth having?",
            ask_practical,
            tell=tell_practical,
            show=show_practical,
            deeper=("paper", "Practical exits in the paper's figure"),
            needs="accuracies",
        ),
        Step(
            "choose",
            "Choose an exit for a device",
            ask_choose,
            tell=tell_choose,
            show=show_choose,
            deeper=("paper", "Every exit in one figure"),
            needs="accuracies",
            there=chosen,
        ),
    ]
}
