"""Multi-Exit ViT Lab: early exits in Vision Transformers (Bakhtiarnia, Zhang, Iosifidis, 2021).

Each name is imported when it is first asked for: PyTorch takes seconds to import, and much that the
lab shows needs none of it.
"""

from importlib import import_module
from typing import Any

_HOME = {
    "HEADS": "mvit.models.heads",
    "TASKS": "mvit.tasks",
    "Exit": "mvit.models.exit",
    "MultiExitViT": "mvit.models.multi_exit",
    "Task": "mvit.tasks",
    "answer_by": "mvit.inference.deadline",
    "load": "mvit.bundles.weights",
}
__all__ = [*_HOME, "images"]


def __getattr__(name: str) -> Any:
    if name == "images":
        return import_module("mvit.images")
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)
