"""What the plain backbone costs beside a run with exits: timm's own forward pass, timed in turn
with the run."""

from __future__ import annotations

import time
from statistics import median

import numpy as np
import torch

from mvit.clock import clock_for
from mvit.models.exit import AnyExit
from mvit.models.multi_exit import MultiExitViT, Plan

ROUNDS, SECONDS = 5, 1.0  # as many rounds as fit into the seconds, at least one


@torch.inference_mode()
def plain_ms(model: MultiExitViT, image: np.ndarray | torch.Tensor, repeats: int = 3) -> float:
    """Median milliseconds of the backbone's plain forward pass on one picture, no exit anywhere,
    after one pass of warm-up."""
    x, clock = model.to_input(image), clock_for(model.device)
    marks = []
    for _ in range(repeats + 1):
        start = clock.mark()
        model.backbone(x)
        marks.append((start, clock.mark()))
    clock.finish()
    return median(clock.ms(*pair) for pair in marks[1:])


def run_beside_plain(
    model: MultiExitViT, image: np.ndarray, plan: Plan
) -> tuple[list[AnyExit], float]:
    """(exits of an uninterrupted run, median ms of the plain pass): a few runs in turn with plain
    passes, after one of each to warm up.

    The run of middle length is given back whole, so that its times belong together. At most 5
    rounds, and none begun after a second.
    """
    x, runs, plain = model.to_input(image), [], []
    list(model.run(x, plan))
    end = time.monotonic() + SECONDS
    while not runs or (len(runs) < ROUNDS and time.monotonic() < end):
        plain.append(plain_ms(model, x, 1))
        runs.append(list(model.run(x, plan)))
    runs.sort(key=lambda exits: exits[-1].elapsed_ms)
    return runs[len(runs) // 2], median(plain)
