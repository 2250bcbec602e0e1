"""What an exit looks at: attributions with Captum through the blocks up to that exit only, every
method called the same way.

The later blocks had no part in an early answer, so they have none in its explanation: an exit after
layer b is explained through the embedding, blocks 1..b and its own head. Captum (Kokhlikyan et al.
2020, arXiv:2009.07896) is imported at the first use, since it takes longer than everything else on
a page.
"""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass

import numpy as np
import torch
from torch.nn import functional as F

from mvit.models.multi_exit import MultiExitViT
from mvit.models.truncated import Truncated
from mvit.tasks import tile_boxes


@dataclass(frozen=True)
class Method:
    """One way to explain. on: "tokens" (entering the last block before the exit) or "picture";
    captum: its class; options: of its call."""

    on: str
    captum: str
    about: str
    _: KW_ONLY
    options: dict


METHODS = {
    "tokens": Method(
        "tokens",
        "InputXGradient",
        "Which patches spoke for the answer: activation times gradient on the tokens that enter "
        "the last layer before the exit (Shrikumar et al. 2016, arXiv:1605.01713). Coarse, "
        "steady and fast.",
        options={},
    ),
    "saliency": Method(
        "picture",
        "Saliency",
        "How strongly the answer would react to a small change of each pixel (Simonyan et al. "
        "2013, arXiv:1312.6034). Fine, but noisy.",
        options={},
    ),
    "input x gradient": Method(
        "picture",
        "InputXGradient",
        "Each pixel's value times the answer's reaction to it (Shrikumar et al. 2016, "
        "arXiv:1605.01713).",
        options={},
    ),
    "integrated gradients": Method(
        "picture",
        "IntegratedGradients",
        "The answer's reaction, summed up on the way from a grey picture to this one "
        "(Sundararajan et al. 2017, arXiv:1703.01365), in eight steps. The slowest.",
        options={"n_steps": 8, "method": "gausslegendre", "internal_batch_size": 4},
    ),
}


# cells a side of a map on a picture that was never enlarged: single pixels are noise
FINEST_PX = 48


class ExplainError(ValueError):
    """A method of explaining that there is none of."""


def attribute(
    model: MultiExitViT,
    image: np.ndarray | torch.Tensor,
    layer: int,
    head: str,
    method: str = "tokens",
    target: int | None = None,
) -> np.ndarray:
    """How much each place of the picture that the model sees spoke for an exit's answer: (S, S)
    float32, 0..1, S = task.input_px.

    A counter's six tiles are explained together and put back in their places: (H, W) as
    `task.stretch` gives the picture. image: RGB uint8 (H, W, 3), or a prepared input (1, 3, S, S).
    target: the class to explain, by default the exit's own answer. "tokens" keeps what speaks for
    the class (as Grad-CAM does, Selvaraju et al. 2017, arXiv:1610.02391); the others take the
    absolute value. All zeros where nothing speaks. Raises PlanError for an exit that is not there,
    ExplainError for an unknown method.
    """
    if method not in METHODS:
        raise ExplainError(
            f"there is no method '{str(method)[:40]}'; there are: {', '.join(METHODS)}"
        )
    how = METHODS[method]
    cut = Truncated(model, layer, head, begin=layer - 1 if how.on == "tokens" else 0)
    with torch.inference_mode(False), torch.enable_grad():
        from captum import attr

        # a tensor made in inference mode cannot take part in a gradient
        x = model.to_input(image).detach().clone()
        with torch.no_grad():
            start = cut.tokens(x) if how.on == "tokens" else x
            target = int(cut(start)[0].argmax()) if target is None else target
        start.requires_grad_()
        given = (
            getattr(attr, how.captum)(cut)
            .attribute(start, target=target, **how.options)
            .detach()
            .float()
        )
    maps = (
        _on_tokens(given, x.shape[-1])
        if how.on == "tokens"
        else _on_picture(given, min(model.task.native_px, FINEST_PX))
    )
    return _scaled(maps[0] if len(maps) == 1 else _put_together(maps, upright=_is_upright(image)))


def _on_tokens(given: torch.Tensor, side: int) -> torch.Tensor:
    """(B, 1+N, D) -> (B, side, side): summed over channels, class token left out, each patch at its
    place."""
    patches = given[:, 1:].sum(-1).clamp(min=0)  # (B, N)
    grid = round(patches.shape[1] ** 0.5)
    return F.interpolate(
        patches.view(-1, 1, grid, grid), (side, side), mode="bicubic", align_corners=False
    )[:, 0]


def _on_picture(given: torch.Tensor, native: int) -> torch.Tensor:
    """(B, 3, S, S) -> (B, S, S): averaged over the pixels of the training pictures, since what is
    finer was only interpolated."""
    size = given.shape[-2:]
    small = F.adaptive_avg_pool2d(given.abs().sum(1, keepdim=True), min(native, size[0]))
    return F.interpolate(small, size, mode="bilinear", align_corners=False)[:, 0]


def _is_upright(image: np.ndarray | torch.Tensor) -> bool:
    return isinstance(image, np.ndarray) and image.shape[0] > image.shape[1]


def _put_together(maps: torch.Tensor, upright: bool) -> torch.Tensor:
    """Six tiles' maps (6, S, S), each at its place in the stretched picture."""
    boxes = tile_boxes(upright)
    whole = maps.new_zeros(boxes[-1][3], boxes[-1][2])
    for (left, top, right, bottom), own in zip(boxes, maps, strict=True):
        whole[top:bottom, left:right] = own
    return whole


def _scaled(heat: torch.Tensor) -> np.ndarray:
    """0..1, where 1 is the 99th percentile: a single loud pixel must not hide the rest."""
    heat = heat.clamp(min=0).cpu().numpy()
    top = float(np.percentile(heat, 99)) or float(heat.max())
    return (
        np.clip(heat / top, 0, 1).astype(np.float32)
        if np.isfinite(top) and top > 0
        else np.zeros_like(heat, dtype=np.float32)
    )
