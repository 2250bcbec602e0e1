"""Points from files: x and y, in pixels, of every head in a picture. What could be read in two ways
is refused."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from scipy.io import loadmat

from mvit.data.folders import DataError
from mvit.data.tables import DEFAULT, INDEX, Table, axis, read_table, words

POINT_SUFFIXES = (".mat", ".npy", ".csv", ".tsv", ".txt")
# names of the points in published .mat files and in those that people write themselves
POINT_NAMES = {
    *("annpoints", "location", "locations", "loc", "points", "point", "pointposition", "dots"),
    *("heads", "headpoints", "gt", "xy", "coords", "coordinates", "positions", "annotations"),
}
NO_POINTS = re.compile("size|shape|box|rect|number|count|num|width|height|scale|density|map|roi")
CORNERS = {
    *("xmin", "ymin", "xmax", "ymax", "x1", "y1", "x2", "y2", "x0", "y0"),
    *("left", "top", "right", "bottom", "w", "h", "width", "height"),
}
PICTURE_WORDS = {"file", "filename", "image", "img", "picture", "photo", "frame", "path", "slice"}
BOXES = "they look like boxes, and a count needs points: the x and y of each head"


def read_points(file: Path, size: tuple[int, int] | None = None) -> np.ndarray:
    """Head positions (N, 2) as x, y in pixels; see `understand`. Raises DataError."""
    return understand(file, size)[0]


def understand(file: Path, size: tuple[int, int] | None = None) -> tuple[np.ndarray, str]:
    """Head positions (N, 2) as x, y in pixels, and how the file was understood, in words.

    Reads .mat (the points of the published sets, or the one array there is), .npy, and text. An
    array or a list without any element means nobody. size: (width, height) of the picture, if
    known. Raises DataError, one sentence, for everything else.
    """
    try:
        data, suffix = file.read_bytes(), file.suffix.lower()
        if suffix == ".mat":
            points, how = from_mat(data)
        elif suffix == ".npy":
            points, how = from_array(load_npy(data))
        elif suffix == ".txt" and not data.strip():
            return np.empty((0, 2)), "empty list"  # as JHU-CROWD++ says that nobody is there
        else:
            points, how = from_table(read_table(data))
        if not np.isfinite(points).all():
            row = int(np.flatnonzero(~np.isfinite(points).all(1))[0]) + 1
            raise DataError(f"point {row} has no finite position")
        refuse_fillers(points)
        bare = how == "N x 2" and suffix not in (".mat", ".npy")
        refuse_size(points, size, guess=bare and size is None)
    except (OSError, DataError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise DataError(f"{file.name} holds no N x 2 array of points: {reason}") from error
    return points, how


def refuse_fillers(points: np.ndarray) -> None:
    """Raise DataError for rows that stand for something else than a head: -1, -1 and repeated zeros
    fill tables up, and a mask repeats one pair."""
    pairs, times = np.unique(points, axis=0, return_counts=True)
    for pair, count in zip(pairs.tolist(), times.tolist(), strict=True):
        filler = pair == [-1, -1] or (count > 1 and pair == [0, 0])
        if filler or count > max(2, len(points) / 2):
            raise DataError(f"({pair[0]:g}, {pair[1]:g}) stands there {count} times, as a filler")


def refuse_size(points: np.ndarray, size: tuple[int, int] | None, guess: bool) -> None:
    """Raise DataError where the first or the last row is the picture's size, as some tools write
    it, or, where `guess` says so, where the first one looks like a size."""
    if len(points) < 2:
        return
    for place, row in (("first", points[0]), ("last", points[-1])):
        if size is not None and sorted(row.tolist()) == sorted(size):
            raise DataError(f"its {place} row is the picture's size, {size[0]} x {size[1]}")
    (x, y), others = points[0], points[1:]
    if not guess or x % 1 or y % 1 or min(x, y) < 32 or (points[0] <= others.max(axis=0)).any():
        return
    if (others % 1).any() or not (points[0] % 4).any():
        raise DataError(f"its first row ({x:g}, {y:g}) looks like the picture's size")


def load_npy(data: bytes) -> np.ndarray:
    """The array of a .npy file; raises DataError."""
    if not data.startswith(b"\x93NUMPY"):
        raise DataError("it is empty" if not data else "it is no NumPy file")
    try:
        return np.load(io.BytesIO(data), allow_pickle=False)
    except Exception:  # damaged data makes NumPy raise about anything
        raise DataError("it is cut short, damaged, or holds Python objects") from None


def from_mat(data: bytes) -> tuple[np.ndarray, str]:
    """The points of a MATLAB file, and how they were understood; raises DataError."""
    try:
        found = loadmat(io.BytesIO(data))
    except NotImplementedError:
        raise DataError("it is a MATLAB 7.3 file; save it with -v7") from None
    except Exception:  # damaged data makes the reader raise about anything
        raise DataError("it is empty" if not data else "it is no whole MATLAB file") from None
    arrays = [a for k, v in found.items() if not k.startswith("_") for a in numbers_in(k, v)]
    name, array = points_among(arrays)
    points, how = from_array(array)
    said = [a for k, a in arrays if k.lower() in ("number", "count") and a.size == 1]
    if any(abs(float(a.ravel()[0]) - len(points)) >= 0.5 for a in said):
        told = said[0].ravel()[0]
        raise DataError(f"it says that there are {told:g} people and holds {len(points)} points")
    return points, f"{name}, {how}"


def numbers_in(name: str, value: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    """(name, array) of every array of numbers in MATLAB's variables, cells and structures."""
    if not isinstance(value, np.ndarray):
        return
    if value.dtype.names:
        for element in value.ravel():
            for field in value.dtype.names:
                yield from numbers_in(field, element[field])
    elif value.dtype == object:
        for element in value.ravel():
            yield from numbers_in(name, element)
    elif value.dtype.kind in "iuf":
        yield name, value


def points_among(arrays: list[tuple[str, np.ndarray]]) -> tuple[str, np.ndarray]:
    """The one array that holds the points: by a known name, else the only one that could. Raises
    DataError."""
    axes = {name.lower(): a.ravel() for name, a in arrays if name.lower() in ("x", "y")}
    if len(axes) == 2 and axes["x"].size == axes["y"].size and len(arrays) == 2:
        return "x and y", np.column_stack([axes["x"], axes["y"]])
    plain = [("".join(words(name)), (name, array)) for name, array in arrays]
    found = [entry for name, entry in plain if name in POINT_NAMES]
    if not found:
        found = [entry for name, entry in plain if not NO_POINTS.search(name)]
        if len(found) > 1:
            found = [entry for entry in found if entry[1].ndim == 2 and entry[1].shape[1] == 2]
    if len(found) != 1:
        names = ", ".join(sorted({name for name, _ in arrays})) or "none"
        several = "several arrays could be the points" if found else "no array is the points'"
        raise DataError(f"{several} (arrays of numbers: {names})")
    return found[0]


def from_array(array: np.ndarray) -> tuple[np.ndarray, str]:
    """The points of an array without names of columns; raises DataError."""
    if array.dtype.kind not in "iuf":
        raise DataError("its elements are no plain numbers")
    if not array.size:
        return np.empty((0, 2)), "empty"
    return from_columns(np.asarray(array, dtype=np.float64), distances=True)


def from_columns(values: np.ndarray, distances: bool = False) -> tuple[np.ndarray, str]:
    """Points of columns without names: x and y, beside them at most an index, a label, or what a
    published set adds.

    values: (N, k), or (2, N) with all x before all y. distances: a third column may be DM-Count's,
    the distance to the next head. Raises DataError.
    """
    shape = " x ".join(str(n) for n in values.shape) or "that of one number"
    if values.ndim != 2:
        raise DataError(f"its shape is {shape}, and points are N x 2")
    rows, columns = values.shape
    if columns == 2:
        return values, "N x 2"
    if columns == 6 and is_jhu(values):
        return values[:, :2], "x, y, width, height, occlusion, blur"
    if columns == 3 and rows != 2:
        marks = [j for j in range(3) if rows > 2 and is_mark(values[:, j])]
        if len(marks) == 1:
            kind = f"N x 3 without the numbering or label in column {marks[0] + 1}"
            return np.delete(values, marks, axis=1), kind
        if distances and not marks:
            return values[:, :2], "N x 3, the first two"
    if rows == 2 and columns > 3 and not (columns <= 6 and is_boxes(values)):
        return values.T.copy(), "2 x N"
    if min(rows, columns) > 6:
        raise DataError(f"its shape is {shape}, like a density map's, and points are N x 2")
    hint = f"; {BOXES}" if columns in (4, 5) else ""
    raise DataError(f"its shape is {shape}, and only columns x and y are clear without names{hint}")


def is_mark(column: np.ndarray) -> bool:
    """Whether a column numbers the rows or says the same in each."""
    return bool((np.diff(column) == 1).all() or (column == column[0]).all())


def is_jhu(values: np.ndarray) -> bool:
    """Whether six columns are JHU-CROWD++'s: x, y, width, height, occlusion 1..3, blur 0 or 1."""
    return bool(
        np.isin(values[:, 4], (1, 2, 3)).all()
        and np.isin(values[:, 5], (0, 1)).all()
        and not (values[:, 2:4] > values[:, :2]).all()
    )


def is_boxes(values: np.ndarray) -> bool:
    """Whether rows could be boxes: corners, a class and corners, or YOLO's shares."""
    corners = [values[:, i : i + 4] for i in (0, 1) if values.shape[1] >= i + 4]
    ordered = any((c[:, 2:] > c[:, :2]).all() for c in corners)
    return bool(ordered or (np.abs(values[:, 1:]) <= 1).all())


def from_table(table: Table) -> tuple[np.ndarray, str]:
    """The points of a text's table, by the names of its columns if it has them; raises
    DataError."""
    names = table.names
    if names is not None:
        own = [i for i, name in enumerate(names) if "".join(words(name)) not in INDEX]
        if own and all(DEFAULT.fullmatch(names[i]) for i in own):
            return from_columns(table.numbers(own))
        return from_named(table, names)
    values = table.numbers(list(range(len(table.rows[0]))))
    if table.rows[0] == [str(i) for i in range(values.shape[1])] and len(values) > 1:
        raise DataError("its first row could be numbers of columns; put names, x and y, above")
    return from_columns(values)


def from_named(table: Table, names: list[str]) -> tuple[np.ndarray, str]:
    """The points of a table with named columns; raises DataError."""
    axes = {a: [i for i, name in enumerate(names) if axis(name) == a] for a in "xy"}
    there = ", ".join(name or "''" for name in names[:8])
    boxes = [name for name in names if "".join(words(name)) in CORNERS]
    if boxes and not all(len(own) == 1 and centred(names[own[0]]) for own in axes.values()):
        raise DataError(f"{BOXES} (columns: {there})")
    if not all(len(own) == 1 for own in axes.values()):
        missing = "more than one" if all(axes.values()) else "no"
        raise DataError(f"there is {missing} pair of columns named x and y (columns: {there})")
    x, y = axes["x"][0], axes["y"][0]
    if "%" in names[x] + names[y]:
        raise DataError(f"its points are in per cent, not pixels (columns: {there})")
    for number, name in enumerate(names):
        if "".join(words(name)) in INDEX:
            odd = [f for f in table.column(number) if f and not f.lstrip("+-").isdigit()]
            if odd and len(odd) < len(table.rows):
                raise DataError(f"the row '{odd[0][:20]}' is no point (column {name or 1})")
    for number, name in enumerate(names):
        own = set(words(name))
        if own & PICTURE_WORDS and not own & CORNERS and number not in (x, y):
            if len(set(table.column(number))) > 1:
                raise DataError(f"it lists points of several pictures (column {name})")
    return table.numbers([x, y]), f"columns {names[x]} and {names[y]}"


def centred(name: str) -> bool:
    """Whether a column's name says that it is a centre's."""
    return bool({"c", "cx", "cy", "xc", "yc", "center", "centre"} & set(words(name)))
