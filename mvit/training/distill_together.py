"""Backbone and exits taught together by the network as it was, from photos without labels: every
exit, the final one too, learns the features and the softened answer that the untouched network
gives to the same view of a photo. So early layers may serve early exits, and the final exit stays
what it was.

Teacher and learner always look at the same cut-out, mirrored, lit and perhaps blended with another
photo, and no view comes twice: so few photos teach for long (Beyer et al., "Knowledge
distillation: A good teacher is patient and consistent", CVPR 2022). The photos are read and reduced
once and kept in the run folder (150 kB a photo at 224 pixels).
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator
from torch.nn import functional as F
from tqdm import tqdm

from mvit.bundles.whole import check_room, read_json, write_json
from mvit.data.folders import DataError
from mvit.data.labelled import augment
from mvit.data.photos import read_batch
from mvit.models.backbone import Backbone
from mvit.models.blend import blend
from mvit.models.multi_exit import FINAL, MultiExitViT
from mvit.tasks import Task
from mvit.training.distill import list_of
from mvit.training.distill_heads import apart, run_through
from mvit.training.finetune import explicit_attention
from mvit.training.identity import fingerprint
from mvit.training.joint import JointRecipe, learners, phases_of
from mvit.training.joint_loss import Phase
from mvit.training.loop import Loop, Step, begin

READ_AT_ONCE = 256  # photos
SAVE_EVERY = 200  # steps


def reduced(photos: Sequence[Path], task: Task, run: Path) -> tuple[np.ndarray, list[str]]:
    """The photos that can be read as the task reduces them, uint8 (N, 3, S, S) on disk, and a line
    for each unreadable file. Taken from `run` if it holds those of the same photos. Raises
    DataError if none can be read."""
    name, side = list_of(photos)[:12], task.native_px
    told, pictures = run / f"photos-{name}.json", run / f"photos-{name}.npy"
    known = read_json(told)
    if {"read", "unreadable"} <= known.keys() and pictures.exists():
        x = np.load(pictures, mmap_mode="r", allow_pickle=False)
        return x[: known["read"]], known["unreadable"]
    run.mkdir(parents=True, exist_ok=True)
    shape = (len(photos), 3, side, side)
    check_room(run, math.prod(shape))
    x = np.lib.format.open_memmap(pictures, "w+", dtype=np.uint8, shape=shape)
    unreadable: list[str] = []
    seen = 0
    for start in tqdm(range(0, len(photos), READ_AT_ONCE), desc="reading photos", mininterval=10):
        part, bad = read_batch(photos[start : start + READ_AT_ONCE], task)
        unreadable += bad
        x[seen : seen + len(part)] = part.numpy()
        seen += len(part)
    if not seen:
        raise DataError(f"no photo to learn from can be read ({unreadable[0]})")
    x.flush()
    write_json(told, {"read": seen, "unreadable": unreadable})
    return x[:seen], unreadable


def views(x: torch.Tensor, step: Step, task: Task, blend: float) -> torch.Tensor:
    """Photos, uint8 (B, 3, S, S), as the teacher sees them: (B, 3, input_px, input_px) normalised,
    cut out and lit at random. blend: the chance that a photo is blended with another."""
    pixels = augment(x, task.input_px, step.generator)
    share = torch.rand(len(x), generator=step.generator)
    share[torch.rand(len(x), generator=step.generator) >= blend] = 1
    share = share.to(x.device)[:, None, None, None]
    return task.normalise(share * pixels + (1 - share) * pixels.flip(0))


def losses_of(
    model: MultiExitViT, x: torch.Tensor, features: torch.Tensor, phase: Phase
) -> torch.Tensor:
    """The weighted sum of how far each exit is from the teacher: in features (B, D), as a share of
    their variance, and in the softened answer. x: (B, 3, side, side)."""
    classifier, total = model.backbone.vit.head, torch.zeros((), device=x.device)
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
    teacher: MultiExitViT,
    phase: Phase,
    step: Step,
    *,
    photos: np.ndarray,
    blend: float,
    accelerator: Accelerator,
) -> Iterator[torch.Tensor]:
    """Yield the loss of a step on views of its photos, which the learner sees at the step's size
    and the teacher at full size."""
    x = torch.from_numpy(photos[step.index.sort().values.numpy()]).to(accelerator.device)
    x = views(x, step, model.task, blend=blend)
    with accelerator.autocast(), explicit_attention(model, accelerator.device):
        with torch.no_grad():
            features = run_through(teacher, x)[1].float()
        if step.side != model.task.input_px:
            x = F.interpolate(x, (step.side,) * 2, mode="bilinear", antialias=True)
        yield losses_of(model, x, features, phase=phase)


def answering(model: MultiExitViT, teacher: Backbone | None) -> MultiExitViT:
    """The network that answers: the teacher's, or the model's as it is now."""
    backbone = teacher or copy.deepcopy(model.backbone)
    own = MultiExitViT(backbone, model.task, {}).to(model.device)
    return own.eval().requires_grad_(False)


def teach_together(
    model: MultiExitViT,
    photos: Sequence[Path],
    *,
    recipe: JointRecipe,
    weigh: str | Sequence[float] | None,
    run: Path,
    accelerator: Accelerator,
    teacher: Backbone | None = None,
) -> dict:
    """Teach backbone and exits, whose dense layers are begun, by the recipe's stages; the
    classifiers stay as they are. teacher: another network that answers; by default the backbone as
    it is. Resumes from the run folder. Return what the card should say. Raises DataError, and
    TrainingError at a loss that is no number."""
    model.to(accelerator.device).eval().requires_grad_(False)
    teacher = answering(model, teacher)
    with accelerator.main_process_first():
        seen, unreadable = reduced(photos, model.task, run)
    [phase] = phases_of(model, "end-to-end", weigh)
    optimizer = learners(model, phase, recipe)
    for frozen in (model.backbone.vit.head, *(model.head_at(*e).mlp[1] for e in model.exits())):
        frozen.requires_grad_(False)
    told = {
        "photos": len(seen),
        "steps": len(recipe.plan(len(seen))),
        "exit weights": {f"{b} {name}": w for (b, name), w in phase.weights.items()},
    }
    checkpoint = run / "together.safetensors"
    answers = fingerprint([*teacher.state_dict().items()])
    known = {"list of photos": list_of(photos), "teacher": answers}
    progress = begin(checkpoint, vars(recipe) | told | known)
    data = {"photos": seen, "blend": recipe.mix, "accelerator": accelerator}
    loop = Loop.along(
        recipe,
        len(seen),
        losses=partial(step_losses, model, teacher, phase, **data),
        state=model,
        optimizer=optimizer,
        accelerator=accelerator,
        checkpoint=checkpoint,
        title="teaching together",
    )
    start = copy.deepcopy(model.state_dict()) if recipe.start_share else {}
    loop.resume()
    done = loop.run(progress, SAVE_EVERY)
    blend(model, start, recipe.start_share)
    model.eval().requires_grad_(False)
    spent = {"seconds": round(done["seconds"]), "loss": done["mean"]}
    return told | spent | {"unreadable": unreadable}
