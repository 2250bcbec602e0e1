"""The maps of a counter's bundle: where the people are, in a file of its own beside the heads."""

from __future__ import annotations

from pathlib import Path

import torch

from mvit.bundles.card import parts, read_card, write_card
from mvit.bundles.tensors import read_part, save_part
from mvit.models.people_map import people_maps

PART, BITS = "maps", 8
FILES = (PART, "maps_again")  # new maps take the name that the old ones do not have


def save_maps(folder: Path, maps: torch.nn.ModuleDict, about: dict) -> dict:
    """Write the maps into a bundle's folder and name them in its card, which is returned.

    about: what the card tells of them under "maps", beside their sizes. No other file changes. Old
    maps stay in force, whole, until the card names the new ones.
    """
    first = next(iter(maps.values()))
    sizes = {"dim": first.dim, "hidden": first.hidden, "layers": [int(b) for b in maps]}
    card = read_card(folder)
    before = {part: files for part, files in parts(card["files"]).items() if part in FILES}
    old = [name for files in before.values() for name in files]
    free = next(part for part in FILES if part not in before)
    kept = {name: about for name, about in card["files"].items() if name not in old}
    card["files"] = kept | save_part(maps, folder, free, bits=BITS)
    card[PART] = sizes | about
    write_card(folder, card)
    for name in old:
        (folder / name).unlink(missing_ok=True)
    return card


def load_maps(folder: Path) -> torch.nn.ModuleDict | None:
    """The verified maps of a bundle, float32 on the CPU; None if it has none. Raises
    WeightsError."""
    card = read_card(folder)
    if PART not in card:
        return None
    told = card[PART]
    with torch.device("meta"):
        maps = people_maps(told["dim"], told["layers"], told["hidden"])
    maps.to_empty(device="cpu")
    part = next((p for p in parts(card["files"]) if p in FILES), PART)
    read_part(maps, folder, part, files=card["files"])
    return maps.eval().requires_grad_(False)
