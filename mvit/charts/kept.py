"""Charts that were drawn before: the same chart of the same numbers is put together once."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import is_dataclass
from enum import Enum
from functools import wraps
from typing import ParamSpec, TypeVar

import numpy as np
import pandas as pd

P, Figure = ParamSpec("P"), TypeVar("Figure")
MOST = 128  # figures, of a few hundred kilobytes at most
PLAIN = (type(None), bool, int, float, str)

_figures: dict[bytes, object] = {}  # the one asked for last at the end


def kept(draw: Callable[P, Figure]) -> Callable[P, Figure]:
    """Let a function that draws a chart give the same figure for equal arguments, since to put one
    together takes longer than all else. The figure is for all who ask: it must not be changed."""
    name = f"{draw.__module__}.{draw.__qualname__}"

    @wraps(draw)
    def drawn(*args: P.args, **options: P.kwargs) -> Figure:
        try:
            told = repr(content((name, args, options)))
        except TypeError:
            return draw(*args, **options)
        key = hashlib.sha256(told.encode("utf-8", "surrogatepass")).digest()
        figure = _figures.pop(key, None)
        _figures[key] = figure = draw(*args, **options) if figure is None else figure
        for oldest in list(_figures)[:-MOST]:
            _figures.pop(oldest, None)
        return figure

    return drawn


def content(what: object) -> object:
    """All that an argument holds, with its exact type, as plain values whose text differs if they
    do; raises TypeError for what cannot be told so."""
    kind = type(what)
    if isinstance(what, type):
        return _named(what)
    if kind in PLAIN or isinstance(what, np.generic):
        return kind.__name__, what
    if isinstance(what, Enum):
        return _named(kind), what.name
    if isinstance(what, pd.DataFrame):
        columns = [content(what.iloc[:, i]) for i in range(what.shape[1])]
        return (
            _named(kind),
            content(what.index),
            content(what.columns),
            columns,
            content(what.attrs),
        )
    if isinstance(what, (pd.Series, pd.Index)):
        return _named(kind), _labels(what), _kind(what.dtype), content(what.to_numpy())
    if isinstance(what, pd.Categorical):
        return _named(kind), content(pd.Series(what))
    if kind is np.ndarray:
        plain = not what.dtype.hasobject
        held = what.tobytes() if plain else [content(one) for one in what.ravel().tolist()]
        return str(what.dtype), what.shape, held
    if isinstance(what, dict):
        return _named(kind), [(content(key), content(value)) for key, value in what.items()]
    if isinstance(what, (list, tuple)):  # of named ones, two classes may share a name
        return _named(kind), getattr(kind, "_fields", ()), [content(one) for one in what]
    if is_dataclass(what):
        return _named(kind), content(vars(what))
    raise TypeError(f"a chart of {kind.__name__} is drawn anew")


def _named(kind: type) -> tuple[str, str]:
    if "<locals>" in kind.__qualname__:
        raise TypeError(f"other functions may have a {kind.__name__} of their own")
    return kind.__module__, kind.__qualname__


def _labels(what: pd.Series | pd.Index) -> object:
    """The names and the row labels of a column, or the names of labels."""
    if isinstance(what, pd.Index):
        return content(list(what.names))
    return content(what.name), content(what.index)


def _kind(dtype: object) -> object:
    """What a column may hold: categories also by their order and those that no row has."""
    if isinstance(dtype, pd.CategoricalDtype):
        return content(dtype.categories), dtype.ordered
    return str(dtype)
