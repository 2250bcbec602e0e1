"""Columns of tables that several pages show: shares, the interval of an accuracy, and MACs."""

from functools import partial

import pandas as pd
from pandas.api.types import is_numeric_dtype
from pandas.io.formats.style import Styler
from streamlit.column_config import NumberColumn

from mvit.charts.text import macs_text
from mvit.evaluation.predictions import wilson
from pages.parts.words import WORDS, percent

NOTHING = "–"  # where a table has no number
share = partial(NumberColumn, format="percent")
macs = partial(NumberColumn, help=WORDS["macs"])  # without a format, so that `readable` has its way
INTERVAL = {
    name: share(
        help=f"The {name}er end of the 95 % interval (Wilson): how far chance alone may have moved "
        "the share of right answers."
    )
    for name in ("low", "high")
}


def readable(rows: pd.DataFrame) -> pd.DataFrame | Styler:
    """A table whose MACs are written as everywhere else, `1.25 G`, and still sorted as numbers."""
    words = {
        name: macs_text
        for name, kind in rows.dtypes.items()
        if "macs" in str(name).lower() and is_numeric_dtype(kind)
    }
    if not words:
        return rows
    styled = rows.reset_index(drop=True).style
    # the same name in every run of the page, so that nothing is drawn anew
    return styled.format(words, precision=4, na_rep=NOTHING).set_uuid("macs")


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
