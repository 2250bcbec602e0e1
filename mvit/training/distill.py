"""Exits taught by the network itself, from photos without labels (Hinton et al., 2015).

A few thousand photos can teach an early exit the D numbers that the final exit's classifier reads,
but not a thousand classes. So the exit learns those features, and the backbone's own classifier is
put behind it. For the `lens` head (Belrose et al., 2023) that is a ridge regression with an exact
solution, which needs one pass over the photos and a few small matrices, however many photos there
are.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn
from tqdm import tqdm

from mvit.data.photos import read_batch
from mvit.models.heads import Head
from mvit.models.multi_exit import MultiExitViT
from mvit.training import checkpoints

HEAD = "lens"
HELD_OUT = 0.05  # of the photos, to choose the ridge by
RIDGES = (1e-3, 1e-2, 3e-2, 1e-1, 3e-1)
SAVE_EVERY = 50  # batches


class Sums(nn.Module):
    """What ridge regression needs of all photos seen so far, for each layer. gram: (L, F+1, F+1) of
    the heads' inputs with a 1 behind; cross: (L, F+1, D) of inputs and features."""

    def __init__(self, layers: int, inputs: int, features: int):
        super().__init__()
        gram = torch.zeros(layers, inputs + 1, inputs + 1, dtype=torch.float64)
        cross = torch.zeros(layers, inputs + 1, features, dtype=torch.float64)
        self.register_buffer("gram", gram)
        self.register_buffer("cross", cross)

    @property
    def seen(self) -> int:
        """How many photos: each adds the square of its 1."""
        return int(self.gram[0, -1, -1])

    def add(self, inputs: torch.Tensor, features: torch.Tensor) -> None:
        """inputs: (L, B, F); features: (B, D)."""
        x = torch.cat([inputs, torch.ones_like(inputs[..., :1])], 2).double()  # (L, B, F+1)
        self.gram += x.transpose(1, 2) @ x
        self.cross += x.transpose(1, 2) @ features.double()

    def solve(self, layer: int, ridge: float) -> tuple[torch.Tensor, torch.Tensor]:
        """(weight (D, F), bias (D,)) of least squares, each input's weight charged with `ridge`
        times its variance; the bias is free."""
        gram, cross = self.gram[layer], self.cross[layer]
        mean = gram[-1] / self.seen  # (F+1,), the last is 1
        variance = (gram.diagonal() / self.seen - mean.square()).clamp(min=1e-8)
        charge = ridge * self.seen * variance
        charge[-1] = 0
        found = torch.linalg.solve(gram + charge.diag(), cross)  # (F+1, D)
        return found[:-1].T.float(), found[-1].float()


@torch.inference_mode()
def read_layers(model: MultiExitViT, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """x: (B, 3, S, S) -> what the heads read after every layer (L, B, F), and the features that the
    final exit's classifier reads (B, D)."""
    vit, tokens, found = model.backbone.vit, model.backbone.embed(x), []
    for layer, head in model.exits(HEAD):
        tokens = model.backbone.block(tokens, layer)
        found.append(model.head_at(layer, head).describe(tokens))
    return torch.stack(found), vit.forward_head(vit.norm(tokens), pre_logits=True)


def teach_lenses(
    model: MultiExitViT, photos: Sequence[Path], checkpoint: Path, batch: int = 32, seed: int = 0
) -> dict:
    """Solve the `lens` heads of a model, which has them after every layer, from photos; resumes
    from `checkpoint`. Return what the card should say: photos seen, unreadable ones, the ridge of
    each layer and how often each exit agrees with the final exit on photos kept back."""
    order = torch.randperm(len(photos), generator=torch.Generator().manual_seed(seed)).tolist()
    files = [photos[i] for i in order]
    kept = max(1, int(HELD_OUT * len(files)))
    kept_back, learned = files[:kept], files[kept:]
    model.eval().requires_grad_(False)
    heads: list[Head] = [model.head_at(*exit) for exit in model.exits(HEAD)]
    sums = Sums(len(heads), heads[0].features, model.backbone.dim)
    named = hashlib.sha256("\n".join(map(str, learned)).encode()).hexdigest()
    recipe = {"head": HEAD, "photos": len(learned), "list of photos": named}
    progress = {"recipe": recipe, "next": 0, "unreadable": []}
    if checkpoint.exists():
        progress = checkpoints.begun(checkpoint, recipe)
        checkpoints.load(checkpoint, sums)
    starts = range(progress["next"], len(learned), batch)
    for start in tqdm(starts, desc="looking at photos", mininterval=10):
        x, unreadable = read_batch(learned[start : start + batch], model.task)
        progress["unreadable"] += unreadable
        progress["next"] = start + batch
        if len(x):
            sums.add(*read_layers(model, prepared(model, x)))
        if start // batch % SAVE_EVERY == SAVE_EVERY - 1:
            checkpoints.save(checkpoint, sums, None, progress)
    told = {"photos": sums.seen, "unreadable": progress["unreadable"]}
    return told | choose(model, sums, kept_back, batch)


def prepared(model: MultiExitViT, x: torch.Tensor) -> torch.Tensor:
    """Reduced pictures, uint8 (B, 3, S, S), as the model's input."""
    return model.to_input(model.task.normalise(model.task.enlarge(x)))


def choose(model: MultiExitViT, sums: Sums, photos: Sequence[Path], batch: int) -> dict:
    """Give each head the solution whose answers agree most often with the final exit's on
    `photos`."""
    parts = []
    for start in range(0, len(photos), batch):
        x, _ = read_batch(photos[start : start + batch], model.task)
        if len(x):
            parts.append(read_layers(model, prepared(model, x)))
    inputs = torch.cat([x for x, _ in parts], 1)  # (L, n, F)
    classifier = model.backbone.vit.head
    final = classifier(torch.cat([t for _, t in parts])).argmax(1)
    ridges, agreement = [], []
    for i, (layer, name) in enumerate(model.exits(HEAD)):
        head, tried = model.head_at(layer, name), []
        head.mlp[1].load_state_dict(classifier.state_dict())
        for ridge in RIDGES:
            weight, bias = sums.solve(i, ridge)
            said = classifier(inputs[i] @ weight.T + bias).argmax(1)
            tried.append(((said == final).double().mean().item(), ridge, weight, bias))
        share, ridge, weight, bias = max(tried, key=lambda one: one[0])
        head.mlp[0].weight.copy_(weight)
        head.mlp[0].bias.copy_(bias)
        ridges.append(ridge)
        agreement.append(round(share, 4))
    return {"kept_back": len(final), "ridges": ridges, "agreement_with_final_exit": agreement}
