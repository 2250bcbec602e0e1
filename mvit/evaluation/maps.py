"""How good a counter's maps are: each map's own sum as a count, and the people in each quarter of a
picture."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass

import numpy as np
import torch
from tqdm import tqdm

from mvit.data.crowds import Crowds
from mvit.evaluation.counts import error
from mvit.inference.where import people_by_layer
from mvit.models.multi_exit import MultiExitViT


@dataclass(frozen=True)
class MapCounts:
    """What the maps of L layers count in the four quarters of N pictures. found: (L, N, 4); there:
    (N, 4); names: N names `<set>/<picture>`."""

    layers: list[int]
    found: np.ndarray
    there: np.ndarray
    _: KW_ONLY
    names: list[str]

    def errors(self) -> list[dict]:
        """[{layer, mae, rmse, quarter}]: of the whole picture, and the mean absolute error of one
        quarter."""
        off = self.found - self.there
        return [
            {"layer": layer, **error(own.sum(1)), "quarter": float(np.abs(own).mean())}
            for layer, own in zip(self.layers, off, strict=True)
        ]


def quarters(people: np.ndarray) -> np.ndarray:
    """People in the four quarters of a map (rows, columns), row by row: (4,)."""
    rows, columns = (side // 2 for side in people.shape)
    return people.reshape(2, rows, 2, columns).sum(axis=(1, 3)).ravel()


def points_in_quarters(points: np.ndarray, height: int, width: int) -> np.ndarray:
    """How many points (N, 2) lie in each quarter of a picture: (4,)."""
    right, low = points[:, 0] >= width / 2, points[:, 1] >= height / 2
    return np.bincount(2 * low + right, minlength=4)


def count_by_maps(model: MultiExitViT, maps: torch.nn.ModuleDict, crowds: Crowds) -> MapCounts:
    """Count every picture by the map of every layer; the backbone runs once per picture."""
    model.eval()
    found, layers = [], sorted(int(b) for b in maps)
    for picture in tqdm(crowds.pictures, desc="counting by maps", mininterval=10, disable=None):
        by_layer = people_by_layer(model, maps, picture)
        found.append([quarters(by_layer[layer]) for layer in layers])
    there = [
        points_in_quarters(points, *picture.shape[:2])
        for points, picture in zip(crowds.points, crowds.pictures, strict=True)
    ]
    return MapCounts(layers, np.array(found).swapaxes(0, 1), np.array(there), names=crowds.names)
