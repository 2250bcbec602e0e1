"""The sidebar's choice of a model, and what a page says when it cannot use it: weights missing or
refused, or a task that the page is not about."""

from __future__ import annotations

from contextlib import nullcontext, suppress
from typing import Any

import streamlit as st

from mvit.bundles import opening, weights
from mvit.bundles.opening import AUTO, JOINT, TASK_NAMES
from mvit.bundles.weights import WeightsError
from mvit.charts.text import plain_label
from mvit.inference import engine, precision
from pages.parts import link, models, pictures, words
from pages.parts.models import GROWN_HELP, TASK_CHOSEN, Bundle

AUTO_HELP = """*auto* takes the model that was trained as a whole, its exits together with its
layers (end to end). Where all heads are needed (Lesson, Compare heads, The paper), it takes the one
that has them all."""
WHY = {True: "it was trained as a whole, with its exits", False: "it has all heads"}
DTYPE_HELP = """In which numbers the network computes. *auto* times both on this machine for a
moment and takes bfloat16 (half as many bits) if it is faster, names the same classes, and moves no
confidence by more than 0.02."""
ENGINE_HELP = """What computes the network's layers. *timm* is the usual library for vision
transformers. *packed* rearranges the weights once, as the processor likes them, instead of in every
run. *auto* tries both for a moment and takes packed if it is faster and says the same."""


def devices() -> list[str]:
    """The devices of this machine that the app can offer, best first."""
    try:
        weights.pick_device("cuda")
    except ValueError:
        return ["cpu"]
    return ["cuda", "cpu"]


def controls() -> None:
    """Draw the sidebar's task, backbone, device, number format and engine; app.py calls it once a
    run. The page then asks `current()`."""
    st.session_state.pop("_choice", None)
    found = st.session_state["_offers"] = weights.offers()
    if not found:
        return
    with st.sidebar:
        meaning = "What the model was trained to answer, and so which labels it knows."
        if "task" in st.query_params:
            _remember_task()
        named = {"format_func": lambda t: TASK_NAMES.get(t, t), "on_change": _picked_task}
        task = _pick("Task", opening.tasks(found), "task", help=meaning, **named)
        bodies = sorted((b for t, b in found if t == task), key=lambda b: ("tiny" not in b, b))
        about = "The vision transformer (ViT) whose encoder layers carry the exits."
        if grown := [b for b in bodies if weights.source(task, b)]:
            small = weights.source(task, grown[0])
            about += f"\n\n**{', '.join(grown)}** is grown from {small} when it is loaded. "
            about += GROWN_HELP
        if any(b.endswith(JOINT) for b in bodies):
            bodies = [AUTO, *bodies]
            about += f"\n\n{AUTO_HELP}"
        backbone = _pick("Backbone", bodies, "backbone", help=about)
        device = _pick(
            "Device",
            devices(),
            "device",
            help="Where the network runs. A GPU appears here if this machine has one.",
            format_func=str.upper,
        )
        dtype = _pick("Number format", [AUTO, *precision.DTYPES], "dtype", help=DTYPE_HELP)
        with nullcontext() if link.hidden("sidebar") else link.folded("More", "engine"):
            computes = _pick("Engine", list(engine.ENGINES), "engine", help=ENGINE_HELP)
    st.session_state["_choice"] = (task, backbone, device, dtype, computes)


def _remember_task() -> None:
    """Note that the visitor, or the link, asked for a task; an upload then does not change it."""
    st.session_state[TASK_CHOSEN] = True


def _picked_task() -> None:
    """The menu's callback: the visitor asked for a task, whatever an upload changed before."""
    _remember_task()
    st.session_state.pop(pictures.SWITCHED, None)
    link.forget("head")  # the new task has its own usual one


def _pick(label: str, options: list[str], key: str, help: str, **more: Any) -> str:
    if link.hidden("sidebar"):
        asked = st.query_params.get_all(key) or [options[0]]
        value, _ = link.legal_value(asked, {"options": options} | more)
        return value or options[0]
    return link.linked(st.selectbox, label, key=key, options=options, help=help, **more)


def counters() -> list[tuple[str, str]]:
    """The installed bundles that count instead of classifying."""
    root = weights.root()
    return [(t, b) for t, b in weights.bundles() if weights.task_in(root / t / b).counts]


def openings() -> list[tuple[str, ...]]:
    """What pages load where the visitor has chosen nothing, the first page's first: task, backbone,
    device, number format, engine. Raises WeightsError if a card is damaged."""
    found = weights.offers()
    if not found:
        return []
    task = opening.tasks(found)[0]
    bodies = [(task, opening.backbone(found, task, joint)) for joint in (True, False)]
    return [(*body, devices()[0], AUTO, AUTO) for body in dict.fromkeys([*bodies, *counters()[:1]])]


def _counter(choice: tuple[str, ...]) -> tuple[str, ...]:
    """The sidebar's choice if it counts, else the first installed bundle that does, which is said;
    stops the page if there is none."""
    found = counters()
    if choice[0] in {t for t, _ in found}:
        return choice
    if not found:
        st.info(
            "No model that counts is installed. `python -m mvit train --task crowd --data DIR` "
            "makes one.",
            icon=":material/groups:",
        )
        st.stop()
    name = TASK_NAMES.get(found[0][0], found[0][0])
    if not link.hidden("sidebar"):
        st.sidebar.caption(
            f"This page always uses the model for {name}: the one chosen here names what it sees "
            "and cannot count."
        )
    return (*found[0], *choice[2:])


def _resolved(choice: tuple[str, ...], joint: bool) -> tuple[str, ...]:
    """The sidebar's choice with the backbone that *auto* means on this page, which is said."""
    if choice[1] != AUTO:
        return choice
    body = opening.backbone(st.session_state["_offers"], choice[0], joint)
    if not link.hidden("sidebar"):
        st.sidebar.caption(f"On this page *auto* is **{body}**: {WHY[joint]}.")
    return choice[0], body, *choice[2:]


def current(counting: bool = False, joint: bool = False) -> Bundle:
    """The bundle that the sidebar chose, loaded; with `counting`, one that counts, whatever the
    sidebar says; with `joint`, *auto* means exits trained end to end.

    If none can be loaded, says which file and why, offers what is intact, and stops the page.
    """
    choice = st.session_state.get("_choice")
    if choice is None:
        nothing = f"There are no weights in {weights.root().name}/, so nothing can run yet."
        st.error(nothing, title="No weights", icon=":material/folder_off:")
        st.markdown(
            "Fetch the repository with its `weights/` folder, or train your own: "
            "`python -m mvit train --help`."
        )
        st.stop()
    choice = _resolved(_counter(choice) if counting else choice, joint)
    try:
        with st.spinner("Reading and checking the weights …", show_time=True):
            bundle = models.load(*choice)
    except WeightsError as error:
        st.error(str(error), title="These weights were refused", icon=":material/gpp_bad:")
        _offer_others(choice[:2])
        st.stop()
    for problem in bundle.problems:
        st.warning(problem, icon=":material/gpp_maybe:")
    if not link.hidden("sidebar"):
        st.sidebar.caption(f"Computes in **{bundle.choice.dtype}**: {bundle.choice.reason}.")
        if bundle.device == "cpu":
            named = f"{bundle.engine.name} {bundle.dtype}"
            st.sidebar.caption(f"Engine **{named}**: {bundle.engine.reason}.")
        if bundle.grown_from:
            st.sidebar.badge(
                f"grown from {bundle.grown_from}",
                icon=":material/open_in_full:",
                color="orange",
                help=GROWN_HELP,
            )
    return bundle


def _offer_others(refused: tuple[str, str]) -> None:
    others = ", ".join(
        f"`{t}/{b}`"
        for t, b in weights.offers()
        if (t, b) != refused and weights.source(t, b) != refused[1]
    )
    st.markdown(
        f"Choose another model in the sidebar: {others}."
        if others
        else "No other model is installed."
    )


def pick_head(bundle: Bundle) -> str:
    """Draw the choice among the model's heads, side by side."""
    return link.linked(
        st.pills,
        "Head",
        key="head",
        options=bundle.heads,
        default=bundle.best_head,
        required=True,
        wrap=True,
        help=words.head_help(bundle.heads),
    )


def other_model() -> str:
    """Which model *auto* takes where all heads are needed, and on which other one Watch opens, in a
    sentence after a space; nothing if the visitor chose one."""
    task, body = (st.session_state.get("_choice") or ("", ""))[:2]
    if body != AUTO or task in {t for t, _ in counters()}:  # Watch shows no counts
        return ""
    found = st.session_state["_offers"]
    here, there = (opening.backbone(found, task, joint) for joint in (False, True))
    return f" The network here is {here}; Watch opens on another, {there}, so answers can differ."


def counting() -> bool:
    """Whether the sidebar's task counts instead of classifying; known before anything is loaded."""
    task, root = (st.session_state.get("_choice") or ("",))[0], weights.root()
    for _, backbone in [own for own in weights.bundles() if own[0] == task]:
        with suppress(WeightsError):  # a damaged card is told of when it is loaded
            return weights.task_in(root / task / backbone).counts
    return False


def classes_only() -> None:
    """Stop the page, kindly, before anything is loaded, if the sidebar's task counts instead of
    classifying: its answers have no confidence and are never just right."""
    if counting():
        task = st.session_state["_choice"][0]
        st.info(
            f"{TASK_NAMES.get(task, task)} gives counts, and this page is about "
            "classes. Counts have their own page; or choose a task with classes in the sidebar.",
            title="Not for counts",
            icon=":material/groups:",
        )
        link.page_link("crowd", "Open the Crowd page", icon=":material/groups:")
        st.stop()


def classes_note(bundle: Bundle) -> None:
    """Name the classes among which every answer must be chosen: all, or a few and the rest on
    hover."""
    names = [*map(plain_label, bundle.model.task.labels)]
    some = names if len(names) <= 12 else [*names[:: len(names) // 10][:10], "…"]
    st.caption(
        f"It must choose one of these {len(names):,} classes, whatever the picture shows: "
        f"{', '.join(some)}{'' if some[-1] == '…' else '.'}",
        help=", ".join(names) if len(some) < len(names) else None,
    )
