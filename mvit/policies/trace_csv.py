"""A visitor's own time budgets, read from a CSV file."""

from __future__ import annotations

import csv
import io
import math

import numpy as np

MAX_BYTES, MAX_ROWS, MAX_MS = 2_000_000, 20_000, 1e7


class BudgetError(ValueError):
    """A budget trace that cannot be used; the message says why, where, and what is wanted."""


def read_csv(data: bytes) -> np.ndarray:
    """Budgets in ms from a CSV: the column `budget_ms`, or the only column; a header is not needed
    then. Raises BudgetError."""
    if len(data) > MAX_BYTES:
        raise BudgetError(
            f"the file has {len(data) / 1e6:.1f} MB; at most {MAX_BYTES / 1e6:.0f} MB can be read"
        )
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise BudgetError("the file is not text in UTF-8; save it as CSV") from None
    try:
        rows = [
            (number, row)
            for number, row in enumerate(csv.reader(io.StringIO(text)), 1)
            if any(cell.strip() for cell in row)
        ]
    except csv.Error as error:
        raise BudgetError(f"the file is not CSV ({error})") from None
    if not rows:
        raise BudgetError("the file is empty; put one budget in milliseconds on each line")
    column, rows = _column(rows)
    if len(rows) > MAX_ROWS:
        raise BudgetError(f"the file has {len(rows):,} budgets; at most {MAX_ROWS:,} can be read")
    if not rows:
        raise BudgetError("there is a header but no budget below it")
    return np.array([_number(row, column, line) for line, row in rows])


def _column(rows: list[tuple[int, list[str]]]) -> tuple[int, list[tuple[int, list[str]]]]:
    """Which column holds the budgets, and the rows below the header."""
    first = [cell.strip().lower() for cell in rows[0][1]]
    if "budget_ms" in first:
        return first.index("budget_ms"), rows[1:]
    if len(first) > 1:
        raise BudgetError(
            f"there are {len(first)} columns and none is called budget_ms; name one so in the "
            "first line"
        )
    return 0, rows[1:] if not _is_number(first[0]) else rows


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _number(row: list[str], column: int, line: int) -> float:
    text = row[column].strip() if column < len(row) else ""
    value = float(text) if _is_number(text) else math.nan
    if not 0 < value <= MAX_MS:
        raise BudgetError(
            f"line {line}: '{text[:30]}' is not a time in milliseconds above 0 and at most "
            f"{MAX_MS:,.0f}"
        )
    return value
