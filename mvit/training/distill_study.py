"""A whole study without labels to learn from: teach the exits, measure them, write the bundle."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

import torch
from accelerate import Accelerator

from mvit.bundles import weights
from mvit.bundles.tensors import round_to
from mvit.data.labelled import Pictures
from mvit.data.photos import find_photos, measured_names
from mvit.data.splits import CHOSEN_ON, CUT, listed_parts, measured_part, sample
from mvit.evaluation import coarse, unlike
from mvit.evaluation.predictions import Predictions, predict, save_predictions
from mvit.evaluation.storage import round_for_storage, round_heads
from mvit.evaluation.temperature import summary
from mvit.models.backbone import Backbone
from mvit.models.multi_exit import MultiExitViT
from mvit.training import identity
from mvit.training.distill import HEAD, solve_heads, split
from mvit.training.distill_heads import start_from_backbone, teach_or_leave
from mvit.training.distill_together import teach_together
from mvit.training.finetune import compile_layers
from mvit.training.initial import origin, starting_backbone, take_over_exits
from mvit.training.joint_loss import Key
from mvit.training.study import Study, about

START_ON = 2000  # photos for a first solution of heads that are then taught further
AGAIN_ON = 8_000  # photos for the last solution, after the backbone has changed
TOGETHER = "end-to-end"  # the strategy in which the backbone learns too
WORDS = "a sample of labelled pictures, no official split"
SOLVED = "ridge regression on the final exit's features"
TAUGHT = "; then steps towards these and its softened answer"


def distill(study: Study, folders: Sequence[Path], closed_form: bool = False) -> dict:
    """Teach the study's heads on its backbone from the photos in `folders`, measure them on the
    task's labelled test pictures, write the bundle and return its card.

    The backbone and its final exit stay as they are, and so do heads that the bundle `study.init`
    has taught already; but with the end-to-end strategy all learn together. closed_form: only solve
    dense layers. A third of the test pictures is kept for choosing thresholds, the rest is measured
    on. Photos with the name of a test picture are left out. Resumes from the run folder. Raises
    DataError without photos or test pictures, or if another run wrote that bundle.
    """
    torch.manual_seed(study.recipe.seed)
    closed: list[str] = []
    files, tested = find_photos(folders, measured_names(study.task, study.data), closed)
    files = shuffled(files, study.recipe.seed)[: study.limit]
    scored = measured_part(study.task, study.data, remembered(study.init))
    (model, fresh), teacher = begun(study), teacher_of(study)
    start = identity.of_start(study.init, model.backbone.vit)
    how = [asdict(study.recipe), study.exit_weights] if study.strategy == TOGETHER else []
    how += [identity.of_start(study.teacher, teacher.vit)] if teacher else []
    run = identity.fingerprint(",".join(study.heads), [str(file) for file in files], start, *how)
    identity.refuse_another(study.folder, run, study.overwrite)
    accelerator = study.accelerator()
    told = teach(study, model, files, exits=fresh, closed_form=closed_form, accelerator=accelerator)
    if study.strategy == TOGETHER:
        told |= teach_all(study, model, files, teacher=teacher, accelerator=accelerator)
    val, test = listed_parts(scored)
    test = sample(test, study.test_limit)
    storage, chosen_from = rounded(study, model, lambda m: predict(m, val, accelerator))
    found = {"val": chosen_from, "test": predict(model, test, accelerator)}
    unreadable = told.pop("unreadable")
    card = about(study, model, accelerator) | {
        "data": {
            "photos without labels": len(files) - len(unreadable),
            "left out because they are measured on": len(tested),
            "validation": len(val),
            "test": len(test),
            "folders": [folder.name for folder in folders],
            "unreadable": [*scored.unreadable, *closed, *unreadable],
        },
        "test_part": scored.origin | {"words": WORDS, CUT: CHOSEN_ON},
        "distilled": True,
        "exit_recipe": told,
        "run": run,
    }
    card |= figures(model, found, val, test=test)
    if accelerator.is_main_process:
        card = weights.save(model, study.folder, card, storage=storage)
        save_predictions(study.folder, found)
    return json.loads(json.dumps(card))


def begun(study: Study) -> tuple[MultiExitViT, list[Key]]:
    """The model to teach, and those of its exits that no bundle has taught yet."""
    backbone = starting_backbone(study.architecture, study.task, study.init, hub=study.hub)
    heads, layers = study.heads, study.layers
    model = MultiExitViT.untrained(backbone, study.task, heads, layers=layers, distilled=True)
    taken = take_over_exits(model, study.init)
    if study.compiled:
        compile_layers(backbone)
    return model, [exit for exit in model.exits() if exit not in taken]


def rounded(study: Study, model: MultiExitViT, measure: Callable) -> tuple[dict, Predictions]:
    """Round a model in place to what its bundle will hold: 8 bits for all of it, if it has learned
    together and no exit pays; else half precision, and 8 bits for the heads that do not."""
    if study.strategy == TOGETHER:
        storage, found = round_for_storage(model, measure)
        if storage["bits"] == 8:
            return storage, found
    round_to(model.backbone, 16)
    storage, found = round_heads(model, measure)
    return {"bits": 16} | storage, found


def shuffled(files: list[Path], seed: int) -> list[Path]:
    """The files in seeded random order."""
    order = torch.randperm(len(files), generator=torch.Generator().manual_seed(seed))
    return [files[i] for i in order.tolist()]


def remembered(init: Path | None) -> dict:
    """The test part that the bundle one starts from was measured on, if it is a bundle."""
    bundle = init is not None and init.is_dir()
    return weights.read_card(init).get("test_part", {}) if bundle else {}


def figures(model: MultiExitViT, found: dict, val: Pictures, test: Pictures) -> dict:
    """What was measured, for the card."""
    specific = coarse.record(model, val, test)
    own = summary(model, found) | unlike.learn(model, val, test)
    return own | ({"coarse": specific} if specific else {})


def teach(
    study: Study,
    model: MultiExitViT,
    photos: Sequence[Path],
    *,
    exits: Sequence[Key],
    closed_form: bool,
    accelerator: Accelerator,
) -> dict:
    """Teach these exits from photos: all in closed form, then all but the `lens` further, step by
    step, as far as that helps, and solved once more. Return what the card tells about it."""
    names, later = list(dict.fromkeys(n for _, n in exits)), [e for e in exits if e[1] != HEAD]
    seed = study.recipe.seed
    for exit in later:
        start_from_backbone(model, *exit)
    told = {"heads": names, "method": SOLVED}
    if not names:
        return told | {"photos": 0, "unreadable": []}
    told |= solve_heads(
        model,
        names,
        photos if HEAD in names or closed_form else photos[:START_ON],
        checkpoint=study.run / "solved.safetensors",
        exits=exits,
        seed=seed,
    )
    if later and not closed_form:
        told["method"] += TAUGHT
        told["taught"] = teach_or_leave(
            model,
            later,
            photos,
            checkpoint=study.run / "taught.safetensors",
            accelerator=accelerator,
            seed=seed,
        )
        checkpoint = study.run / "solved-again.safetensors"
        again = solve_again(model, later, photos, checkpoint=checkpoint, seed=seed)
        told["solved again"] = again
    return told


def teach_all(
    study: Study,
    model: MultiExitViT,
    photos: Sequence[Path],
    *,
    teacher: Backbone | None,
    accelerator: Accelerator,
) -> dict:
    """Teach backbone and exits together, then solve each `lens` once more for what the backbone has
    become, and keep that where it agrees more with the final exit on photos that none learned from.
    Return what the card tells about it."""
    again, seed = photos[:AGAIN_ON], study.recipe.seed
    kept_back = set(split(again, seed)[0])
    together = teach_together(
        model,
        [photo for photo in photos if photo not in kept_back],
        recipe=study.recipe,
        weigh=study.exit_weights,
        run=study.run,
        accelerator=accelerator,
        teacher=teacher,
    )
    told = {"together": together | {"recipe": asdict(study.recipe)}}
    told["unreadable"] = together.pop("unreadable")
    if study.teacher:
        told["together"]["teacher"] = origin(study.teacher, study.architecture)["init"]
    if HEAD in study.heads:
        exits = model.exits(HEAD)
        checkpoint = study.run / "solved-at-last.safetensors"
        solved = solve_again(model, exits, again, checkpoint=checkpoint, seed=seed)
        told["solved again"] = solved
    return told


def teacher_of(study: Study) -> Backbone | None:
    """The network that the study names as the teacher of its end-to-end distillation, if any."""
    return study.teacher and starting_backbone(study.architecture, study.task, study.teacher)


def solve_again(
    model: MultiExitViT,
    exits: Sequence[Key],
    photos: Sequence[Path],
    *,
    checkpoint: Path,
    seed: int,
) -> dict:
    """Solve the dense layers of taught exits in closed form for what they read by now, and keep a
    solution where it agrees more with the final exit on photos that are kept back. Return what the
    card tells about it."""
    solved = solve_heads(
        model,
        list(dict.fromkeys(name for _, name in exits)),
        photos,
        checkpoint=checkpoint,
        exits=exits,
        seed=seed,
        taught=True,
    )
    return {k: v for k, v in solved.items() if k != "unreadable"}
