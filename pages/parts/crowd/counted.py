"""One exit's count of a picture."""

from __future__ import annotations

from typing import NamedTuple

import pandas as pd

from pages import parts as ui


class Counted(NamedTuple):
    """One exit's count of a picture: its row of the trace, the final exit's row, all rows, and how
    many people are there, if that is known."""

    own: pd.Series
    final: pd.Series
    rows: pd.DataFrame
    truth: float | None

    @property
    def exit(self) -> str:
        return f"{self.own['head']} after layer {self.own['layer']}"


def known(picture: ui.Picture) -> float | None:
    """How many people are really there, if that is known."""
    try:
        return None if picture.truth is None else float(picture.truth)
    except ValueError:
        return None  # an example of another task
