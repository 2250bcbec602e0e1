"""What every step of the lesson works with: its parts, the picture, one measured run, and recorded
answers - each made when first asked."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import KW_ONLY, dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from mvit.bundles import weights
from mvit.charts import style as charts
from mvit.evaluation import lesson
from mvit.evaluation.predictions import Predictions
from mvit.models.multi_exit import FINAL, Exit
from pages import parts as ui
from pages.parts import recorded as recordings


@dataclass(frozen=True)
class Question:
    """One thing to predict. text: what is asked; key: what it is asked about, a new key asks anew.

    answer: gives the right answers, best first, when it is wanted. options: what to choose from, or
    None for a number of low..high in `unit`. near: how far off still counts, in options or in
    units.
    """

    story: str
    text: str
    key: Hashable
    _: KW_ONLY
    answer: Callable[[], list]
    options: list[str] | None = None
    near: float = 0
    low: int = 0
    high: int = 100
    unit: str = "%"
    help: str | None = None

    def hit(self, guess: Any, answers: list) -> bool:
        """Whether the guess counts as right."""
        if self.options is None:
            return bool(abs(guess - answers[0]) <= self.near + 1e-9)
        place = self.options.index
        return guess in answers or (
            guess in self.options and abs(place(guess) - place(answers[0])) <= self.near
        )

    def say(self, value: Any) -> str:
        """A guess or an answer in words."""
        if self.options is not None:
            return str(value)
        return f"{value:.0f}\u00a0{self.unit}"


@dataclass(frozen=True)
class Step:
    """One step: ask makes its question, tell the finding in one sentence, show draws what the
    answer looks like.

    deeper: (file in pages/, label) of the page that goes on from here. picture: whether it is about
    the visitor's picture. needs: "predictions" of the bundle, "mistakes" among them, its
    "accuracies", those of several "heads", or "examples". stage: draws what there is to look at,
    before (False) and after (True) the answer; two views of the picture if there is none. there:
    what the link to the other page takes along, so that it opens on what was just told.
    """

    name: str
    title: str
    ask: Callable[[Scene], Question]
    _: KW_ONLY
    tell: Callable[[Scene, list], str]
    show: Callable[[Scene, list], None]
    deeper: tuple[str, str]
    picture: bool = False
    needs: str = ""
    stage: Callable[[Scene, bool], None] | None = None
    there: Callable[[Scene], dict[str, object]] = lambda scene: {}


@dataclass
class Scene:
    """The bundle, one head, and the picture if the step has one; the rest is worked out when first
    asked and kept for the visitor."""

    bundle: ui.Bundle
    head: str
    picture: ui.Picture | None = None
    _: KW_ONLY
    points: float = 5  # of accuracy that may be lost, in the step that asks for it
    depth: int = field(init=False)

    def __post_init__(self):
        self.depth = self.bundle.model.depth

    @property
    def model(self):
        return self.bundle.model

    @property
    def place(self) -> tuple:
        """What a measured or recorded result depends on, the picture apart."""
        return *self.bundle.key, self.head

    @property
    def seen(self) -> tuple:
        """The same, for a result on the picture."""
        return *self.place, self.picture.key

    @property
    def sha(self) -> tuple:
        """What tells these weights from others."""
        return tuple(about["sha256"] for about in self.bundle.card["files"].values())

    @property
    def truth(self) -> str | None:
        """The picture's right label, if it is known and among the labels of the task."""
        known = self.picture.truth if self.picture else None
        return known if known in self.model.task.labels else None

    @property
    def plan(self) -> list[tuple[int, str]]:
        """Every exit of the head, then the final one."""
        return self.model.plan(self.head)

    @cached_property
    def small(self) -> np.ndarray:
        """What the network gets of the picture: RGB uint8."""
        return ui.once(
            "seen",
            (*self.place[:2], self.picture.key),
            lambda: self.model.task.seen(self.picture.pixels),
        )

    @cached_property
    def run(self) -> dict:
        """{"exits": every exit of the head on the picture, "plain": ms of plain passes beside it,
        "device"}; really run, once."""
        work = ui.beside_plain(self.bundle, self.picture.pixels, self.plan)
        with st.container(), st.spinner("Running the network on this picture …", show_time=True):
            return ui.measured(
                "lesson_run", self.bundle, self.head, work=work, picture=self.picture
            )

    @property
    def plain_ms(self) -> float:
        """The plain network's time, to compare the run with."""
        return ui.plain(self.bundle, self.run["plain"]).ms

    @property
    def exits(self) -> list[Exit]:
        return self.run["exits"]

    @property
    def rows(self) -> pd.DataFrame:
        """The run as the charts want it; time is each exit's own, as if it were the only one."""
        names = ("head", "layer", "label", "confidence", "ms", "head_ms", "macs", "practical")
        table = pd.DataFrame([{n: getattr(e, n) for n in names} for e in self.exits])
        table["verdict"] = charts.verdicts(table.label, self.truth)
        return table.assign(macs_text=table.macs.map(charts.macs_text), elapsed_ms=table.ms)

    @cached_property
    def known(self) -> Exit:
        """The exit at which the run's answer is settled."""
        return self.exits[lesson.settled([e.label for e in self.exits])]

    @property
    def middle(self) -> int:
        """The head's layer in the middle."""
        layers = [b for b, _ in self.model.exits(self.head)]
        return layers[(len(layers) - 1) // 2]

    @property
    def has_predictions(self) -> bool:
        """Whether the bundle brings recorded answers at all."""
        return (
            weights.folder(self.bundle.task, self.bundle.backbone) / "predictions.safetensors"
        ).exists()

    @cached_property
    def recorded(self) -> dict[str, Predictions] | None:
        """Recorded answers of the head and the final exit: {"val", "test"}; None, after a friendly
        word on the page, if there are none."""
        found = recordings.predictions(self.bundle)
        if found is None or not all(e in p.exits for p in found.values() for e in self.plan):
            return None
        return {split: p.of_head(self.head) for split, p in found.items()}

    @property
    def test(self) -> Predictions:
        return self.recorded["test"]


def exit_name(layer: int, head: str) -> str:
    """An exit as the lesson calls it."""
    return "the final exit" if head == FINAL else f"layer {layer}"
