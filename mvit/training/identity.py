"""Which run this is: a hash of what is learnt from and of what it starts from.

A finished or interrupted run is never taken for another's, and a bundle never replaced by another
run's."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import torch

from mvit.bundles import weights
from mvit.data.labelled import DataError

CONTENT = ("labels", "x", "y", "names", "points", "pictures")


def fingerprint(*things) -> str:
    """Return a short hash of tensors, arrays, anything JSON, and lists of them; order counts."""
    digest = hashlib.blake2b(digest_size=8)

    def add(thing) -> None:
        if isinstance(thing, torch.Tensor):
            thing = thing.detach().cpu().numpy()
        if isinstance(thing, np.ndarray):
            digest.update(f"{thing.dtype}{thing.shape}".encode())
            digest.update(np.ascontiguousarray(thing))
        elif isinstance(thing, list | tuple):
            digest.update(f"[{len(thing)}]".encode())
            for part in thing:
                add(part)
        else:
            digest.update(json.dumps(thing, sort_keys=True).encode())

    add(things)
    return digest.hexdigest()


def of_data(*sets) -> str:
    """Return a hash of pictures (`Pictures` or `Crowds`) with their labels or points."""
    return fingerprint(*([getattr(s, name, None) for name in CONTENT] for s in sets))


def of_start(init: Path | None, vit: torch.nn.Module, exits: bool = True) -> str:
    """Return a hash of the start weights: of the file or the bundle `init`, or of what the model
    hub filled `vit` with. exits: whether a bundle's exits are part of the start, too."""
    if init is None:
        tensors = vit.state_dict().items()  # the final exit may be fresh
        return fingerprint([(k, t) for k, t in tensors if not k.startswith("head.")])
    if init.is_dir():
        files = weights.read_card(init)["files"]
        body = {n: f["sha256"] for n, f in files.items() if n.startswith("backbone")}
        return fingerprint(files if exits else body)
    with init.open("rb") as file:
        return hashlib.file_digest(file, "blake2b").hexdigest()[:16]


def refuse_another(folder: Path, run: str, overwrite: bool) -> None:
    """Raise DataError if `folder` holds a bundle that this run did not write, or one to which heads
    were added since, unless it may be overwritten."""
    if overwrite or not (folder / "card.json").exists():
        return
    card = weights.read_card(folder)
    if card.get("run") != run or card.get("added"):
        raise DataError(
            f"{folder} holds the bundle of another run; name another with --name, "
            "or pass --overwrite to replace it"
        )
