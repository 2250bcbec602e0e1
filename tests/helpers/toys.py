"""Toys for tests of training and scoring: pictures that a model can learn in seconds, and a count
of the blocks it ran."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image

from mvit.data.labelled import Pictures
from mvit.models.backbone import Backbone

COLOURS = ((220, 40, 40), (40, 200, 60), (50, 60, 220))


def colours(each: int, classes: int = 3, side: int = 8, seed: int = 0) -> Pictures:
    """Noisy pictures of one colour a class: `each` of every class, classes in turn."""
    rng = np.random.default_rng(seed)
    y = np.tile(np.arange(classes), each)
    x = np.array(COLOURS)[y][:, :, None, None] + rng.normal(0, 15, (len(y), 3, side, side))
    return Pictures(
        torch.from_numpy(x.clip(0, 255).astype(np.uint8)),
        torch.from_numpy(y),
        tuple("abc"[:classes]),
    )


def write_folder(folder: Path, pictures: Pictures) -> Path:
    """Write pictures as an image folder <folder>/<class>/<number>.png."""
    for i, (x, y) in enumerate(zip(pictures.x, pictures.y, strict=True)):
        file = folder / pictures.labels[y] / f"{i:03}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(x.permute(1, 2, 0).numpy()).save(file)
    return folder


def write_photos(folder: Path, n: int = 60) -> list[Path]:
    """Write pictures of a few blurred random colours as <folder>/<number>.png."""
    rng, files = np.random.default_rng(0), [folder / f"{i}.png" for i in range(n)]
    for file in files:
        small = Image.fromarray(rng.integers(0, 256, (4, 4, 3), dtype=np.uint8))
        small.resize((40, 40)).save(file)
    return files


def count_blocks(backbone: Backbone) -> list[int]:
    """A list that grows by the layer's number whenever an encoder block of this backbone (or of a
    copy of it) runs."""
    calls: list[int] = []
    for layer, block in enumerate(backbone.vit.blocks, 1):
        block.register_forward_hook(lambda *_, layer=layer: calls.append(layer))
    return calls


def snapshot(module: torch.nn.Module) -> dict[str, torch.Tensor]:
    """A copy of all tensors of a module."""
    return {name: tensor.clone() for name, tensor in module.state_dict().items()}


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    """Whether two snapshots agree bit for bit."""
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)
