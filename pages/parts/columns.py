"""Columns of tables that several pages show: shares, and the interval of an accuracy."""

from functools import partial

import pandas as pd
from streamlit.column_config import NumberColumn

from mvit.evaluation.predictions import wilson
from pages.parts.words import WORDS, percent

share = partial(NumberColumn, format="percent")
macs = partial(NumberColumn, format="compact", help=WORDS["macs"])
INTERVAL = {
    name: share(
        help=f"The {name}er end of the 95 % interval (Wilson): how far chance alone may have moved "
        "the share of right answers."
    )
    for name in ("low", "high")
}


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
