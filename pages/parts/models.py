"""The model that the sidebar chose: loaded once for all visitors, and what to say when its weights
are missing or refused."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import numpy as np
import streamlit as st

from mvit.bundles import weights
from mvit.bundles.weights import WeightsError
from mvit.inference import precision
from mvit.inference.fallback import cpu_copy, is_device_failure
from mvit.models.multi_exit import FINAL, MultiExitViT
from mvit.policies.plans import best_head
from pages.parts import link, queue

T = TypeVar("T")
AUTO = "auto"
JOINT = "_end_to_end"  # ends the name of a bundle whose exits were trained with their backbone
# bytes on disk; of models above that one is kept, and a grown one is always above
LARGE = 100_000_000
GROWN_HELP = """Nobody trained it at this size: each channel of the small network stands here four times, so the answers are the small
network's, and the time and the work are the large one's."""
AUTO_HELP = """*auto* takes the model that shows a page's point: where one run is watched in time, the one
whose exits were trained end to end; elsewhere the one with all heads."""
DTYPE_HELP = """In which numbers the network computes. *auto* times both on this machine for a moment and takes bfloat16 if it is faster,
names the same classes, and moves no confidence by more than 0.02."""
TASK_NAMES = {
    "cifar10": "CIFAR-10",
    "cifar100": "CIFAR-100",
    "imagenet1k": "Any photo (1,000 things)",
    "crowd": "Crowd counting",
}


@dataclass(frozen=True)
class Bundle:
    """A loaded model with its card. problems: one sentence for each head that was refused; choice:
    its number format, and why.

    runs: what was last measured on the lab's own examples, for everybody to see; the oldest go
    first, see `shared.measured`.
    """

    task: str
    backbone: str
    model: MultiExitViT
    card: dict
    problems: tuple[str, ...]
    choice: precision.Choice
    runs: dict = field(default_factory=dict, compare=False)

    @property
    def key(self) -> tuple[str, str, str, str]:
        """What tells the results of one model from another's, in one visit."""
        return self.task, self.backbone, self.device, self.dtype

    @property
    def grown_from(self) -> str | None:
        """The backbone that this one was grown from, if it was."""
        return self.model.grown_from

    @property
    def device(self) -> str:
        return str(self.model.device)

    @property
    def dtype(self) -> str:
        return str(self.model.dtype).removeprefix("torch.")

    @property
    def heads(self) -> list[str]:
        """Names of the heads that are intact."""
        return list(self.model.heads)

    def accuracy(self, layer: int, head: str) -> float | None:
        """The exit's accuracy on the official test split, from the card; None if it was never
        measured."""
        return self.accuracies.get((layer, head))

    @property
    def accuracies(self) -> dict[tuple[int, str], float]:
        """{(layer, head): recorded test accuracy}, the backbone's own exit included."""
        known = {
            (e["layer"], e["head"]): e["accuracy"]
            for e in self.card.get("exits", [])
            if "accuracy" in e
        }
        final = self.card.get("final", {})
        return known | (
            {(self.model.depth, "final"): final["accuracy"]} if "accuracy" in final else {}
        )

    @property
    def best_head(self) -> str:
        """The intact head with the highest mean recorded accuracy, or lowest mean absolute error:
        what a page shows first."""
        return best_head(self.card, self.heads)


def _make(task: str, backbone: str, device: str, dtype: str, stamp: tuple) -> Bundle:
    """Read, check and warm up a model. Raises WeightsError."""
    card = weights.card_of(task, backbone)
    choice = precision.settled(weights.pick_device(device).type, dtype)
    if choice is None:
        choice = precision.choose(
            weights.load(task, backbone, device=device, heads=[]), override=dtype
        )
    problems: list[str] = []
    try:
        model = weights.load(task, backbone, device, choice.torch_dtype)
    except WeightsError:
        names = weights.head_names(card["files"])
        intact = [name for name in names if _is_intact(task, backbone, name, problems)]
        model = weights.load(task, backbone, device, choice.torch_dtype, intact)
        if not intact:
            raise WeightsError(
                f"no head of {task}/{backbone} is intact: {'; '.join(problems)}"
            ) from None
    first = [(next(layer for layer, _ in model.exits(head)), head) for head in model.heads]
    for _ in model.run(np.zeros((8, 8, 3), np.uint8), [*first, (model.depth, FINAL)]):
        pass  # so that the first measured run is not the slow one
    return Bundle(task, backbone, model, card, tuple(problems), choice)


# One copy for all visitors; the last argument tells the files apart, so that changed weights are
# read anew.
_small = st.cache_resource(max_entries=6, show_spinner=False)(_make)
_large = st.cache_resource(max_entries=1, show_spinner=False)(_make)


def _is_intact(task: str, backbone: str, head: str, problems: list[str]) -> bool:
    try:
        weights.load(task, backbone, device="cpu", heads=[head])
    except WeightsError as error:
        if "backbone.safetensors" in str(error):
            raise
        problems.append(str(error))
        return False
    return True


def load(task: str, backbone: str, device: str, dtype: str = AUTO) -> Bundle:
    """The loaded bundle, every kind of head warmed up; raises WeightsError."""
    stamps = tuple(_stamps(weights.folder(task, backbone)))
    large = weights.source(task, backbone) or sum(size for _, _, size in stamps) > LARGE
    return (_large if large else _small)(task, backbone, device, dtype, stamps)


def _stamps(folder: Path) -> Iterator[tuple[str, int, int]]:
    """Name, time and size of every file of a bundle; one that is deleted meanwhile is left out, and
    missed when it is read."""
    for file in sorted(folder.rglob("*")):
        with suppress(OSError):
            about = file.stat()
            yield str(file), about.st_mtime_ns, about.st_size


def devices() -> list[str]:
    """The devices of this machine that the app can offer, best first."""
    try:
        weights.pick_device("cuda")
    except ValueError:
        return ["cpu"]
    return ["cuda", "cpu"]


def choose() -> None:
    """Draw the sidebar's task, backbone, device and number format; app.py calls it once a run. The
    page then asks `current()`."""
    st.session_state.pop("_choice", None)
    found = weights.offers()
    if not found:
        return
    with st.sidebar:
        tasks = list(dict.fromkeys(t for t, _ in found))
        tasks.sort(key=lambda t: list(TASK_NAMES).index(t) if t in TASK_NAMES else 99)
        meaning = "What the model was trained to answer, and so which labels it knows."
        task = _pick("Task", tasks, "task", meaning, lambda t: TASK_NAMES.get(t, t))
        bodies = sorted((b for t, b in found if t == task), key=lambda b: ("tiny" not in b, b))
        about = "The vision transformer (ViT) whose encoder layers carry the exits."
        if grown := [b for b in bodies if weights.source(task, b)]:
            about += f"\n\n**{', '.join(grown)}** is grown from {weights.source(task, grown[0])} when it is loaded. {GROWN_HELP}"
        if any(b.endswith(JOINT) for b in bodies):
            bodies = [AUTO, *bodies]
            about += f"\n\n{AUTO_HELP}"
        backbone = _pick("Backbone", bodies, "backbone", about)
        device = _pick(
            "Device",
            devices(),
            "device",
            "Where the network runs. A GPU appears here if this machine has one.",
            str.upper,
        )
        dtype = _pick("Number format", [AUTO, *precision.DTYPES], "dtype", DTYPE_HELP)
    st.session_state["_choice"] = (task, backbone, device, dtype)


def _pick(
    label: str, options: list[str], key: str, help: str, show: Callable[[str], str] = str
) -> str:
    if link.hidden("sidebar"):
        value, _ = link.read(
            st.query_params.get_all(key) or [options[0]], {"options": options, "format_func": show}
        )
        return value or options[0]
    return link.linked(st.selectbox, label, key=key, options=options, help=help, format_func=show)


def _counter(choice: tuple[str, ...]) -> tuple[str, ...]:
    """The sidebar's choice if it counts, else the first installed bundle that does, which is said;
    stops the page if there is none."""
    counters = [
        (t, b) for t, b in weights.bundles() if weights.task_of(weights.card_of(t, b)).counts
    ]
    if choice[0] in {t for t, _ in counters}:
        return choice
    if not counters:
        st.info(
            "No model that counts is installed. `python -m mvit train --task crowd --data DIR` makes one.",
            icon=":material/groups:",
        )
        st.stop()
    name = TASK_NAMES.get(counters[0][0], counters[0][0])
    st.caption(
        f"This page uses the model for {name}; the sidebar's task gives classes, which cannot be added up."
    )
    return (*counters[0], *choice[2:])


def _resolved(choice: tuple[str, ...], joint: bool) -> tuple[str, ...]:
    """The sidebar's choice with the backbone that *auto* means on this page, which is said."""
    if choice[1] != AUTO:
        return choice
    bodies = sorted(b for t, b in weights.offers() if t == choice[0])
    body = min(bodies, key=lambda b: (b.endswith(JOINT) != joint, "tiny" not in b, b))
    if not link.hidden("sidebar"):
        st.sidebar.caption(f"The backbone is **{body}**.")
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
            "Fetch the repository with its `weights/` folder, or train your own: `python -m mvit train --help`."
        )
        st.stop()
    choice = _resolved(_counter(choice) if counting else choice, joint)
    try:
        with st.spinner("Reading and checking the weights …", show_time=True):
            bundle = load(*choice)
    except WeightsError as error:
        st.error(str(error), title="These weights were refused", icon=":material/gpp_bad:")
        _offer_others(choice[:2])
        st.stop()
    for problem in bundle.problems:
        st.warning(f"{problem} The other heads are intact and in use.", icon=":material/gpp_maybe:")
    if not link.hidden("sidebar"):
        st.sidebar.caption(f"Computes in **{bundle.choice.dtype}**: {bundle.choice.reason}.")
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


def classes_only(bundle: Bundle) -> None:
    """Stop the page, kindly, for a task that counts instead of classifying: its answers have no
    confidence and are never just right."""
    if bundle.model.task.counts:
        st.info(
            f"{TASK_NAMES.get(bundle.task, bundle.task)} gives counts, and this page is about classes. Counts have their own "
            "page; or choose a task with classes in the sidebar.",
            title="Not for counts",
            icon=":material/groups:",
        )
        link.page_link("crowd", "Open the Crowd page", icon=":material/groups:")
        st.stop()


def inference(bundle: Bundle, work: Callable[[MultiExitViT], T]) -> T:
    """Do `work(model)` when it is this visitor's turn; if the GPU fails or is full, say so and do
    it on the CPU. Raises BusyError."""
    with queue.turn():
        try:
            return work(bundle.model)
        except RuntimeError as error:
            if not is_device_failure(error):
                raise
            substitute, reason = cpu_copy(bundle.model, error)
        st.warning(f"{reason[0].upper()}{reason[1:]}.", icon=":material/memory_alt:")
        return work(substitute)
