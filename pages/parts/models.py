"""The models, each loaded once for all visitors, and how a page computes with one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import KW_ONLY, dataclass, field
from pathlib import Path
from typing import TypeVar

import numpy as np
import streamlit as st

from mvit.bundles import weights
from mvit.bundles.opening import AUTO
from mvit.bundles.weights import WeightsError
from mvit.inference import precision
from mvit.inference.engine import EngineChoice
from mvit.inference.fallback import cpu_copy, is_device_failure
from mvit.models.multi_exit import FINAL, MultiExitViT
from mvit.policies.plans import accuracies, best_head
from pages.parts import queue

T = TypeVar("T")
# bytes on disk; of models above that one is kept, and a grown one is always above
LARGE = 100_000_000
GROWN_HELP = """Nobody trained it at this size: each channel of the small network stands here four
times, so the answers are the small network's, and the time and the work are the large one's."""
TASK_CHOSEN = "_task_chosen"  # in the session: the visitor, or the link, asked for a task


@dataclass(frozen=True)
class Bundle:
    """A loaded model with its card. problems: what was refused, and what is used instead; choice:
    its number format, and why.

    runs: what was last measured on the lab's own examples, for everybody to see; the oldest go
    first, see `shared.measured`.
    """

    task: str
    backbone: str
    model: MultiExitViT
    _: KW_ONLY
    card: dict
    problems: tuple[str, ...]
    choice: precision.Choice
    runs: dict = field(default_factory=dict, compare=False)

    @property
    def key(self) -> tuple[str, ...]:
        """What tells the results of one model from another's, in one visit."""
        return self.task, self.backbone, self.device, self.dtype, self.engine.name

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
    def engine(self) -> EngineChoice:
        """What computes the layers at present, and why."""
        return self.model.engine.choice

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
        return accuracies(self.card, self.model.final_exit)

    @property
    def best_head(self) -> str:
        """The intact head with the highest mean recorded accuracy, or lowest mean absolute error:
        what a page shows first."""
        return best_head(self.card, self.heads)


def _make(task: str, backbone: str, device: str, dtype: str, engine: str, stamp: tuple) -> Bundle:
    """Read, check and warm up a model. Raises WeightsError."""
    card = weights.card_of(task, backbone)
    choice = precision.without_probe(weights.pick_device(device).type, dtype)
    if choice is None:
        choice = precision.choose_dtype(
            weights.load(task, backbone, device=device, heads=[]), override=dtype
        )
    problems: list[str] = []
    try:
        model = weights.load(task, backbone, device, dtype=choice.torch_dtype, engine=engine)
    except WeightsError:
        weights.load(task, backbone, device="cpu", heads=[])  # what is wrong with more than a head
        names = weights.head_names(card["files"])
        intact = [name for name in names if _is_intact(task, backbone, name, problems=problems)]
        model = weights.load(
            task, backbone, device, dtype=choice.torch_dtype, heads=intact, engine=engine
        )
        if not intact:
            raise WeightsError(
                f"no head of {task}/{backbone} is intact: {'; '.join(problems)}"
            ) from None
    problems = [f"{problem} The other heads are intact and in use." for problem in problems]
    if reason := weights.refusal(task, backbone):
        small = weights.source(task, backbone)
        problems.append(f"{reason}. Until then you see the network grown from {small}.")
    first = [(next(layer for layer, _ in model.exits(head)), head) for head in model.heads]
    for _ in model.run(np.zeros((8, 8, 3), np.uint8), [*first, (model.depth, FINAL)]):
        pass  # so that the first measured run is not the slow one, and the engine is chosen
    return Bundle(task, backbone, model, card=card, problems=tuple(problems), choice=choice)


# One copy for all visitors; the last argument tells the files apart, so that changed weights are
# read anew.
_small = st.cache_resource(max_entries=6, show_spinner=False)(_make)
_large = st.cache_resource(max_entries=1, show_spinner=False)(_make)


def _is_intact(task: str, backbone: str, head: str, problems: list[str]) -> bool:
    try:
        weights.load(task, backbone, device="cpu", heads=[head])
    except WeightsError as error:
        problems.append(str(error))
        return False
    return True


def load(task: str, backbone: str, device: str, dtype: str = AUTO, engine: str = AUTO) -> Bundle:
    """The loaded bundle, every kind of head warmed up; raises WeightsError."""
    folders = weights.folders(task, backbone)
    stamps = tuple(stamp for folder in folders for stamp in _stamps(folder))
    trained = len(folders) > 1 and "delta" in weights.read_card(folders[0])
    large = weights.source(task, backbone) or trained or sum(size for _, _, size in stamps) > LARGE
    return (_large if large else _small)(task, backbone, device, dtype, engine, stamps)


def _stamps(folder: Path) -> Iterator[tuple[str, int, int]]:
    """Name, time and size of every file of a bundle; one that is deleted meanwhile is left out, and
    missed when it is read."""
    for file in sorted(folder.rglob("*")):
        with suppress(OSError):
            about = file.stat()
            yield str(file), about.st_mtime_ns, about.st_size


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
