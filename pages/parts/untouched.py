"""Controls whose start is computed: an untouched one moves along when the start changes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import streamlit as st

_STARTS = "_starts"  # where each control started last


def following(key: str, start: Any, legal: Callable[[Any], Any] = lambda value: value) -> dict:
    """The start of a control as an option for it: an untouched control moves along with its start,
    a moved one stays, made legal."""
    state = st.session_state
    last = state.get(_STARTS, {})
    state[_STARTS] = last | {key: start}
    if key not in state:
        return {"value": start}
    untouched = key in last and state[key] == last[key] != start
    wanted = start if untouched else legal(state[key])
    if wanted == state[key]:
        return {"value": start}
    state[key] = wanted
    return {}
