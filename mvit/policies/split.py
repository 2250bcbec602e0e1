"""One network split between a device and a server, simulated from recorded answers, measured times
and an assumed link."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from mvit.evaluation.predictions import Predictions

HALF = 2  # bytes of a number in half precision
LOSS = 0.01  # how much less often right than the plain network an exit that pays may be


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


@dataclass(frozen=True, kw_only=True)
class Link:
    """The way to the server and the server: bandwidth, delay there and back, how many times as fast
    as this machine, and the side of the picture sent, in pixels."""

    mbit: float
    delay_ms: int
    faster: int
    side: int


@dataclass(frozen=True, kw_only=True)
class Divided:
    """A network that may be split after one of its exits: what it costs, and what it answers.

    backbone_ms, head_ms: (K,) the device's time up to each exit's layer, and its head's; full_ms:
    of the whole network; tokens: bytes that cross after a layer. seen: what the K exits said of the
    test pictures; final: (N,) whether the final exit is right about them.
    """

    backbone_ms: Sequence[float]
    head_ms: Sequence[float]
    full_ms: float
    tokens: int
    seen: Predictions
    final: np.ndarray

    def splits(self, link: Link, sure: float) -> pd.DataFrame:
        """Every split over a link, where the device keeps what its exit is so sure of; as `split`
        gives them."""
        return split(
            [layer for layer, _ in self.seen.exits],
            backbone_ms=self.backbone_ms,
            head_ms=self.head_ms,
            full_ms=self.full_ms,
            leaves=self.seen.confidence >= sure,
            correct=self.seen.correct,
            final_correct=self.final,
            sizes={"tokens": self.tokens, "picture": picture_bytes(link.side)},
            mbit=link.mbit,
            delay_ms=link.delay_ms,
            faster=link.faster,
        )

    def server_ms(self, link: Link) -> float:
        """The plain network at the server, every picture sent."""
        sent = link_ms(picture_bytes(link.side), link.mbit, link.delay_ms)
        return sent + self.full_ms / link.faster

    def gain(self, link: Link, sure: float) -> tuple[float, int | None]:
        """How many times as quick as the quicker plain network, on the device or at the server, the
        quickest exit is that loses at most LOSS, and its layer; (0, None) without such an exit."""
        rows = self.splits(link, sure)
        good = rows[rows.accuracy >= self.final.mean() - LOSS - 1e-9]
        if good.empty:
            return 0.0, None
        best = good.loc[good.ms.idxmin()]
        return min(self.full_ms, self.server_ms(link)) / best.ms, int(best.layer)
