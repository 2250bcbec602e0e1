"""Charts that were drawn before: the same chart of the same numbers is put together once."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import is_dataclass
from functools import wraps
from typing import ParamSpec, TypeVar

import numpy as np
import pandas as pd

P, Figure = ParamSpec("P"), TypeVar("Figure")
MOST = 128  # figures, of a few hundred kilobytes at most

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
    """All that an argument holds, as plain values whose text differs if they do; raises TypeError
    for what cannot be told so."""
    if what is None or isinstance(what, (str, int, float, np.generic)):
        return type(what).__name__, what
    if isinstance(what, type):
        return what.__module__, what.__qualname__
    if isinstance(what, pd.DataFrame):
        return "table", what.shape, [(name, content(column)) for name, column in what.items()]
    if isinstance(what, pd.Series):
        return "column", content(what.index.to_numpy()), content(what.to_numpy())
    if isinstance(what, np.ndarray):
        return str(what.dtype), content(what.tolist())
    if isinstance(what, dict):
        return "dict", [(content(key), content(value)) for key, value in what.items()]
    if isinstance(what, (list, tuple)):
        return type(what).__name__, [content(one) for one in what]
    if is_dataclass(what):
        return content(type(what)), content(vars(what))
    raise TypeError(f"a chart of {type(what).__name__} is drawn anew")
