"""The tokens that a counter's maps learn from: computed once, kept on disk, read layer by layer.

A map reads single patches, so a window of each tile is enough to learn from, and all layers' tokens
of some thousand windows fit on a disk. They are written into one file made beforehand, and a run
that was cut off goes on where it stood.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator
from tqdm import tqdm

from mvit.bundles.whole import check_room, read_json, write_json
from mvit.data.crowds import Tiles
from mvit.models.multi_exit import MultiExitViT
from mvit.tasks import TILE_PX
from mvit.training.counter import splat
from mvit.training.identity import fingerprint


@dataclass(frozen=True)
class Windows:
    """Windows of n tiles after each of L layers. tokens: (L, n, P, D) float16; people: (n, P) in
    each patch."""

    tokens: np.ndarray
    people: torch.Tensor

    def layer(self, layer: int) -> torch.Tensor:
        """The patches after one layer, counted from 1: (n, P, D) float16."""
        return torch.from_numpy(np.asarray(self.tokens[layer - 1]))


def corners(number: int, grid: int, window: int, seed: int) -> np.ndarray:
    """Where the window of each tile begins, and whether the tile is mirrored: (number, 3), seeded;
    a window as large as the tile is the tile as it is."""
    if window == grid:
        return np.zeros((number, 3), int)
    rng = np.random.default_rng(seed)
    places = rng.integers(0, grid - window + 1, (number, 2))
    return np.column_stack([places, rng.integers(0, 2, number)])


@torch.inference_mode()
def gather(
    model: MultiExitViT,
    tiles: Tiles,
    file: Path,
    accelerator: Accelerator,
    *,
    window: int,
    seed: int = 0,
    batch: int = 6,
) -> Windows:
    """Run the backbone over tiles and keep a random window of `window` x `window` patches of each.

    file: the tokens' file; beside it, `<file>.done` says how many tiles are in it.
    """
    backbone, grid = model.backbone, model.backbone.grid
    shape = (backbone.depth, len(tiles), window * window, backbone.dim)
    done, state = file.with_name(f"{file.name}.done"), list(backbone.state_dict().values())
    about = [*shape, seed, fingerprint(tiles.crowds.names, tiles.index, tiles.y, state)]
    known = read_json(done) if file.exists() else {}
    begin = known["tiles"] if known.get("about") == about else 0
    check_room(file.parent, 0 if begin else 2 * math.prod(shape))
    kept = np.lib.format.open_memmap(file, "r+" if begin else "w+", np.float16, shape)
    places = corners(len(tiles), grid, window, seed=seed)
    people = torch.stack(
        [_people(tiles, i, grid, window=window, place=p) for i, p in enumerate(places)]
    )
    model.eval()
    starts = range(begin, len(tiles), batch)
    for start in tqdm(starts, desc=f"reading {file.stem}", mininterval=10, disable=None):
        index = torch.arange(start, min(start + batch, len(tiles)))
        x, _ = tiles.whole(index, model.task, accelerator.device)
        own = places[index]
        x = torch.stack([t.flip(2) if p[2] else t for t, p in zip(x, own, strict=True)])
        with accelerator.autocast():
            tokens = backbone.embed(x.to(model.dtype))
            for layer in range(1, backbone.depth + 1):
                tokens = backbone.block(tokens, layer)
                square = tokens[:, 1:].unflatten(1, (grid, grid)).half().cpu()
                for i, t, (top, at, _) in zip(index.tolist(), square, own, strict=True):
                    cut = t[top : top + window, at : at + window]
                    kept[layer - 1, i] = cut.reshape(-1, cut.shape[-1]).numpy()
        write_json(done, {"about": about, "tiles": int(index[-1]) + 1})
    return Windows(kept, people)


def _people(tiles: Tiles, number: int, grid: int, window: int, place: np.ndarray) -> torch.Tensor:
    """People in each patch of one tile's window (P,). place: as `corners` gives it."""
    points, (top, left, mirrored) = tiles.points(number), place
    if mirrored:
        points = np.column_stack([TILE_PX - 1e-3 - points[:, 0], points[:, 1]])
    whole = splat([points], TILE_PX, TILE_PX // grid)[0].view(grid, grid)
    return whole[top : top + window, left : left + window].flatten()
