"""One network split between a device and a server, simulated from recorded answers, measured times
and an assumed link."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

HALF = 2  # bytes of a number in half precision


def token_bytes(grid: int, dim: int) -> int:
    """What crosses the link when the server goes on from a layer: 1 + grid x grid tokens of dim
    numbers in half precision."""
    return (1 + grid * grid) * dim * HALF


def picture_bytes(side: int) -> int:
    """What crosses the link when the server starts anew: the picture, three bytes a pixel, not
    compressed."""
    return side * side * 3


def link_ms(size: int, mbit: float, delay_ms: float) -> float:
    """Time on the link, there and back: delay_ms (the round trip) + 8 x size / bandwidth. The
    answer, a few bytes, is not counted."""
    return delay_ms + 8 * size / (mbit * 1000)  # 1 Mbit/s is 1000 bits a ms


def split(
    layers: Sequence[int],
    *,
    backbone_ms: Sequence[float],
    head_ms: Sequence[float],
    full_ms: float,
    leaves: np.ndarray,
    correct: np.ndarray,
    final_correct: np.ndarray,
    sizes: dict[str, int],
    mbit: float,
    delay_ms: float,
    faster: float,
) -> pd.DataFrame:
    """One exit on the device; a picture that it is not sure about goes on at the server. One row a
    layer and way of sending.

    layers, backbone_ms, head_ms: (K,) the candidate layers, the device's time up to each and its
    head's. full_ms: the whole backbone on the device. leaves, correct: (K, N) whether the exit
    keeps the picture, and is right. final_correct: (N,). sizes: {"tokens": bytes, "picture":
    bytes}; after tokens the server runs the remaining layers, after the picture all of them,
    `faster` times as fast.

    Mean time = device + offloaded share x (link + server); returns sent, layer, offloaded,
    accuracy, ms, slowest_ms (an offloaded picture), kilobytes (mean a picture).
    """
    away, rows = 1 - leaves.mean(axis=1), []
    accuracy = np.where(leaves, correct, final_correct).mean(axis=1)
    for sent, size in sizes.items():
        for k, layer in enumerate(layers):
            device = backbone_ms[k] + head_ms[k]
            rest = max(full_ms - backbone_ms[k], 0.0) if sent == "tokens" else full_ms
            extra = link_ms(size, mbit, delay_ms) + rest / faster
            rows.append(
                (
                    sent,
                    layer,
                    away[k],
                    accuracy[k],
                    device + away[k] * extra,
                    device + extra,
                    away[k] * size / 1000,
                )
            )
    return pd.DataFrame(
        rows, columns=["sent", "layer", "offloaded", "accuracy", "ms", "slowest_ms", "kilobytes"]
    )
