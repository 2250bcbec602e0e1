"""Where bundles are: weights/<task>/<backbone>/, or the folder that MVIT_WEIGHTS names."""

from __future__ import annotations

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2] / "weights"


def root() -> Path:
    """The folder that holds all bundles: MVIT_WEIGHTS if set, else weights/ beside the package."""
    return Path(os.environ.get("MVIT_WEIGHTS", ROOT))


def bundles() -> list[tuple[str, str]]:
    """Every (task, backbone) that has a card, in alphabetical order."""
    return sorted((p.parent.parent.name, p.parent.name) for p in root().glob("*/*/card.json"))
