"""The maps of a counter's bundle: where the people are, in a file of its own beside the heads."""

from __future__ import annotations

from pathlib import Path

import torch

from mvit.bundles.card import incomplete, read_card, write_card
from mvit.bundles.tensors import read_part, save_part
from mvit.models.people_map import people_maps

PART, BITS = "maps", 8


def save_maps(folder: Path, maps: torch.nn.ModuleDict, about: dict) -> dict:
    """Write the maps into a bundle's folder and name them in its card, which is returned.

    about: what the card tells of them under "maps", beside their sizes. No other file changes.
    """
    first = next(iter(maps.values()))
    sizes = {"dim": first.dim, "hidden": first.hidden, "layers": [int(b) for b in maps]}
    card = read_card(folder)
    card["files"] |= save_part(maps, folder, PART, BITS)
    card["maps"] = sizes | about
    write_card(folder, card)
    return card


def load_maps(folder: Path) -> torch.nn.ModuleDict | None:
    """The verified maps of a bundle, float32 on the CPU; None if it has none. Raises
    WeightsError."""
    card = read_card(folder)
    if PART not in card:
        return None
    try:
        told = card[PART]
        with torch.device("meta"):
            maps = people_maps(told["dim"], told["layers"], told["hidden"])
        sums = {name: str(about["sha256"]) for name, about in card["files"].items()}
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise incomplete(folder / "card.json", error) from error
    maps.to_empty(device="cpu")
    read_part(maps, folder, PART, sums)
    return maps.eval().requires_grad_(False)
