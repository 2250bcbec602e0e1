"""Multi-Exit ViT Lab: early exits in Vision Transformers (Bakhtiarnia, Zhang, Iosifidis, 2021)."""

from mvit import images
from mvit.bundles.weights import load
from mvit.inference.deadline import answer_by
from mvit.models.heads import HEADS
from mvit.models.multi_exit import Exit, MultiExitViT
from mvit.tasks import TASKS, Task

__all__ = ["HEADS", "TASKS", "Exit", "MultiExitViT", "Task", "answer_by", "images", "load"]
