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
from dataclasses import KW_ONLY, dataclass

import cv2
import numpy as np
import torch

from mvit.clock import clock_for, ratio, rounds
from mvit.models.multi_exit import MultiExitViT
from mvit.tasks import Task

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
    _: KW_ONLY
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


def probe_pictures(task: Task, n: int = 4) -> list[np.ndarray]:
    """Pictures to try a task's model on, always the same: smooth coloured blobs, RGB uint8 (64, 64,
    3); for a counter two crowds of simple figures, (384, 576, 3)."""
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[0:1:64j, 0:1:64j]
    found = []
    for _ in range(2 if task.counts else n):
        x, y, width = rng.random(3)
        blob = np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (0.02 + 0.1 * width))[..., None]
        picture = 255 * (blob * rng.random(3) + (1 - blob) * rng.random(3))
        found.append(_crowded(picture, rng) if task.counts else picture.astype(np.uint8))
    return found


def _crowded(ground: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Figures of a head and a body, the larger the nearer, on an enlarged ground."""
    picture = cv2.resize(ground.astype(np.uint8), (576, 384), interpolation=cv2.INTER_CUBIC)
    for y in np.sort(rng.integers(40, 384, 300)).tolist():
        x, size = int(rng.integers(0, 576)), 3 + y // 40
        skin, cloth = ((255 * rng.uniform(low, 0.9, 3)).tolist() for low in (0.4, 0.0))
        cv2.ellipse(picture, (x, y + 3 * size), (size, 2 * size), 0, 0, 360, cloth, -1)
        cv2.circle(picture, (x, y), size, skin, -1)
    return picture


def choose_dtype(
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
    return without_probe(model.device.type, override) or _probe(
        model, pictures or probe_pictures(model.task), n
    )


def without_probe(device: str, override: str = "auto") -> Choice | None:
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


def native_formats(device: str) -> list[str]:
    """The number formats that a device computes itself, float32 first. device: `cpu` or `cuda`."""
    return ["float32"] if without_probe(device) else list(DTYPES)


@torch.inference_mode()
def _probe(model: MultiExitViT, pictures: list[np.ndarray], n: int) -> Choice:
    full, half = model.backbone, copy.deepcopy(model.backbone).to(torch.bfloat16)
    inputs, task = [model.to_input(p) for p in pictures], model.task
    drifts = [
        task.drift(task.scores(full(x)), task.scores(half(x.to(torch.bfloat16)))) for x in inputs
    ]
    worst = max(drifts, key=lambda d: (not d.same, d.gap))
    gap = max(d.gap for d in drifts)
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
    if not worst.same or gap > MAX_CONFIDENCE_GAP:
        dtype, reason = "float32", f"bfloat16 changes answers: {worst.said}"
    elif speedup < WORTHWHILE:
        dtype, reason = "float32", f"bfloat16 is not faster here ({speedup:.2f} times)"
    else:
        dtype, reason = "bfloat16", f"{speedup:.2f} times faster than float32 with the same answers"
    return Choice(
        dtype,
        reason,
        **{f"{name}_ms": float(np.median(ms[name])) for name in DTYPES},
        speedup=speedup,
        same_top1=worst.same,
        confidence_gap=gap,
    )
