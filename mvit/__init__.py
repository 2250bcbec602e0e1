"""Multi-Exit ViT Lab: early exits in Vision Transformers (Bakhtiarnia, Zhang, Iosifidis, 2021)."""

from mvit import images
from mvit.heads import HEADS
from mvit.multi_exit import Exit, MultiExitViT
from mvit.tasks import TASKS, Task
from mvit.weights import bundles, load

__all__ = ["HEADS", "TASKS", "Exit", "MultiExitViT", "Task", "bundles", "images", "load"]
