"""The helper threads that compute beside a thread, and whose turn it is to have some.

OpenMP gives every thread that computes helpers of its own, one for each further core, and keeps
them when the work is done. GNU's OpenMP lets all helpers of a process fall asleep at every short
wait once there are more of them than cores, and waking them takes longer than a small operation: a
pass of ViT-Ti took 31 instead of 13 ms on two cores as soon as two threads had computed. So there
is one thread for all interruptible runs on a processor, the worker; it keeps its helpers from run
to run and gives them up when another thread computes, which dismisses its own when it is done.
"""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import torch

HARD = 2  # omp_pause_hard: the threads end
ENOUGH = 1 << 17  # numbers that PyTorch shares out among all cores

worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="mvit-run")
_here = threading.local()  # working: whether this thread is the worker, at work
_busy = _kept = False  # whether the worker is at work, and has helpers


def _pause() -> Callable[[int], int] | None:
    """GNU OpenMP's way to end the calling thread's helpers; None where PyTorch came with another
    OpenMP, which knows no such waits."""
    for file in (Path(torch.__file__).parent / "lib").glob("libgomp*"):
        try:
            return ctypes.CDLL(str(file)).omp_pause_resource_all
        except (OSError, AttributeError):
            continue
    return None


_end = _pause()


def dismiss() -> None:
    """End the calling thread's helpers; its next work gathers new ones, in half a millisecond or a
    few."""
    if _end is not None:
        _end(HARD)


@contextmanager
def at_work() -> Iterator[None]:
    """Around what the worker does: it begins with its helpers at hand, and keeps them."""
    global _busy, _kept
    _busy = _here.working = True
    try:
        if not _kept:
            torch.zeros(ENOUGH).add_(1)
            _kept = True
        yield
    finally:
        _busy = _here.working = False


def claim(device: torch.device) -> None:
    """Let the calling thread have the only helpers on a processor: an idle worker gives up its
    own."""
    if device.type == "cpu" and _kept and not (_busy or getattr(_here, "working", False)):
        worker.submit(_give_up).result()


def _give_up() -> None:
    global _kept
    dismiss()
    _kept = False
