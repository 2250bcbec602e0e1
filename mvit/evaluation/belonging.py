"""Whether recorded answers belong to the card beside them: a file that was copied from another
bundle has the right names and shapes, and would give wrong numbers without a word."""

from __future__ import annotations

import math
from pathlib import Path

from mvit.bundles.card import WeightsError, read_card
from mvit.models.exit import FINAL

# counts are recorded in half precision, so an error in people is not told to the last digit
TOLERANCE, PEOPLE = 1e-3, 0.05


def foreign(folder: Path, quality: dict[tuple[int, str], float], n: int) -> str | None:
    """Why the recorded answers in a bundle's folder are not those that its card tells of, in words;
    None if they are, or the card does not say how many it was measured on. quality: how good each
    exit is on the n recorded test pictures, an accuracy or an error in people."""
    try:
        card = read_card(folder)
    except WeightsError:
        return None  # whoever loads the bundle is told
    if "n" not in card:
        return None
    if card["n"] != n:
        return f"they are of {n} test pictures, the card tells of {card['n']}"
    told = {(e["layer"], e["head"]): e for e in card.get("exits", [])}
    for (layer, head), value in quality.items():
        row = card.get("final", {}) if head == FINAL else told.get((layer, head), {})
        said = row.get("accuracy", row.get("mae"))
        small = PEOPLE if "mae" in row else 0.0
        if said is not None and not math.isclose(value, said, rel_tol=TOLERANCE, abs_tol=small):
            return (
                f"they are of another network: {head} after layer {layer} has {value:.4g} in them, "
                f"and {said:.4g} in the card"
            )
    return None
