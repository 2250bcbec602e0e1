"""What computes a run's layers: PyTorch's dense layers as they are, or with weights laid out once
for the processor (mvit.inference.packed). A short probe decides, at the first run of one picture.

PyTorch hands its weights to the matrix library as they lie, and the library rearranges them on
every call. At batch 1 that is a good part of the time. Which library is fastest, and whether any
beats the plain layers, depends on the processor, so each is timed here, and taken only if it is
faster and says the same.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass

import numpy as np
import torch

from mvit.clock import clock_for, ratio, rounds
from mvit.inference.packed import LIBRARIES, Packed
from mvit.inference.precision import MAX_CONFIDENCE_GAP, probe_pictures
from mvit.models.inline_layers import StraightLayer
from mvit.models.multi_exit import MultiExitViT

AUTO, TIMM, PACKED = ENGINES = ("auto", "timm", "packed")
WORTHWHILE = 1.05  # times faster; below, it may be chance
LAYERS, ROUNDS, SECONDS = 2, 15, 0.5  # timed: as many layers and rounds as fit, at least three

# The time of a layer depends on its sizes alone: {what was timed: {library: times faster}}
_timed: dict[tuple, dict[str, float]] = {}


class EngineError(ValueError):
    """An engine that there is none of."""


@dataclass(frozen=True, kw_only=True)
class EngineChoice:
    """What computes the layers, `timm` or `packed`, and why, in words that go on after its name.

    library: whose layout. speedup: time of plain / of packed encoder layers, None if not timed.
    """

    name: str
    reason: str
    library: str | None = None
    speedup: float | None = None


class Engine:
    """The engine of one model: `auto`, `timm` or `packed`. Raises EngineError for another word.

    Decides at the first run of one picture; timm until then. A copy decides for itself.
    """

    def __init__(self, asked: str = AUTO):
        if asked not in ENGINES:
            raise EngineError(
                f"there is no engine '{str(asked)[:40]}'; there are: {', '.join(ENGINES)}"
            )
        self.asked = asked
        self._lock, self._place = threading.Lock(), None
        self._packed: Packed | None = None
        self._choice = _plain("chosen by hand" if asked == TIMM else "nothing has run yet")

    def __reduce__(self):
        return Engine, (self.asked,)

    @property
    def choice(self) -> EngineChoice:
        """What computes the layers now."""
        if self._packed is not None and self._packed.problem:
            return _plain(f"packed layers failed ({self._packed.problem})")
        return self._choice

    def packed(self, model: MultiExitViT, x: torch.Tensor) -> Packed | None:
        """What computes a run of one picture x: (tiles, 3, S, S); None where timm's modules, or the
        plain layers, do."""
        side = model.task.input_px
        if self.asked == TIMM or x.shape != (model.task.tiles, 3, side, side):
            return None
        with self._lock:
            place = x.device, x.dtype
            if self._place != place:
                if any(straight and straight.watched() for straight in _straight(model)):
                    return None  # modules run now; what they take says nothing
                self._packed, self._choice = _decide(model, x, self.asked)
                self._place = place
        return None if self._packed is None or self._packed.problem else self._packed


def _straight(model: MultiExitViT) -> list[StraightLayer | None]:
    """The code of every encoder layer; None for one of another kind."""
    return [block.__dict__.get("straight") for block in model.backbone.vit.blocks]


def _plain(reason: str, speedup: float | None = None) -> EngineChoice:
    return EngineChoice(name=TIMM, reason=reason, speedup=speedup)


def _decide(model: MultiExitViT, x: torch.Tensor, asked: str) -> tuple[Packed | None, EngineChoice]:
    if x.device.type != "cpu":
        return None, _plain("packed weights are for processors, not for GPUs")
    if not all(_straight(model)):
        return None, _plain("these encoder layers are not timm's plain ones")
    if not (ways := _at_hand()):
        return None, _plain("this PyTorch has no operators for packed weights")
    speedups = _speedups(model, x, ways)
    ways = {name: packed for name, packed in ways.items() if not packed.problem}
    if not ways:
        return None, _plain("packed weights do not work on this processor in this number format")
    best = max(ways, key=speedups.__getitem__)
    packed, speedup = ways[best], speedups[best]
    if asked == AUTO and speedup < WORTHWHILE:
        return None, _plain(f"packed weights are not faster here ({speedup:.2f} times)", speedup)
    if why := _disagreement(model, packed):
        return None, _plain(f"packed weights change answers here: {why}", speedup)
    reason = f"{speedup:.2f} times as fast as timm's layers here, with the same answers"
    return packed, EngineChoice(name=PACKED, reason=reason, library=best, speedup=speedup)


def _at_hand() -> dict[str, Packed]:
    """Every library that this PyTorch offers."""
    found = {}
    for library in LIBRARIES:
        try:
            found[library.name] = Packed(library())
        except (AttributeError, RuntimeError):
            continue  # another PyTorch, or built without it
    return found


def _speedups(model: MultiExitViT, x: torch.Tensor, ways: dict[str, Packed]) -> dict[str, float]:
    """How many times faster the first encoder layers are by each library than plain."""
    backbone, plain = model.backbone, {"": None}
    tokens = backbone.embed(x)
    vit = backbone.vit
    sizes = tuple(p.shape for p in vit.blocks[0].parameters())
    place = (*ways, sizes, vit.blocks[0].attn.num_heads, tokens.shape, x.dtype)
    key = (*place, torch.get_num_threads())

    def layers(packed: Packed | None) -> None:
        y = tokens
        for layer in range(1, min(LAYERS, backbone.depth) + 1):
            y = backbone.block(y, layer, packed)

    works = {name: lambda p=packed: layers(p) for name, packed in (plain | ways).items()}
    for work in works.values():  # lays the weights out, or shows that it cannot be done
        work()
    if key in _timed:
        return _timed[key]
    clock, end, ms = clock_for(x.device), time.monotonic() + SECONDS, {name: [] for name in works}
    while len(ms[""]) < ROUNDS and (len(ms[""]) < 3 or time.monotonic() < end):
        for name, found in rounds(works, 1, warmup=0, clock=clock).items():
            ms[name] += found.tolist()
        works = dict(reversed(works.items()))  # so that none always follows the same other
    taken = {name: np.array(found) for name, found in ms.items()}
    _timed[key] = {name: ratio(taken, "", name) for name in ways}
    return _timed[key]


def _disagreement(model: MultiExitViT, packed: Packed) -> str | None:
    """What the packed final exit says otherwise than the plain one about a few pictures, in words;
    None if it says the same."""
    task = model.task
    for picture in probe_pictures(task, 2)[: 1 if task.counts else 2]:
        x = model.to_input(picture)
        scores = [task.scores(answer(model, x, way)) for way in (None, packed)]
        drift = task.drift(*scores)
        if not all(torch.isfinite(s).all() for s in scores):
            return "they are no numbers"
        if not drift.same or drift.gap > MAX_CONFIDENCE_GAP:
            return drift.said
    return packed.problem or None


def answer(model: MultiExitViT, x: torch.Tensor, packed: Packed | None) -> torch.Tensor:
    """The final exit's logits (B, out) for x: (B, 3, S, S), by packed layers or by plain ones."""
    tokens = model.backbone.embed(x, packed)
    for layer in range(1, model.depth + 1):
        tokens = model.backbone.block(tokens, layer, packed)
    head = model.backbone.vit.head
    return model.backbone.final(tokens, packed.exit(head) if packed else head)
