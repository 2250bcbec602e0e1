"""What the app opens with where the visitor has chosen nothing: a bundle, and an example picture.
Light: it is asked before PyTorch is imported."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path

from mvit.bundles import places

AUTO = "auto"
JOINT = "_end_to_end"  # ends the name of a bundle whose exits were trained with their backbone
TASK_NAMES = {
    "cifar10": "CIFAR-10",
    "cifar100": "CIFAR-100",
    "imagenet1k": "Any photo (1,000 things)",
    "crowd": "Crowd counting",
}
# of the example pictures that come with the lab
EXAMPLES = Path(os.environ.get("MVIT_EXAMPLES", Path(__file__).resolve().parents[2] / "examples"))


def tasks(bundles: Sequence[tuple[str, str]]) -> list[str]:
    """The tasks of some (task, backbone), the one to open with first."""
    known = list(TASK_NAMES)
    found = dict.fromkeys(task for task, _ in bundles)
    return sorted(found, key=lambda t: known.index(t) if t in known else len(known))


def backbone(bundles: Sequence[tuple[str, str]], task: str, joint: bool) -> str:
    """The backbone of a task to open with: one whose exits were trained with it, or, without
    `joint`, apart from it; small before large."""
    bodies = [b for t, b in bundles if t == task]
    return min(bodies, key=lambda b: (b.endswith(JOINT) != joint, "tiny" not in b, b))


def examples(folder: Path, task: str | None = None) -> list[dict]:
    """The examples of a task that are there, or else those of no task: {"file", "title", "truth"},
    the one to open with first; none if examples.json, which tells of them, cannot be read."""
    try:
        listed = json.loads((folder / "examples.json").read_text())
    except (OSError, ValueError):
        return []
    here = [e for e in listed if (folder / e["file"]).is_file()]
    return [e for e in here if e.get("task") == task] or [e for e in here if "task" not in e]


def opens_with() -> tuple[Path, dict] | None:
    """The folder of the bundle and the example that the app opens with; None if there is none of
    them."""
    if not (known := places.bundles()):
        return None
    task = tasks(known)[0]
    example = next(iter(examples(EXAMPLES, task)), None)
    return example and (places.root() / task / backbone(known, task, joint=True), example)
