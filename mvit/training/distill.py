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

from mvit.data.folders import DataError
from mvit.data.photos import read_batch
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


def list_of(photos: Sequence[Path]) -> str:
    """A hash of a list of photos, to tell whether a run goes on with the same ones."""
    return hashlib.sha256("\n".join(map(str, photos)).encode()).hexdigest()


@torch.inference_mode()
def read_layers(
    model: MultiExitViT, x: torch.Tensor, names: Sequence[str] = (HEAD,)
) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
    """x: (B, 3, S, S) -> what the dense layers of these heads read after every layer, {name: (L, B,
    F)}, and the features that the final exit's classifier reads (B, D)."""
    vit, tokens = model.backbone.vit, model.backbone.embed(x)
    found: dict[str, list] = {name: [] for name in names}
    for layer in range(1, model.depth + 1):
        tokens = model.backbone.block(tokens, layer)
        for name in names:
            if (layer, name) in model.exits(name):
                found[name].append(model.head_at(layer, name).describe(tokens))
    features = vit.forward_head(vit.norm(tokens), pre_logits=True)
    return {name: torch.stack(parts) for name, parts in found.items()}, features


def solve_heads(
    model: MultiExitViT,
    names: Sequence[str],
    photos: Sequence[Path],
    *,
    checkpoint: Path,
    exits: Sequence[tuple[int, str]] | None = None,
    batch: int = 32,
    seed: int = 0,
    taught: bool = False,
) -> dict:
    """Solve the dense layer of these heads of a model in closed form, from photos; resumes from
    `checkpoint`. Return what the card should say: photos seen, unreadable ones, and for each head
    the ridge of each layer and how often each exit agrees with the final exit on photos kept back.
    exits: those to solve. taught: see `best_solutions`. Raises DataError without two photos."""
    kept_back, learned = split(photos, seed)
    if not learned:
        raise DataError("one photo is too few to learn from: one is kept back, so give two or more")
    model.eval().requires_grad_(False)
    first = {name: model.head_at(*model.exits(name)[0]) for name in names}
    sums = nn.ModuleDict(
        {
            name: Sums(len(model.exits(name)), head.features, model.backbone.dim)
            for name, head in first.items()
        }
    ).to(model.device)
    recipe = {"heads": list(names), "photos": len(learned), "list of photos": list_of(learned)}
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
            inputs, features = read_layers(model, prepared(model, x), names)
            for name, one in sums.items():
                one.add(inputs[name], features)
        if start // batch % SAVE_EVERY == SAVE_EVERY - 1:
            checkpoints.save(checkpoint, sums, None, progress=progress)
    if not sums[names[0]].seen:
        raise DataError(f"no photo to learn from can be read ({progress['unreadable'][0]})")
    checkpoints.save(checkpoint, sums, None, progress=progress)
    told = {"photos": sums[names[0]].seen, "unreadable": progress["unreadable"]}
    return told | best_solutions(
        model, sums, kept_back, batch=batch, exits=exits or model.exits(), taught=taught
    )


def split(photos: Sequence[Path], seed: int) -> tuple[list[Path], list[Path]]:
    """(photos kept back, photos to learn from), a seeded choice."""
    order = torch.randperm(len(photos), generator=torch.Generator().manual_seed(seed)).tolist()
    files = [photos[i] for i in order]
    kept = max(1, int(HELD_OUT * len(files)))
    return files[:kept], files[kept:]


def prepared(model: MultiExitViT, x: torch.Tensor) -> torch.Tensor:
    """Reduced pictures, uint8 (B, 3, S, S), as the model's input."""
    return model.to_input(model.task.normalise(model.task.enlarge(x.to(model.device))))


def best_solutions(
    model: MultiExitViT,
    sums: nn.ModuleDict,
    photos: Sequence[Path],
    batch: int,
    exits: Sequence[tuple[int, str]],
    taught: bool = False,
) -> dict:
    """Give each of these exits the solution whose answers agree most often with the final exit's on
    `photos`. taught: what an exit has learned already is one of them (its ridge is None). Raises
    DataError if none of the photos can be read."""
    parts, unreadable = [], []
    for start in range(0, len(photos), batch):
        x, bad = read_batch(photos[start : start + batch], model.task)
        unreadable += bad
        if len(x):
            parts.append(read_layers(model, prepared(model, x), list(sums)))
    if not parts:
        raise DataError(f"no photo that was kept back to choose by can be read ({unreadable[0]})")
    classifier = model.backbone.vit.head
    final = classifier(torch.cat([t for _, t in parts])).argmax(1)
    told: dict = {"kept_back": len(final), "ridges": {}, "agreement_with_final_exit": {}}
    for name, own in sums.items():
        inputs = torch.cat([x[name] for x, _ in parts], 1)  # (L, n, F)
        ridges, agreement = [], []
        for i, (layer, _) in enumerate(model.exits(name)):
            if (layer, name) not in exits:
                continue
            head, tried = model.head_at(layer, name), []
            head.mlp[1].load_state_dict(classifier.state_dict())
            solutions = [(ridge, own.solve(i, ridge)) for ridge in RIDGES]
            if taught:
                solutions.append((None, (head.mlp[0].weight.clone(), head.mlp[0].bias.clone())))
            for ridge, (weight, bias) in solutions:
                said = classifier(inputs[i] @ weight.T + bias).argmax(1)
                tried.append(((said == final).double().mean().item(), ridge, weight, bias))
            share, ridge, weight, bias = max(tried, key=lambda one: one[0])
            head.mlp[0].weight.copy_(weight)
            head.mlp[0].bias.copy_(bias)
            ridges.append(ridge)
            agreement.append(round(share, 4))
        told["ridges"][name], told["agreement_with_final_exit"][name] = ridges, agreement
    return told
