"""What a page opens with where the visitor has chosen nothing. Light: it is asked before PyTorch is
imported."""

from __future__ import annotations

from collections.abc import Sequence

AUTO = "auto"
JOINT = "_end_to_end"  # ends the name of a bundle whose exits were trained with their backbone
TASK_NAMES = {
    "cifar10": "CIFAR-10",
    "cifar100": "CIFAR-100",
    "imagenet1k": "Any photo (1,000 things)",
    "crowd": "Crowd counting",
}


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
