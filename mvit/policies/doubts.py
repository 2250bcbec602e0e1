"""When not to believe a count: what about a picture or its exits says that the counter is out of
its depth."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from mvit.evaluation.counts import Counts
from mvit.evaluation.intervals import SIMILAR, similar
from mvit.tasks import LONG_PX, SHORT_PX

LATE = 3  # layers whose exits should agree
MOST_STRETCH = 2.3  # of the pictures of ShanghaiTech, one side against the other
LEAST_PX = 300  # shortest side of the smallest of them, about
# standard deviation of a picture's brightness, of 255, below which there is hardly anything to see
FLAT = 12.0
NEGATIVE = -5.0  # people in a tile; regressors may miss zero by a little


def stretch(picture: np.ndarray) -> float:
    """How much more one side of an RGB picture (H, W, 3) is stretched than the other on the way
    into the network; 1.0 is not at all."""
    height, width = picture.shape[:2]
    wide, high = (SHORT_PX, LONG_PX) if height > width else (LONG_PX, SHORT_PX)
    across, down = wide / width, high / height
    return max(across, down) / min(across, down)


def disagreement(tiles: np.ndarray) -> np.ndarray:
    """How far E exits are apart on N pictures, tile by tile, as a share of the count: (N,). tiles:
    (E, N, 6) people in each tile.

    The distance between the quartiles over the exits, summed over the tiles, by the median count or
    10 people, whichever is more.
    """
    low, high = np.percentile(tiles, (25, 75), axis=0)
    return (high - low).sum(axis=1) / np.maximum(np.median(tiles.sum(axis=2), axis=0), 10)


def late(exits: list[tuple[int, str]]) -> np.ndarray:
    """Indices of the exits after the last LATE layers."""
    depth = max(layer for layer, _ in exits)
    return np.flatnonzero([layer > depth - LATE for layer, _ in exits])


def middle(tiles: np.ndarray) -> np.ndarray:
    """The median of E exits' counts, never below zero: (N,). tiles: as `disagreement` takes it."""
    return np.maximum(np.median(tiles.sum(axis=2), axis=0), 0)


@dataclass(frozen=True)
class Usual:
    """What the late exits did on N recorded pictures. counted: their median count; apart: their
    disagreement: (N,) each.

    Small crowds always disagree more, as a share, so a picture is held against those with the most
    similar counts only. Of n + 1 equally likely pictures one is the furthest apart, so a picture
    like the recorded ones is so in about one of a hundred cases.
    """

    counted: np.ndarray
    apart: np.ndarray

    @classmethod
    def of(cls, recorded: Counts) -> Usual:
        """By the recorded counts of a model."""
        tiles = recorded.tiles[late(recorded.exits)]
        return cls(middle(tiles), disagreement(tiles))

    def most(self, count: float) -> float:
        """The largest disagreement among the recorded pictures with the most similar counts."""
        return float(self.apart[similar(self.counted, count)].max())

    @cached_property
    def raised(self) -> int:
        """How many of the recorded pictures are further apart than all others with the most similar
        counts."""
        places = range(len(self.apart) if len(self.apart) > 1 else 0)
        others = [Usual(np.delete(self.counted, i), np.delete(self.apart, i)) for i in places]
        found = zip(others, self.counted, self.apart, strict=False)
        return sum(bool(apart > rest.most(count)) for rest, count, apart in found)


def doubts(
    picture: np.ndarray, trace: pd.DataFrame, layer: int, head: str, usual: Usual | None = None
) -> list[str]:
    """Reasons not to believe the count of one exit, each a sentence; none is no promise.

    picture: RGB uint8 (H, W, 3). trace: of all exits, with layer, head, count and tiles. usual: of
    recorded pictures; None leaves that comparison out.
    """
    found = []
    own = trace[(trace["layer"] == layer) & (trace["head"] == head)].iloc[0]
    if own["count"] < -0.5:
        found.append(
            f"The raw output is negative ({own['count']:.0f}): the network does not know that a "
            "count cannot be below zero, and on this picture this exit fails."
        )
    elif min(own["tiles"]) < NEGATIVE:
        found.append(
            f"In one tile the raw output is negative ({min(own['tiles']):.0f}), so the other tiles "
            "may be wrong as well."
        )
    exits = list(zip(trace["layer"], trace["head"], strict=True))
    tiles = np.array([trace["tiles"].iloc[i] for i in late(exits)])[:, None]
    apart = float(disagreement(tiles)[0])
    if usual is not None and apart > (most := usual.most(float(middle(tiles)[0]))):
        n = len(usual.apart)
        found.append(
            "The last exits do not agree on where the people are: from tile to tile they differ "
            f"by {apart:.0%}, on the {min(SIMILAR, n)} test pictures with the most similar counts "
            f"by at most {most:.0%}. The picture is probably unlike those that the counter learned "
            f"from, so trust the count less. By this measure {usual.raised} of the {n:,} test "
            "pictures would be doubted."
        )
    height, width = picture.shape[:2]
    if (most := stretch(picture)) > MOST_STRETCH:
        found.append(
            f"One side is stretched {most:.1f} times more than the other, more than in any "
            "training picture."
        )
    if min(height, width) < LEAST_PX:
        found.append(
            f"The picture is small ({width} × {height} pixels) and is enlarged: people too small "
            "to be seen cannot be counted."
        )
    if picture.mean(axis=2).std() < FLAT:
        found.append(
            "There is hardly anything to see: counters are known to find people in empty pictures."
        )
    return found
