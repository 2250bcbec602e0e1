"""What the plain backbone costs: timm's own forward pass, timed as the exits are."""

from __future__ import annotations

from statistics import median

import numpy as np
import torch

from mvit.clock import clock_for
from mvit.multi_exit import MultiExitViT


@torch.inference_mode()
def plain_ms(model: MultiExitViT, image: np.ndarray | torch.Tensor, repeats: int = 3) -> float:
    """Median milliseconds of the backbone's plain forward pass on one picture, no exit anywhere, after one pass of warm-up."""
    x, clock = model.to_input(image), clock_for(model.device)
    marks = []
    for _ in range(repeats + 1):
        start = clock.mark()
        model.backbone(x)
        marks.append((start, clock.mark()))
    clock.finish()
    return median(clock.ms(*pair) for pair in marks[1:])
