"""The link holds the whole view: widgets bound to query parameters, illegal values mended and said,
controls hidden for a class.

Streamlit's own binding (`bind="query-params"`) drops an illegal value silently; `linked` clamps it
instead and tells the visitor.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

_NOTICES, _PLACE, _PAGES, _ASKED = "_notices", "_notices_place", "_pages", "_asked"
_FORGOTTEN = "_forgotten"
FOLLOWED = "followed"  # in the address of a link within the lab, until it has been followed
HIDEABLE = frozenset(
    # parts of pages, buttons, and what the link holds
    "engine all sidebar nav teacher upload export run repeat take verify watch go guess "
    "task backbone device dtype example second head left right exit_head layer look compare speed "
    "deadline exits rule drop scaled cost stop whose whole budget low high pictures side seed cut "
    "split sure mbit delay faster zoom beside count people ground show p step skip points "
    "clip work frame few against until card".split()
)


def start_run() -> None:
    """Forget the last run's notices, make place for new ones above the page, and keep what the link
    hides for the whole visit; app.py calls it first."""
    st.session_state[_NOTICES] = []
    st.session_state[_PLACE] = st.container()
    if FOLLOWED in st.query_params:
        follow()
    elif st.session_state.get(_ASKED, (None, {}))[0] != _place():  # another page was opened since
        st.session_state.pop(_ASKED, None)
    if "hide" in st.query_params:
        st.session_state["_hide"] = st.query_params["hide"]
    elif st.session_state.get("_hide"):
        st.query_params["hide"] = st.session_state["_hide"]


def follow() -> None:
    """Give the controls of this page what the followed link asks for.

    Streamlit by itself lets what the sidebar or the page before holds under the same keys win, and
    leaves what that page's controls had in the address out of `st.query_params`.
    """
    context = get_script_run_ctx()
    asked = parse_qs(context.query_string) if context else {}  # all of it
    asked.pop(FOLLOWED, None)
    del st.query_params[FOLLOWED]
    for key in asked.keys() - st.query_params.keys():
        st.query_params[key] = asked[key]
    st.session_state[_ASKED] = (_place(), asked)


def _place() -> str:
    """Which page runs, whatever its address."""
    context = get_script_run_ctx()
    return context.page_script_hash if context else ""


def asked_page() -> tuple[str | None, dict[str, Any]]:
    """The page that the link names besides its address, if it does, and the rest of the link.
    `?lesson=4` is short for `?page=lesson&step=4`."""
    rest = {k: st.query_params.get_all(k) for k in st.query_params if k not in ("page", "lesson")}
    if "lesson" in st.query_params:
        return "lesson", rest | {"step": st.query_params["lesson"]}
    return st.query_params.get("page"), rest


def page(title: str) -> Callable[[Callable[[], None]], Callable[[], None]]:
    """Decorate a page's `def page()`: its heading is drawn first, and a file that runs without
    app.py around it is started over with it.

    That happens to a new server's first visitor by a deep link: until st.navigation has run once,
    Streamlit takes `pages/` for its old multipage mode and runs the bare file.
    """

    def decorate(draw: Callable[[], None]) -> Callable[[], None]:
        if draw.__module__ == "__main__":
            name = (st.context.url or "").rstrip("/").rsplit("/", 1)[-1]
            asked = {k: st.query_params.get_all(k) for k in st.query_params}
            st.switch_page("app.py", query_params=asked | {"page": name})

        def titled() -> None:
            st.title(title)
            draw()

        return titled

    return decorate


def page_link(name: str, label: str, **options: Any) -> None:
    """Draw a link to another page of the lab, by its file's name; nothing if there is no such page
    or the visitor's link hides the ways there."""
    if name in st.session_state.get(_PAGES, {}) and not hidden("nav"):
        if "query_params" in options:
            options["query_params"] = options["query_params"] | {FOLLOWED: "1"}
        st.page_link(st.session_state[_PAGES][name], label=label, **options)


def _hide() -> list[str]:
    names = [name.strip() for name in st.session_state.get("_hide", "").split(",")]
    return [name for name in names if name]


def hidden(*keys: str) -> bool:
    """True if the link's `?hide=a,b` removes the control of one of these keys; `hide=all` removes
    every control, `hide=sidebar` the sidebar's, `hide=nav` every way to another page or step."""
    return not {"all", *keys}.isdisjoint(_hide())


def say_unknown() -> None:
    """Name what the link hides that is not there to be hidden."""
    # imported late, so that the shell is there even if the library cannot be imported
    from mvit.policies.rules import POLICIES

    known = HIDEABLE | {rule.key for rule in POLICIES.values()}
    if strange := [name for name in _hide() if name not in known]:
        told = ", ".join(strange)[:60]
        notice(f"The link hides {told}, which is no part of any page; the rest of it is obeyed.")


def folded(label: str, *keys: str) -> Any:
    """A place for the controls of these keys that a first look does not need, folded away; a bare
    one if the link hides them all."""
    if all(hidden(key) for key in keys):
        return st.container()
    return st.expander(label, icon=":material/tune:")


def notice(text: str) -> None:
    """Say something friendly about the link or the machine, at once and without stopping the page:
    above it, since the control that it is about may stand in a closed panel."""
    if text not in st.session_state.setdefault(_NOTICES, []):
        st.session_state[_NOTICES].append(text)
        st.session_state.get(_PLACE, st).info(text, icon=":material/link:")


def linked_number(*, key: str, min_value: float, max_value: float, value: float) -> float:
    """The link's number of that key for a control not of Streamlit's making: mended and said if it
    is not legal; `value` if there is none."""
    asked = st.query_params.get_all(key)
    legal = {"min_value": min_value, "max_value": max_value}
    found, complaint = legal_value(asked, legal) if asked else (None, None)
    if complaint:
        notice(f"The link asks for {key} = {', '.join(asked)[:60]}, {complaint}.")
    return value if found is None else found


def linked_seed(help: str, value: int = 1) -> int:
    """Draw the number that chance depends on, in the link as `?seed=`, and return it. help: what
    another one changes."""
    limits = {"min_value": 0, "max_value": 9999, "value": value, "step": 1}
    return linked(st.number_input, "Seed", key="seed", width=130, help=help, **limits)


def linked(widget: Callable, label: str, *, key: str, part_of: str = "", **options: Any) -> Any:
    """Draw a Streamlit input whose value lives in the link as `?key=value`, and return its
    value.

    widget: st.selectbox, st.pills, st.segmented_control, st.slider, st.select_slider,
    st.number_input, st.toggle ... ; options go to it unchanged (`options`, `default`/`index`,
    `min_value`, `help` ...). A value in the link that is not legal is clamped and said. If the link
    hides the control, or what it is `part_of`, it is not drawn and the link's legal value, or else
    the default, is used.
    """
    followed = st.session_state.get(_ASKED, ("", {}))[1].pop(key, None)
    taken = followed is None and _reshape(key, options)
    asked = followed or ([] if taken else st.query_params.get_all(key))
    value, complaint = legal_value(asked, options) if asked else (None, None)
    if complaint:
        notice(f"The link asks for {key} = {', '.join(asked)[:60]}, {complaint}.")
    if hidden(key, part_of or key):
        return _default(options) if value is None else value
    if _forgotten(key) and value is None:
        st.session_state[key], taken = _default(options), True
    elif followed and value is not None:
        st.session_state[key], taken = value, True
    elif value is not None and _wire(value, options) != asked and key not in st.session_state:
        if not complaint:  # legal, but spelled otherwise: Streamlit would drop it from the address
            st.query_params[key] = _wire(value, options)
            st.rerun()
        st.session_state[key], taken = value, True
    # session state is the one source then, else Streamlit warns of two
    if taken and ("default" in options or "value" in options):
        options = {k: v for k, v in options.items() if k not in ("default", "value")}
    return widget(label, key=key, bind="query-params", **options)


def forget(*keys: str) -> None:
    """Let these controls start anew, with their defaults, where they are drawn next. To drop their
    values is not enough: the browser still shows them, and sends them with the next click."""
    for key in keys:
        st.session_state.pop(key, None)
    st.session_state[_FORGOTTEN] = {*keys} | st.session_state.get(_FORGOTTEN, set())


def _forgotten(key: str) -> bool:
    """Whether a control starts anew; it does so once."""
    keys = st.session_state.get(_FORGOTTEN, set())
    found = key in keys
    keys.discard(key)
    return found


def _reshape(key: str, options: dict) -> bool:
    """Make what another page left under a key fit this widget: the last of several values where
    there is room for one, and a list of one where there may be several. Returns whether it did."""
    left, several = st.session_state.get(key), options.get("selection_mode") == "multi"
    if "options" not in options or left is None or isinstance(left, list) == several:
        return False
    values = [v for v in (left if isinstance(left, list) else [left]) if v in options["options"]]
    if values:
        st.session_state[key] = values if several else values[-1]
    else:
        del st.session_state[key]
    return bool(values)


def legal_value(asked: list[str], options: dict) -> tuple[Any, str | None]:
    """What a link's values mean for a widget with these options: (legal value or None for the
    default, complaint or None)."""
    if "options" in options:
        return _read_choice(asked, options)
    if "min_value" in options or "max_value" in options:
        return _read_number(asked[-1], options)
    if asked[-1].lower() in ("true", "false"):
        return asked[-1].lower() == "true", None
    return None, "which is neither true nor false, so the default is shown"


def _read_choice(asked: list[str], options: dict) -> tuple[Any, str | None]:
    show = options.get("format_func", str)
    known = {str(o): o for o in options["options"]} | {show(o): o for o in options["options"]}
    if len(asked) == 1 and asked[0].startswith("['"):  # as links once wrote several values
        asked = re.findall(r"'([^']*)'", asked[0])
    good = [known[a] for a in asked if a in known]
    names = ", ".join(show(o) for o in list(options["options"])[:14])
    complaint = None if len(good) == len(asked) else f"which is not among {names}"
    if options.get("selection_mode") == "multi":
        return (list(dict.fromkeys(good)) or None), complaint
    return (
        good[-1] if good else None
    ), complaint and f"{complaint}, so the {'last legal value' if good else 'default'} is shown"


def _read_number(asked: str, options: dict) -> tuple[Any, str | None]:
    low, high = options.get("min_value", float("-inf")), options.get("max_value", float("inf"))
    kind = int if isinstance(low, int) and isinstance(high, int) else float
    try:
        number = float(asked)
    except ValueError:
        number = float("nan")
    if number != number:
        return None, "which is not a number, so the default is shown"
    legal = kind(min(max(number, low), high))
    return legal, None if low <= number <= high else f"outside {low} to {high}, so {legal} is shown"


def _default(options: dict) -> Any:
    """The value that the widget itself would start with."""
    if "options" in options:
        start = options.get("default", options.get("value"))
        if start is None and options.get("selection_mode") == "multi":
            return []
        return list(options["options"])[options.get("index", 0)] if start is None else start
    return options.get("value", options.get("min_value", False))


def _wire(value: Any, options: dict) -> list[str]:
    """How Streamlit itself writes a legal value into the link."""
    show = options.get("format_func", str)
    if isinstance(value, list):
        return [show(v) for v in value]
    return [str(value).lower()] if isinstance(value, bool) else [show(value)]
