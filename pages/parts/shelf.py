"""The example pictures that come with the lab, by what examples.json says of them."""

from __future__ import annotations

import json
import os
from pathlib import Path

FOLDER = Path(os.environ.get("MVIT_EXAMPLES", Path(__file__).resolve().parents[2] / "examples"))


def entries(folder: Path, task: str | None = None) -> list[dict]:
    """The examples of a task that are there, or else those of no task: {"file", "title", "truth"},
    the one to open with first; none if examples.json cannot be read."""
    try:
        listed = json.loads((folder / "examples.json").read_text())
    except (OSError, ValueError):
        return []
    here = [e for e in listed if (folder / e["file"]).is_file()]
    return [e for e in here if e.get("task") == task] or [e for e in here if "task" not in e]
