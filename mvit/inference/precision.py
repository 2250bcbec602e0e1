"""Which number format to compute in: a short probe instead of a guess.

bfloat16 halves the memory traffic and, on CPUs with instructions for it, multiplies the arithmetic;
on others it is emulated and slow. So both are timed on this machine, and bfloat16 is taken only if
it is faster and says the same. Compiled blocks (torch.compile) are not among the choices: a ViT-Ti
block at batch 1 became 1.04 times faster (CPU time, one thread of an AMD EPYC, PyTorch 2.15) for 15
s of compiling, and needs a C++ compiler on the user's machine.
"""

from __future__ import annotations

import copy
import time
from dataclasses import dataclass

import numpy as np
import torch

from mvit.clock import clock_for, ratio, rounds
from mvit.models.multi_exit import MultiExitViT
from mvit.scenes.drawing import render

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
MAX_CONFIDENCE_GAP = 0.02
MAX_SECONDS = 2.0  # for timing, after one pass of each
WORTHWHILE = 1.1  # times faster; below, nobody would notice, and float32 is exact


class PrecisionError(ValueError):
    """A number format that is not on offer."""


@dataclass(frozen=True)
class Choice:
    """What was chosen and why. speedup: float32 time / bfloat16 time; ms: median of one picture,
    None if not probed.

    same_top1: whether both formats predicted the same class at the final exit of every probe
    picture. confidence_gap: the largest difference of their confidence there.
    """

    dtype: str
    reason: str
    overridden: bool = False
    float32_ms: float | None = None
    bfloat16_ms: float | None = None
    speedup: float | None = None
    same_top1: bool | None = None
    confidence_gap: float | None = None

    @property
    def torch_dtype(self) -> torch.dtype:
        return DTYPES[self.dtype]


def native_bfloat16() -> bool:
    """Whether this CPU computes bfloat16 itself (AVX512_BF16, AMX, or ARM's BF16)."""
    try:
        return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported()) and _has_bf16_instructions()
    except (AttributeError, RuntimeError):
        return False


def _has_bf16_instructions() -> bool:
    checks = (
        getattr(torch.cpu, name, None)
        for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    )
    return (
        any(check() for check in checks if check is not None)
        or torch.backends.cpu.get_cpu_capability() == "SVE256"
    )


def probe_pictures(task, n: int = 4) -> list[np.ndarray]:
    """Pictures to try a task's model on, always the same: smooth coloured blobs, RGB uint8 (64, 64,
    3); for a counter drawn crowds."""
    if task.metric != "accuracy":
        return [render(people, seed=0, size=(576, 384)).picture for people in (60, 240)]
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[0:1:64j, 0:1:64j]
    found = []
    for _ in range(n):
        x, y, width = rng.random(3)
        blob = np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (0.02 + 0.1 * width))[..., None]
        found.append((255 * (blob * rng.random(3) + (1 - blob) * rng.random(3))).astype(np.uint8))
    return found


def choose(
    model: MultiExitViT,
    pictures: list[np.ndarray] | None = None,
    override: str = "auto",
    n: int = 5,
) -> Choice:
    """Probe float32 against bfloat16 on the model's device and choose; apply it with
    `model.to(choice.torch_dtype)`.

    pictures: RGB uint8 (H, W, 3), at least one; `probe_pictures` by default. override: `float32` or
    `bfloat16` skips the probe. bfloat16 is chosen if the device has it, every picture keeps its
    top-1 class (or its count to 2 %), confidences move by at most 0.02, and it is at least 1.1
    times faster in paired runs of one picture: n of them, or as many as fit into two seconds. The
    model, in float32, is left as it is. Raises PrecisionError for another word.
    """
    return settled(model.device.type, override) or _probe(
        model, pictures or probe_pictures(model.task), n
    )


def settled(device: str, override: str = "auto") -> Choice | None:
    """The choice where no probe is needed to make it, else None. device: `cpu` or `cuda`. Raises
    PrecisionError for another word."""
    if override != "auto":
        if override not in DTYPES:
            raise PrecisionError(
                f"there is no number format '{override}'; use auto, {' or '.join(DTYPES)}"
            )
        return Choice(override, "chosen by hand", overridden=True)
    if device == "cpu" and not native_bfloat16():
        return Choice("float32", "this CPU has no bfloat16 instructions")
    if device != "cpu" and not torch.cuda.is_bf16_supported(including_emulation=False):
        return Choice("float32", "this GPU has no bfloat16 instructions")
    return None


@torch.inference_mode()
def _probe(model: MultiExitViT, pictures: list[np.ndarray], n: int) -> Choice:
    full, half = model.backbone, copy.deepcopy(model.backbone).to(torch.bfloat16)
    inputs = [model.to_input(p) for p in pictures]
    found = [
        [model.task.answers(body(x.to(dtype))) for x in inputs]
        for body, dtype in ((full, torch.float32), (half, torch.bfloat16))
    ]
    same, gap = _agreement(model.task.metric, *found)
    x, y = inputs[0], inputs[0].bfloat16()
    works, ms = (
        {"float32": lambda: full(x), "bfloat16": lambda: half(y)},
        {name: [] for name in DTYPES},
    )
    end = time.monotonic() + MAX_SECONDS
    while len(ms["float32"]) < n and (not ms["float32"] or time.monotonic() < end):
        for name, found_ms in rounds(works, 1, warmup=0, clock=clock_for(model.device)).items():
            ms[name] += found_ms.tolist()
        works = dict(reversed(works.items()))  # so that neither always follows the other
    ms = {name: np.array(found_ms) for name, found_ms in ms.items()}
    speedup = ratio(ms, "float32", "bfloat16")
    if not same or gap > MAX_CONFIDENCE_GAP:
        moved = (
            f"a confidence moved by {gap:.3f}"
            if model.task.metric == "accuracy"
            else f"a count moved by {gap:.1%}"
        )
        dtype, reason = (
            "float32",
            "bfloat16 changes answers: " + ("another class" if not same else moved),
        )
    elif speedup < WORTHWHILE:
        dtype, reason = "float32", f"bfloat16 is not faster here ({speedup:.2f} times)"
    else:
        dtype, reason = "bfloat16", f"{speedup:.2f} times faster than float32 with the same answers"
    medians = (float(np.median(ms[name])) for name in DTYPES)
    return Choice(dtype, reason, False, *medians, speedup, same, gap)


def _agreement(
    metric: str, full: list[torch.Tensor], half: list[torch.Tensor]
) -> tuple[bool, float]:
    """Whether all pictures keep their class, and the largest difference of a confidence; of a
    count, its share of the count."""
    if metric == "accuracy":
        a, b = torch.cat(full).max(1), torch.cat(half).max(1)
        return bool((a.indices == b.indices).all()), float((a.values - b.values).abs().max())
    a, b = (torch.stack([people.sum() for people in found]) for found in (full, half))
    return True, float(((a - b).abs() / a.abs().clamp(min=10)).max())
