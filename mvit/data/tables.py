"""Tables of numbers in text files, whatever program wrote them: delimiters, decimal style, quotes,
byte order marks, headers, index columns."""

from __future__ import annotations

import codecs
import csv
import re
from collections import Counter
from dataclasses import dataclass

import numpy as np

from mvit.data.folders import DataError

NUMBER = re.compile(r"[+-]?([0-9]+([.,][0-9]*)?|[.,][0-9]+)([eE][+-]?[0-9]+)?")
MISSING = {"", "na", "n/a", "nan", "null", "none", "inf", "infinity"}
# names that programs give to columns without one: Var1 (MATLAB), V1 (R), column_0 (Polars)
DEFAULT = re.compile(r"(v|var|col|column|field|unnamed:?)?[ _]?[0-9]+", re.I)
INDEX = {"", "index", "id", "nr", "no", "rownames"}
DELIMITERS = (";", "\t", "|", ",", " ")
FILLERS = {  # what people add to the names of the axes
    *("px", "pixel", "pixels", "coord", "coords", "coordinate", "pos", "position", "point"),
    *("head", "loc", "location", "center", "centre", "c", "in"),
}
AXES = {name: "x" for name in ("x", "cx", "xc", "col", "column", "px")}
AXES |= {name: "y" for name in ("y", "cy", "yc", "row", "py")}
BOMS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}


@dataclass(frozen=True)
class Table:
    """A text file's table: `rows` of as many fields each; `names` of the columns, or None."""

    rows: list[list[str]]
    names: list[str] | None

    def column(self, number: int) -> list[str]:
        """The fields of one column."""
        return [row[number] for row in self.rows]

    def numbers(self, columns: list[int]) -> np.ndarray:
        """Some columns as float64 (rows, columns). Raises DataError for anything but finite numbers
        of one decimal style."""
        fields = [[row[c] for c in columns] for row in self.rows]
        for line, row in enumerate(fields, 1):
            for field in row:
                if not NUMBER.fullmatch(field):
                    raise DataError(f"row {line} has '{field[:30]}' where a number should be")
        comma = decimal_comma([field for row in fields for field in row])
        values = [[float(f.replace(",", ".") if comma else f) for f in row] for row in fields]
        return np.array(values, dtype=np.float64).reshape(-1, len(columns))


def decimal_comma(fields: list[str]) -> bool:
    """Whether the numbers are written with a decimal comma. Raises DataError where a comma could as
    well set thousands apart."""
    commas = [f for f in fields if "," in f]
    if not commas:
        return False
    if any("." in f for f in fields):
        raise DataError(f"it mixes decimal points and commas ('{commas[0]}')")
    grouped = all(re.fullmatch(r"[+-]?[1-9][0-9]{0,2},[0-9]{3}", f) for f in commas)
    if grouped and len(commas) < len(fields):
        raise DataError(f"'{commas[0]}' could be a decimal comma or a thousand")
    return True


def read_table(data: bytes) -> Table:
    """Read the one table of numbers in a text; raises DataError, also where there is none."""
    lines = lines_of(decode(data))
    if not lines:
        raise DataError("it is empty; a header x,y alone would say that nobody is there")
    tables = [t for d in DELIMITERS if (t := table_of(lines, d)) is not None]
    found = next((t for t in tables if is_numeric(t)), tables[0] if tables else None)
    if found is None:
        raise DataError(uneven(lines))
    return found


def uneven(lines: list[str]) -> str:
    """Why lines are no table: which has not as many values as most."""
    cut = [[len(row) for row in rows_of(lines, d)] for d in DELIMITERS]
    widths = max(cut, key=lambda own: (max(own, default=1) > 1, own.count(max(own, default=1))))
    usual = Counter(widths).most_common(1)[0][0] if widths else 1
    odd = next((i for i, width in enumerate(widths) if width != usual), None)
    if odd is not None:
        return f"line {odd + 1}, '{lines[odd][:40]}', has not as many values as most of the others"
    if any(NUMBER.fullmatch(line) for line in lines):
        return "it has one number a line, and a point needs two, x and y"
    return f"it holds no numbers but '{lines[0][:40]}'"


def decode(data: bytes) -> str:
    """Text of any usual encoding; raises DataError for what is no text."""
    encoding = next((e for mark, e in BOMS.items() if data.startswith(mark)), "utf-8")
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError:
        text = data.decode("latin-1")
    if "\0" in text:
        raise DataError("it is no text")
    return text


def lines_of(text: str) -> list[str]:
    """The lines that say something. A comment is dropped, unless it is the first line and names
    columns, as numpy.savetxt writes its header."""
    lines = [line.strip(" ") for line in text.splitlines() if line.strip()]
    if lines and re.fullmatch(r"sep=.", lines[0], re.I):  # Excel's hint
        lines = lines[1:]
    if lines and {"x", "y"} <= {axis(name) for name in re.split(r"[#%\s,;|]+", lines[0])}:
        lines[0] = lines[0].lstrip("#% ")
    return [line for line in lines if line[0] not in "#%"]


def rows_of(lines: list[str], delimiter: str) -> list[list[str]]:
    """The lines cut at a delimiter, without quotes and brackets; none if quotes are left open."""
    if delimiter == " ":
        lines = [" ".join(line.split()) for line in lines]
    try:
        rows = list(csv.reader(lines, delimiter=delimiter, skipinitialspace=True, strict=True))
    except csv.Error:
        return []
    rows = [[bare(field) for field in row] for row in rows]
    if len({len(row) for row in rows}) == 1 and all(not row[-1] for row in rows):
        return [row[:-1] for row in rows]  # each line ends in a delimiter
    return rows


def bare(field: str) -> str:
    """A field without quotes, and a number without the brackets of a Python list."""
    field = field.strip(" \t'")
    number = field.strip("()[] ")
    return number if NUMBER.fullmatch(number) else field


def table_of(lines: list[str], delimiter: str) -> Table | None:
    """The lines cut at a delimiter, or None if that gives no table of two columns or more."""
    rows = rows_of(lines, delimiter)
    if len(rows) > 1 and len(rows[0]) == len(rows[1]) - 1 and not any(map(is_value, rows[0])):
        rows[0] = ["", *rows[0]]  # R leaves out the name of the row names
    if len({len(row) for row in rows}) != 1 or len(rows[0]) < 2:
        return None
    # pandas numbers columns without names, after an empty name for its index
    counted = ["", *map(str, range(len(rows[0]) - 1))]
    is_header = rows[0] == counted or not all(map(is_value, rows[0]))
    return Table(rows[1:], rows[0]) if is_header else Table(rows, None)


def is_value(field: str) -> bool:
    """Whether a field is a number, or says that one is missing or has no finite value."""
    return bool(NUMBER.fullmatch(field)) or field.lower().lstrip("+-") in MISSING


def is_numeric(table: Table) -> bool:
    """Whether all the fields below the header are numbers, missing ones included, or its header
    names both axes and these columns are."""
    if table.names is not None:
        axes = [axis(name) for name in table.names]
        if "x" in axes and "y" in axes:
            columns = [i for i, a in enumerate(axes) if a]
            rows = [[row[c] for c in columns] for row in table.rows]
            return all(is_value(f) for row in rows for f in row)
    fields = [f for row in table.rows for f in row]
    return bool(fields) and all(is_value(f) for f in fields)


def words(name: str) -> list[str]:
    """The words of a column's name: "headCenter_X (px)" -> head, center, x, px."""
    return re.findall("[a-z]+|[0-9]+", re.sub("([a-z])([A-Z])", r"\1 \2", name).lower())


def axis(name: str) -> str | None:
    """Which axis a column's name means: "x", "y" or None."""
    own = words(name)
    own = [w for w in own if w not in FILLERS] or own
    return AXES.get(own[0]) if len(own) == 1 else None
