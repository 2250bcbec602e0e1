"""Timing on the CPU and on a GPU behind one interface: `mark` now, read the milliseconds later.

A GPU works behind the program's back, so a wall clock read between two launches times nothing.
There a mark is a CUDA event that the GPU itself records; `finish` waits once, at the end, and only
then may marks be read.
"""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass
from importlib import metadata
from pathlib import Path

import numpy as np
import torch


class CpuClock:
    """Monotonic wall clock; on a CPU an operation has ended when its call returns."""

    def mark(self) -> float:
        """Note the present moment."""
        return time.perf_counter()

    def done(self, mark: float) -> bool:
        """Whether the work before a mark has ended: always."""
        return True

    def finish(self) -> None:
        """Make every mark readable."""

    def ms(self, start: float, end: float) -> float:
        """Milliseconds between two marks."""
        return (end - start) * 1000


class NoClock:
    """For work whose time does not matter: marks nothing."""

    def mark(self) -> None:
        return None


class CudaClock:
    """CUDA events in the stream of the work itself."""

    def __init__(self, cuda=torch.cuda):
        self.cuda = cuda

    def mark(self):
        """Put an event behind the work launched so far."""
        event = self.cuda.Event(enable_timing=True)
        event.record()
        return event

    def done(self, mark) -> bool:
        """Whether the GPU has passed a mark; waits for nothing."""
        return mark.query()

    def finish(self) -> None:
        """Wait until the GPU has done all work launched so far."""
        self.cuda.synchronize()

    def ms(self, start, end) -> float:
        """Milliseconds of GPU time between two marks that are `done`; or call `finish` first."""
        return start.elapsed_time(end)


def clock_for(device: torch.device):
    """The right clock for a device."""
    return CudaClock() if device.type == "cuda" else CpuClock()


@dataclass(frozen=True)
class Timing:
    """Milliseconds of n repetitions: median, quartiles and 95th percentile; `iqr` is the
    interquartile range."""

    n: int
    median: float
    q1: float
    _: KW_ONLY
    q3: float
    p95: float

    @classmethod
    def of(cls, ms: np.ndarray | list[float]) -> Timing:
        """Summarise single times in ms: (n,)."""
        median, q1, q3, p95 = np.percentile(ms, (50, 25, 75, 95)).tolist()
        return cls(len(ms), median, q1, q3=q3, p95=p95)

    @property
    def iqr(self) -> float:
        return self.q3 - self.q1


def timed(work: Callable[[], object], clock) -> float:
    """Milliseconds of one call, from idle to idle: waits before the first mark and after the
    last."""
    clock.finish()
    start = clock.mark()
    work()
    end = clock.mark()
    clock.finish()
    return clock.ms(start, end)


def measure(work: Callable[[], object], n: int = 30, warmup: int = 3, clock=None) -> Timing:
    """Time n calls after some that do not count."""
    return paired({"": work}, n, warmup, clock=clock)[""]


def paired(
    works: dict[str, Callable[[], object]], n: int = 30, warmup: int = 3, clock=None
) -> dict[str, Timing]:
    """Time several calls in turn, A B A B ..., so that a slow spell of the machine falls on all
    alike."""
    return {name: Timing.of(ms) for name, ms in rounds(works, n, warmup, clock=clock).items()}


def rounds(
    works: dict[str, Callable[[], object]], n: int = 30, warmup: int = 3, clock=None
) -> dict[str, np.ndarray]:
    """The single times in ms behind `paired`: {name: (n,)}, entry i of all names from the same
    round."""
    clock = clock or CpuClock()
    for work in works.values():
        for _ in range(warmup):
            work()
    ms = {name: np.empty(n) for name in works}
    order = list(works.items())
    for i in range(n):
        # every second round backwards, so that nobody always follows the same one
        for name, work in order if i % 2 == 0 else order[::-1]:
            ms[name][i] = timed(work, clock)
    return ms


def ratio(ms: dict[str, np.ndarray], of: str, to: str) -> float:
    """Median over the rounds of time `of` / time `to`; sturdier than the ratio of two medians when
    the machine drifts."""
    return float(np.median(ms[of] / ms[to]))


def environment(device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32) -> dict:
    """What a measured number depends on: device, CPU, threads, dtype, clock speeds in MHz where
    known, versions."""
    device = torch.device(device)
    on_gpu = device.type == "cuda"
    return {
        "device": torch.cuda.get_device_name(device) if on_gpu else cpu_name(),
        "device_type": device.type,
        "cpu": cpu_name(),
        "cores": cores(),
        "threads": torch.get_num_threads(),
        "clock_mhz": _gpu_mhz(device) if on_gpu else _cpu_mhz(),
        "dtype": str(dtype).removeprefix("torch."),
        "versions": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "timm": metadata.version("timm"),
            "cuda": torch.version.cuda,
        },
        "system": f"{platform.system()} {platform.machine()}",
    }


def _cpu_info(field: str) -> str | None:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return None  # not Linux
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith(field)), None)


def cpu_name() -> str:
    """The processor's own name."""
    return _cpu_info("model name") or platform.processor() or platform.machine()


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _cpu_mhz() -> float | None:
    mhz = _cpu_info("cpu MHz")
    return round(float(mhz)) if mhz else None


def _gpu_mhz(device: torch.device) -> float | None:
    try:
        return torch.cuda.clock_rate(device)
    except (RuntimeError, ImportError, AttributeError):
        return None  # needs NVIDIA's management library
