"""Small untrained bundles for tests, written the way real ones are."""

from dataclasses import asdict
from pathlib import Path

import torch

from mvit.bundles import weights
from mvit.models.multi_exit import FINAL, MultiExitViT
from mvit.models.transcrowd import backbone_for
from mvit.tasks import Task

BACKBONE = "vit_tiny_patch16_224"
HEADS = ("mlp", "cnn_ignore", "resmlp")


def save_bundle(folder: Path, task: Task, seed: int = 0) -> dict:
    """Write an untrained bundle (three heads, twelve layers) for a task; returns the card."""
    torch.manual_seed(seed)
    model = MultiExitViT.untrained(backbone_for(BACKBONE, task), task, HEADS)
    exits = [
        {
            "layer": b,
            "head": h,
            **quality(task, b),
            "macs": model.exit_macs(b, h),
            "practical": b % 3 == 0,
        }
        for b, h in model.exits()
    ]
    card = {
        "task": asdict(task),
        "architecture": BACKBONE,
        "layers": list(range(1, model.depth + 1)),
        "exits": exits,
        "init": "random",
        "data": "none",
        "recipe": "untrained, for tests",
        "seed": seed,
        "strategy": "none",
        "final": {**quality(task, 13), "macs": model.exit_macs(model.depth, FINAL)},
    }
    return weights.save(model, folder / task.name / BACKBONE, card)


def quality(task: Task, layer: int) -> dict[str, float]:
    """Made-up figures of an exit, better with each layer; 13 is the final exit."""
    if task.metric == "accuracy":
        return {"accuracy": round(0.3 + 0.05 * layer, 4)}
    return {"mae": 60.0 - 4 * layer, "rmse": 90.0 - 5 * layer}
