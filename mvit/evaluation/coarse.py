"""How far down the tree of classes the exits dare to go, and how often they are right there, over
many pictures.

An exit may be surer than it ought to be. So it says names, and kinds of a few names, only as far as
at least half of those answers were right on validation pictures.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch

from mvit.clock import NoClock
from mvit.data.labelled import Pictures
from mvit.data.splits import sample
from mvit.evaluation.unlike import ENOUGH
from mvit.models.multi_exit import MultiExitViT
from mvit.models.tree import SURE, ClassTree, tree_of

UPTO = (1, 30, 150)  # an answer leaves so many classes at most; a last group leaves more


def groups(tree: ClassTree, nodes: np.ndarray, truth: np.ndarray) -> list[dict]:
    """Of what one exit said about N pictures, by how many classes it leaves: [{"upto", "n",
    "right"}], the most specific first; upto: at most so many. nodes, truth: (N,)."""
    left = tree.left[nodes]
    right = tree.below[truth, nodes] > 0
    limits = (0, *UPTO, tree.classes)
    within = [(left > low) & (left <= high) for low, high in zip(limits, limits[1:], strict=False)]
    return [
        {"upto": high, "n": int(here.sum()), "right": int((here & right).sum())}
        for high, here in zip(limits[1:], within, strict=True)
    ]


def calibrated(tree: ClassTree, nodes: np.ndarray, truth: np.ndarray) -> list[dict]:
    """How probable an answer of each group must be: [{"upto", "needs"}], the most specific first.

    The lowest bar, at least SURE, with which half of the group's answers are right, None if there
    is none; what is not said then counts in a later group. The last group is never barred, for
    something has to be said. nodes: (N, nodes) probabilities of one exit; truth: (N,).
    """
    found = [{"upto": high, "needs": SURE} for high in (*UPTO, tree.classes)]
    for low, group in zip((0, *UPTO), found[:-1], strict=False):
        said = tree.surest(nodes, tree.needed(found))
        left = tree.left[said]
        here = np.flatnonzero((left > low) & (left <= group["upto"]))
        here = here[np.argsort(-nodes[here, said[here]], kind="stable")]  # the surest first
        right = tree.below[truth[here], said[here]] > 0
        half = np.flatnonzero(right.cumsum() >= SURE * np.arange(1, len(here) + 1))
        if len(here) and not len(half):
            group["needs"] = None
        elif len(here) and half[-1] < len(here) - 1:
            last = here[half[-1]]
            group["needs"] = float(nodes[last, said[last]])
    return found


def record(model: MultiExitViT, val: Pictures, test: Pictures) -> dict | None:
    """What a card says under "coarse": {"n", "sure", "chosen_on", "exits": [{"layer", "head",
    "said"}]}, where "said" are the `groups` on test pictures, each with what it "needs" by
    validation; None for a task whose classes have no tree."""
    tree = tree_of(model.task.name)
    if tree is None:
        return None
    val, exits = sample(val, ENOUGH), model.plan()
    known = np.concatenate([s.astype(np.float16) for s in _scores(model, val)], axis=1)
    bars = [calibrated(tree, tree.probabilities(s), val.y.numpy()) for s in known]
    needed = [tree.needed(bar) for bar in bars]
    found = [
        np.stack([tree.surest(tree.probabilities(s), n) for s, n in zip(some, needed, strict=True)])
        for some in _scores(model, test)
    ]
    truth, rows = test.y.numpy(), []
    for (layer, head), nodes, bar in zip(exits, np.concatenate(found, axis=1), bars, strict=True):
        told = zip(groups(tree, nodes, truth), bar, strict=True)
        rows.append({"layer": layer, "head": head, "said": [a | b for a, b in told]})
    return {"n": len(test), "sure": SURE, "chosen_on": len(val), "exits": rows}


@torch.inference_mode()
def _scores(model: MultiExitViT, pictures: Pictures, batch: int = 32) -> Iterator[np.ndarray]:
    """Class probabilities of every exit, (E, B, classes), a batch at a time."""
    model.eval()
    for index in torch.arange(len(pictures)).split(batch):
        x, _ = pictures.whole(index, model.task, model.device)
        steps = model.steps(x.to(model.dtype), model.plan(), NoClock())
        yield np.stack([model.task.answers(step.logits).cpu().numpy() for step in steps])
