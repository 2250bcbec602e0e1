"""What this model takes on this machine beside timm's plain pass in its better number format, and
beside what the processor's matrix unit could do at best."""

from __future__ import annotations

import copy
from collections.abc import Callable

import numpy as np
import torch

from mvit.clock import clock_for, ratio, rounds
from mvit.inference.precision import DTYPES, native_formats
from mvit.models.multi_exit import MultiExitViT

SIDE = 768  # of the matrices whose product shows the roofline: large enough to keep all cores busy


def plain_ways(network: torch.nn.Module, x: torch.Tensor) -> dict[str, Callable[[], torch.Tensor]]:
    """A network's pass over x in every number format that the device computes itself."""

    def way(dtype: torch.dtype) -> Callable[[], torch.Tensor]:
        own, given = copy.deepcopy(network).to(dtype), x.to(dtype)
        return lambda: own(given)

    return {name: way(DTYPES[name]) for name in native_formats(x.device.type)}


def better(ms: dict, names: list) -> object:
    """The name with the lowest median time."""
    return min(names, key=lambda name: float(np.median(ms[name])))


@torch.inference_mode()
def engine(model: MultiExitViT, x: torch.Tensor, head: str, n: int) -> dict:
    """This model's run - final exit only, an exit at every layer, leaving after a third - against
    timm's plain pass, and the time its multiply-accumulates take at the speed of one large matrix
    product; all in the same rounds.

    ratio: median over the rounds of this model's time / timm's in its better number format;
    quartiles: between what the middle half of the rounds lies.
    """
    layers = [layer for layer, _ in model.exits(head)]
    early = min(layers, key=lambda layer: abs(layer - model.depth / 3))
    plan, last = model.plan(head), [model.final_exit]
    runs: dict[str, Callable] = {
        "final exit only": lambda: list(model.run(x, last)),
        f"`{head}` at {len(layers)} layers": lambda: list(model.run(x, plan)),
        f"leaving after layer {early}": lambda: next(model.run(x, [(early, head), *last])),
    }
    matrix = torch.randn(SIDE, SIDE, device=x.device).to(model.dtype)
    timm = plain_ways(model.backbone, x)
    works = timm | runs | {"matrix product": lambda: matrix @ matrix}
    ms = rounds(works, n, clock=clock_for(x.device))
    choice = model.engine.choice if model.engine else None
    best = better(ms, list(timm))
    per_ms = 2 * SIDE**3 / float(np.median(ms["matrix product"]))  # operations
    return {
        "engine": choice.name if choice else "timm",
        "reason": choice.reason if choice else "no engine was chosen",
        "library": choice.library if choice else None,
        "dtype": str(model.dtype).removeprefix("torch."),
        "timm_ms": {name: float(np.median(ms[name])) for name in timm},
        "timm_better": best,
        "runs": [
            {
                "name": name,
                "ms": float(np.median(ms[name])),
                "ratio": ratio(ms, name, best),
                "quartiles": np.percentile(ms[name] / ms[best], (25, 75)).tolist(),
            }
            for name in runs
        ],
        "gflops": per_ms / 1e6,
        "roofline_ms": 2 * model.exit_macs(*model.final_exit) / per_ms,
    }
