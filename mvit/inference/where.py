"""Where a counter finds people: how many in each patch of a picture, after every layer."""

from __future__ import annotations

import numpy as np
import torch

from mvit.models.multi_exit import MultiExitViT
from mvit.tasks import TILE_PX, tile_boxes


@torch.inference_mode()
def people_by_layer(
    model: MultiExitViT, maps: torch.nn.ModuleDict, picture: np.ndarray
) -> dict[int, np.ndarray]:
    """People in each patch of the stretched picture, (rows, columns) float32, after each layer that
    has a map; the backbone runs once. picture: RGB uint8 (H, W, 3)."""
    upright, found = picture.shape[0] > picture.shape[1], {}
    tokens = model.backbone.embed(model.to_input(picture))
    for layer in range(1, max(int(b) for b in maps) + 1):
        tokens = model.backbone.block(tokens, layer)
        if str(layer) in maps:
            own = maps[str(layer)].to(tokens.device)(tokens)
            found[layer] = whole(own.cpu().numpy(), upright)
    return found


def whole(tiles: np.ndarray, upright: bool) -> np.ndarray:
    """Six tiles' patches (6, N), each at its place in the stretched picture: (rows, columns)."""
    grid = round(tiles.shape[1] ** 0.5)
    boxes = np.array(tile_boxes(upright)) * grid // TILE_PX
    full = np.zeros(boxes[-1][:1:-1], np.float32)
    for (left, top, right, bottom), own in zip(boxes, tiles, strict=True):
        full[top:bottom, left:right] = own.reshape(grid, grid)
    return full


def scaled(people: np.ndarray, count: float) -> np.ndarray:
    """The same map with the sum `count`, never below zero; where the map sees nobody, it is spread
    evenly."""
    count, total = max(count, 0.0), float(people.sum())
    if total <= 0:
        return np.full_like(people, count / people.size)
    return people * (count / total)


def inside(people: np.ndarray, left: float, top: float, right: float, bottom: float) -> float:
    """People in a rectangle whose edges are shares of the picture, 0 to 1; a patch that it cuts
    counts by the part inside."""
    rows, columns = people.shape
    down = _covered(rows, top, bottom)
    across = _covered(columns, left, right)
    return float(down @ people @ across)


def _covered(number: int, low: float, high: float) -> np.ndarray:
    """How much of each of `number` equal parts of 0..1 lies between two shares."""
    edges = np.linspace(0, 1, number + 1)
    cut = np.minimum(edges[1:], high) - np.maximum(edges[:-1], low)
    return cut.clip(min=0) * number
