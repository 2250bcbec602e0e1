"""What else a user could run, timed beside a model's plain pass."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable

import numpy as np
import timm
import torch

from mvit.clock import clock_for, rounds
from mvit.models.multi_exit import MultiExitViT


@torch.inference_mode()
def peers(model: MultiExitViT, x: torch.Tensor, head: str, n: int) -> list[dict]:
    """What else a user could run, paired with this model's plain pass: plain ViT-Ti, and earlyon's
    ViT-B/16 if installed.

    The peers are untrained, since only their time counts. earlyon's exits lie after layers 4 and
    10, so this model runs the same.
    """
    side = model.task.input_px
    small = (
        timm.create_model("vit_tiny_patch16_224", num_classes=model.task.outputs, img_size=side)
        .to(x.device, x.dtype)
        .eval()
    )
    works: dict[str, Callable] = {
        "this backbone, plain": lambda: model.backbone.vit(x),
        "plain ViT-Ti": lambda: small(x),
    }
    if {4, 10} <= {b for b, _ in model.exits(head)}:
        same = [(4, head), (10, head), model.final_exit]
        works["this model, exits after layers 4 and 10, none taken"] = lambda: list(
            model.run(x, same)
        )
    found, note = [], None
    if importlib.util.find_spec("earlyon") is None:
        note = "not installed"
    elif side != 224:
        note = "takes 224 px only"
    else:
        works |= _earlyon(model, x)
    for name, ms in rounds(works, n, clock=clock_for(x.device)).items():
        found.append({"name": name, "ms": float(np.median(ms))})
    return found + ([{"name": "earlyon ViT-B/16", "skipped": note}] if note else [])


def _earlyon(model: MultiExitViT, x: torch.Tensor) -> dict[str, Callable]:
    """earlyon's ViT-B/16 with thresholds that no confidence reaches."""
    from earlyon.models import vit_b_16_ee

    wrapper = vit_b_16_ee(model.task.outputs, pretrained=False).to(x.device, x.dtype).eval()
    wrapper.config.confidence_thresholds = [1.1] * len(wrapper.config.confidence_thresholds)
    return {"earlyon ViT-B/16, exits after layers 4 and 10, none taken": lambda: wrapper(x)}
