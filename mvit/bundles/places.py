"""Where bundles and their files are: weights/<task>/<backbone>/, or the folder that MVIT_WEIGHTS
names."""

from __future__ import annotations

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2] / "weights"


def root() -> Path:
    """The folder that holds all bundles: MVIT_WEIGHTS if set, else weights/ beside the package."""
    return Path(os.environ.get("MVIT_WEIGHTS") or ROOT)


def bundles() -> list[tuple[str, str]]:
    """Every (task, backbone) that has a card, in alphabetical order."""
    return sorted((p.parent.parent.name, p.parent.name) for p in root().glob("*/*/card.json"))


def located(where: Path, name: str, about: dict) -> Path:
    """Where a file lies that the card in `where` lists: beside the card or, if it is one `of`
    another bundle of the same task, in that one's folder. about: what the card says of the file."""
    return where.parent / about.get("of", where.name) / name
