"""A visitor's own time budgets, read from a CSV file as any program writes it."""

from __future__ import annotations

import re

import numpy as np

from mvit.data.folders import DataError
from mvit.data.tables import DELIMITERS, NUMBER, decimal_comma, decode, rows_of

MAX_BYTES, MAX_ROWS, MAX_MS = 2_000_000, 20_000, 1e7
COLUMN = "budget_ms"


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
        text = decode(data)
    except DataError:
        raise BudgetError("the file is not text; save it as CSV") from None
    lines = [(number, line) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
    if lines and re.fullmatch(r"sep=.", lines[0][1].strip(), re.I):  # Excel's hint
        lines = lines[1:]
    if not lines:
        raise BudgetError("the file is empty; put one budget in milliseconds on each line")
    delimiter, columns = _header(lines[0][1])
    own = columns.index(COLUMN) if COLUMN in columns else 0
    if COLUMN in columns or not NUMBER.fullmatch(columns[0]):
        lines = lines[1:]
    if len(lines) > MAX_ROWS:
        raise BudgetError(f"the file has {len(lines):,} budgets; at most {MAX_ROWS:,} can be read")
    if not lines:
        raise BudgetError("there is a header but no budget below it")
    cells = []
    for number, line in lines:
        row = _cells(line, delimiter)
        if len(row) > len(columns):
            raise BudgetError(f"line {number} has {len(row)} values, the first line {len(columns)}")
        cells.append((number, row[own] if own < len(row) else ""))
    return _numbers(cells)


def _cells(line: str, delimiter: str) -> list[str]:
    """A line cut at a delimiter; whole where its quotes are left open."""
    [row] = rows_of([line], delimiter) or [[line]]
    return [cell.strip() for cell in row or [""]]


def _header(first: str) -> tuple[str, list[str]]:
    """What the columns are cut at, and their names in small letters, by the first line."""
    found = {d: [cell.lower() for cell in _cells(first, d)] for d in DELIMITERS if d != " "}
    wide = max(found, key=lambda d: (COLUMN in found[d], len(found[d])))
    if COLUMN not in found[wide] and len(found[wide]) > 1:
        raise BudgetError(
            f"there are {len(found[wide])} columns and none is called {COLUMN}; name one so in the "
            "first line"
        )
    return wide, found[wide]


def _numbers(cells: list[tuple[int, str]]) -> np.ndarray:
    """The budgets in cells, of which each has its line's number."""
    try:
        comma = decimal_comma([cell for _, cell in cells if NUMBER.fullmatch(cell)])
    except DataError as error:
        raise BudgetError(f"the numbers cannot be read: {error}") from None
    found = []
    for line, cell in cells:
        plain = cell.replace(",", ".") if comma else cell
        value = float(plain) if NUMBER.fullmatch(cell) else 0
        if not 0 < value <= MAX_MS:
            raise BudgetError(
                f"line {line}: '{cell[:30]}' is not a time in milliseconds above 0 and at most "
                f"{MAX_MS:,.0f}"
            )
        found.append(value)
    return np.array(found)
