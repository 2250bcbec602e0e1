"""Charts that were drawn before: the same chart of the same numbers is put together once."""

from __future__ import annotations

import hashlib
import io
import pickle
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

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
            key = fingerprint((name, args, options))
        except (pickle.PicklingError, AttributeError, TypeError):  # a rule of somebody's own, say
            return draw(*args, **options)
        figure = _figures.pop(key, None)
        _figures[key] = figure = draw(*args, **options) if figure is None else figure
        for oldest in list(_figures)[:-MOST]:
            _figures.pop(oldest, None)
        return figure

    return drawn


def fingerprint(what: object) -> bytes:
    """A hash of all that an object holds, whatever other objects it shares parts with."""
    written = io.BytesIO()
    pickler = pickle.Pickler(written, pickle.HIGHEST_PROTOCOL)
    pickler.fast = True
    pickler.dump(what)
    return hashlib.sha256(written.getbuffer()).digest()
