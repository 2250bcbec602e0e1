"""Predict, then reveal: the visitor's guesses, what counts as right, and the score."""

from __future__ import annotations

from typing import Any

import pandas as pd
import streamlit as st

from mvit.charts import lesson as charts_lesson
from pages import parts as ui
from pages.parts.lesson.scene import Question, Scene, Step

# in the session: {step's name: {"key", "guess", and once revealed "asked", "answer", "right",
# "finding"}}
HERE = "_lesson_guesses"
OPEN = "?"  # where a slider stands that says nothing yet


def guesses() -> dict[str, dict]:
    """All guesses of this visit by step."""
    return st.session_state.setdefault(HERE, {})


def forget(*names: str) -> None:
    """Drop the guesses of these steps, or all of them."""
    for name in names or list(guesses()):
        guesses().pop(name, None)


def made(step: Step, question: Question) -> dict | None:
    """The guess at this very question; None if there is none yet."""
    guess = guesses().get(step.name)
    return guess if guess and guess["key"] == question.key else None


def commit(step: Step, question: Question, widget: str) -> None:
    """The button's callback: what the widget says is the guess."""
    value = st.session_state.get(widget)
    if value not in (None, OPEN):
        guesses()[step.name] = {"key": question.key, "guess": value}


def ask(step: Step, question: Question) -> None:
    """Draw the guess's widget and the button that commits it."""
    widget = f"guess_{step.name}"
    if question.options is None:
        numbers = range(question.low, question.high + 1)
        if st.session_state.get(f"_{widget}_for") != question.key:
            st.session_state.update({widget: OPEN, f"_{widget}_for": question.key})
        value = st.select_slider(
            f"Your guess, {question.unit}",
            [OPEN, *numbers],
            key=widget,
            help=f"It starts at {OPEN}, which is no guess.",
        )
        ready = value != OPEN
    else:
        if st.session_state.get(widget) not in question.options:
            st.session_state.pop(widget, None)
        st.pills(
            "Your guess",
            question.options,
            key=widget,
            wrap=True,
            help="Choose one, then look at the answer.",
        )
        ready = st.session_state.get(widget) is not None
    st.button(
        "Show the answer",
        key="reveal",
        type="primary",
        icon=":material/visibility:",
        disabled=not ready,
        on_click=commit,
        args=(step, question, widget),
        help="Fixes your guess and asks the network."
        if ready
        else "Guess first: choose an answer, or move the slider.",
    )


def reveal(step: Step, question: Question, scene: Scene, guess: dict | None) -> list:
    """Work the answer out, say how the guess did, and keep both for the score; guess: None if the
    link hides guessing."""
    with st.container(), st.spinner("Asking the network …", show_time=True):
        answers = question.answer()
        finding = step.tell(scene, answers)
    told = " or ".join(question.say(a) for a in answers)
    if guess is None:
        st.info(f"{finding}.", title=told, icon=":material/lightbulb:")
        return answers
    right = question.hit(guess["guess"], answers)
    guess |= {
        "asked": question.text,
        "answer": told,
        "said": question.say(guess["guess"]),
        "right": right,
        "finding": finding,
    }
    if told == guess["said"]:
        title = f"You are right: {told}"
    elif right:
        title = f"Answer: {told}; your guess, {guess['said']}, is close enough"
    else:
        title = f"Answer: {told}; you guessed: {guess['said']}"
    (st.success if right else st.info)(
        f"{finding}.",
        title=title,
        icon=":material/check_circle:" if right else ":material/lightbulb:",
    )
    st.button(
        "Guess again",
        key="again",
        icon=":material/undo:",
        on_click=forget,
        args=(step.name,),
        type="tertiary",
        help="Takes your guess back, and the answer away.",
    )
    return answers


def line(question: Question, guess: dict | None, answers: list) -> None:
    """Guess and answer on one scale, where the answer is a number."""
    if question.options is None:
        said: Any = None if guess is None else guess["guess"]
        told = f"The answer is {question.say(answers[0])}" + (
            "" if said is None else f"; you said {question.say(said)}"
        )
        figure = charts_lesson.guess_line(
            said,
            answers[0],
            question.near,
            low=question.low,
            high=question.high,
            unit=question.unit,
            finding=told,
        )
        ui.chart(figure, alt=f"{told}.")


def score() -> tuple[int, int]:
    """How many guesses were right, and how many were made."""
    done = [g for g in guesses().values() if "right" in g]
    return sum(g["right"] for g in done), len(done)


def table(steps: list[Step]) -> pd.DataFrame:
    """All revealed guesses in the lesson's order: step, title, question, guess, answer, right,
    finding."""
    rows = [
        (n, s.title, g["asked"], g["said"], g["answer"], g["right"], g["finding"])
        for n, s in enumerate(steps, 1)
        if "right" in (g := guesses().get(s.name, {}))
    ]
    return pd.DataFrame(
        rows, columns=["step", "title", "question", "guess", "answer", "right", "finding"]
    )
