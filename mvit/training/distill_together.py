"""Backbone and exits taught together by the network as it was, from photos without labels: every
exit, the final one too, learns the features and the softened answer that the untouched network
gives the whole photo. So early layers may serve early exits, and the final exit stays what it was.

Every photo is read, reduced and shown to the untouched network once; that is kept in the run
folder (150 kB a photo at 224 pixels).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator
from safetensors import safe_open
from safetensors.torch import save_file
from torch.nn import functional as F
from tqdm import tqdm

from mvit.bundles.whole import written_whole
from mvit.data.folders import DataError
from mvit.data.photos import read_batch
from mvit.models.multi_exit import FINAL, MultiExitViT
from mvit.training.distill import list_of, prepared
from mvit.training.distill_heads import apart, run_through
from mvit.training.finetune import explicit_attention
from mvit.training.joint import JointRecipe, learners, phases_of
from mvit.training.joint_loss import Phase
from mvit.training.loop import Loop, Step, begin


@torch.inference_mode()
def shown(
    model: MultiExitViT, photos: Sequence[Path], run: Path, batch: int = 32
) -> tuple[np.ndarray, torch.Tensor, list[str]]:
    """What the untouched network sees and says: the photos that can be read as the task reduces
    them, uint8 (N, 3, S, S) on disk; its features (N, D); a line for each unreadable file. Taken
    from `run` if it holds those of the same photos. Raises DataError if none can be read."""
    name, side = list_of(photos)[:12], model.task.native_px
    kept, pictures = run / f"features-{name}.safetensors", run / f"photos-{name}.npy"
    if kept.exists() and pictures.exists():
        x = np.load(pictures, mmap_mode="r", allow_pickle=False)
        with safe_open(kept, "pt") as file:
            features = file.get_tensor("features")
            return x[: len(features)], features, json.loads(file.metadata()["unreadable"])
    run.mkdir(parents=True, exist_ok=True)
    shape = (len(photos), 3, side, side)
    x = np.lib.format.open_memmap(pictures, "w+", dtype=np.uint8, shape=shape)
    found: list[torch.Tensor] = []
    unreadable: list[str] = []
    seen = 0
    for start in tqdm(range(0, len(photos), batch), desc="looking at photos", mininterval=10):
        part, bad = read_batch(photos[start : start + batch], model.task)
        unreadable += bad
        if len(part):
            x[seen : seen + len(part)] = part.numpy()
            seen += len(part)
            found.append(run_through(model, prepared(model, part))[1])
    if not seen:
        raise DataError(f"no photo to learn from can be read ({unreadable[0]})")
    x.flush()
    features = torch.cat(found)
    with written_whole(kept) as file:
        save_file({"features": features}, file, {"unreadable": json.dumps(unreadable)})
    return x[:seen], features, unreadable


def views(x: torch.Tensor, step: Step, model: MultiExitViT) -> torch.Tensor:
    """Whole photos, uint8 (B, 3, S, S), half of them mirrored, at the step's size: (B, 3, side,
    side) as the backbone takes them. Nothing is cut off, since the teacher saw all of it."""
    mirrored = torch.rand(len(x), generator=step.generator) < 0.5
    x = torch.where(mirrored[:, None, None, None], x.flip(3), x)
    if step.side == model.task.input_px:
        return prepared(model, x)
    size = (step.side, step.side)
    small = F.interpolate(x.float() / 255, size, mode="bilinear", antialias=True)
    return model.to_input(model.task.normalise(small))


def losses_of(
    model: MultiExitViT, x: torch.Tensor, features: torch.Tensor, phase: Phase
) -> torch.Tensor:
    """The weighted sum of how far each exit is from the teacher: in features (B, D), as a share of
    their variance, and in the softened answer. x: (B, 3, side, side)."""
    classifier, total = model.backbone.vit.head, torch.zeros(())
    answer = classifier(features).detach()
    tokens, final = run_through(model, x, model.exits())
    for (layer, name), weight in phase.weights.items():
        guess = final
        if name != FINAL:
            head = model.head_at(layer, name)
            guess = head.mlp[0](head.describe(tokens[layer]))
        total = total + weight * apart(guess, features, said=classifier(guess), answer=answer)
    return total


def step_losses(
    model: MultiExitViT,
    phase: Phase,
    step: Step,
    *,
    seen: np.ndarray,
    features: torch.Tensor,
    accelerator: Accelerator,
) -> Iterator[torch.Tensor]:
    """Yield the loss of a step on its photos, of all that was `shown`."""
    index = step.index.sort().values
    x = torch.from_numpy(seen[index.numpy()]).to(accelerator.device)
    with accelerator.autocast(), explicit_attention(model, accelerator.device):
        yield losses_of(model, views(x, step, model), features[index], phase=phase)


def teach_together(
    model: MultiExitViT,
    photos: Sequence[Path],
    *,
    recipe: JointRecipe,
    weigh: str | Sequence[float] | None,
    run: Path,
    accelerator: Accelerator,
    every: int = 200,
) -> dict:
    """Teach backbone and exits, whose dense layers are begun, by the recipe's stages; the
    classifiers stay as they are. Resumes from the run folder. Return what the card should say.
    Raises DataError, and TrainingError at a loss that is no number."""
    model.to(accelerator.device).eval().requires_grad_(False)
    with accelerator.main_process_first():
        seen, features, unreadable = shown(model, photos, run)
    features = features.to(accelerator.device)
    [phase] = phases_of(model, "end-to-end", weigh)
    optimizer = learners(model, phase, recipe)
    for frozen in (model.backbone.vit.head, *(model.head_at(*e).mlp[1] for e in model.exits())):
        frozen.requires_grad_(False)
    told = {
        "photos": len(features),
        "steps": len(recipe.plan(len(features))),
        "exit weights": {f"{b} {name}": w for (b, name), w in phase.weights.items()},
    }
    checkpoint = run / "together.safetensors"
    progress = begin(checkpoint, vars(recipe) | told | {"list of photos": list_of(photos)})
    data = {"seen": seen, "features": features, "accelerator": accelerator}
    loop = Loop.along(
        recipe,
        len(features),
        losses=partial(step_losses, model, phase, **data),
        state=model,
        optimizer=optimizer,
        accelerator=accelerator,
        checkpoint=checkpoint,
        title="teaching together",
    )
    loop.resume()
    with model.lean():
        done = loop.run(progress, every)
    model.eval().requires_grad_(False)
    spent = {"seconds": round(done["seconds"]), "loss": done["mean"]}
    return told | spent | {"unreadable": unreadable}
