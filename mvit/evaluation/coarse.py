"""How far down the tree of classes the exits dare to go, and how often they are right there, over
many pictures."""

from __future__ import annotations

import numpy as np
import torch

from mvit.clock import NoClock
from mvit.data.labelled import Pictures
from mvit.models.multi_exit import MultiExitViT
from mvit.models.tree import SURE, ClassTree, tree_of

UPTO = (1, 30, 150)  # an answer leaves so many classes at most; a last group leaves more


def groups(tree: ClassTree, nodes: np.ndarray, truth: np.ndarray) -> list[dict]:
    """Of what one exit said about N pictures, by how many classes it leaves: [{"upto", "n",
    "right"}], the most specific first; upto: at most so many. nodes, truth: (N,)."""
    left = tree.below.sum(0)[nodes]  # classes below what was said
    right = tree.below[truth, nodes] > 0
    limits = (0, *UPTO, tree.classes)
    within = [(left > low) & (left <= high) for low, high in zip(limits, limits[1:], strict=False)]
    return [
        {"upto": high, "n": int(here.sum()), "right": int((here & right).sum())}
        for high, here in zip(limits[1:], within, strict=True)
    ]


@torch.inference_mode()
def record(model: MultiExitViT, pictures: Pictures, batch: int = 32) -> dict | None:
    """What a card says under "coarse": {"n", "sure", "exits": [{"layer", "head", "said":
    groups}]}; None for a task whose classes have no tree."""
    tree = tree_of(model.task.name)
    if tree is None:
        return None
    exits, found = model.plan(), []
    with model.eval().lean():
        for index in torch.arange(len(pictures)).split(batch):
            x, _ = pictures.whole(index, model.task, model.device)
            steps = model.steps(x.to(model.dtype), exits, NoClock())
            scores = [model.task.answers(step.logits).cpu().numpy() for step in steps]
            found.append(np.stack([tree.surest(tree.probabilities(s)) for s in scores]))
    said = np.concatenate(found, axis=1)  # (E, N)
    truth = pictures.y.numpy()
    rows = [
        {"layer": layer, "head": head, "said": groups(tree, nodes, truth)}
        for (layer, head), nodes in zip(exits, said, strict=True)
    ]
    return {"n": len(truth), "sure": SURE, "exits": rows}
