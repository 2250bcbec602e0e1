"""A whole study without labels to learn from: teach the exits, measure them, write the bundle."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import torch

from mvit.bundles import weights
from mvit.data.photos import find_photos, measured_names
from mvit.data.splits import listed_parts, measured_part, sample
from mvit.evaluation import coarse, unlike
from mvit.evaluation.predictions import predict, save_predictions, summary
from mvit.evaluation.storage import round_for_storage
from mvit.models.multi_exit import MultiExitViT
from mvit.training import identity
from mvit.training.distill import HEAD, teach_lenses
from mvit.training.initial import starting_backbone
from mvit.training.study import Study, about


def distill(study: Study, folders: Sequence[Path]) -> dict:
    """Teach `lens` exits on the study's backbone from the photos in `folders`, measure them on the
    task's labelled test pictures, write the bundle and return its card.

    The backbone and its final exit stay as they are. A third of the test pictures is kept for
    choosing thresholds, the rest is measured on. Photos with the name of a test picture are left
    out. Resumes from the run folder. Raises DataError without photos or test pictures, or if
    another run wrote that bundle.
    """
    torch.manual_seed(study.recipe.seed)
    closed: list[str] = []
    files, tested = find_photos(folders, measured_names(study.task, study.data), closed)
    order = torch.randperm(len(files), generator=torch.Generator().manual_seed(study.recipe.seed))
    files = [files[i] for i in order[: study.limit].tolist()]
    before = study.init if study.init is not None and study.init.is_dir() else None
    remembered = weights.read_card(before).get("test_part", {}) if before else {}
    scored = measured_part(study.task, study.data, remembered)
    backbone = starting_backbone(study.architecture, study.task, study.init, study.hub)
    model = MultiExitViT.untrained(backbone, study.task, [HEAD], study.layers)
    start = identity.of_start(study.init, backbone.vit)
    run = identity.fingerprint(HEAD, [str(file) for file in files], start)
    identity.refuse_another(study.folder, run, study.overwrite)
    told = teach_lenses(model, files, study.run / "lenses.safetensors", seed=study.recipe.seed)
    accelerator = study.accelerator()
    val, test = listed_parts(scored)
    test = sample(test, study.test_limit)
    storage, chosen_from = round_for_storage(model, lambda m: predict(m, val, accelerator))
    found = {"val": chosen_from, "test": predict(model, test, accelerator)}
    measured = summary(model, found["test"])
    card = about(study, model, accelerator) | {
        "data": {
            "photos without labels": told["photos"],
            "left out because they are measured on": len(tested),
            "validation": len(val),
            "test": len(test),
            "folders": [folder.name for folder in folders],
            "unreadable": [*scored.unreadable, *closed, *told.pop("unreadable")],
        },
        "test_part": {"words": "a sample of labelled pictures, no official split"},
        "exit_recipe": {"head": HEAD, "method": "ridge regression on the final exit's features"}
        | told,
        "run": run,
        **measured,
        "unlike": unlike.learn(model, chosen_from, val, test),
    }
    if specific := coarse.record(model, test):
        card["coarse"] = specific
    if accelerator.is_main_process:
        card = weights.save(model, study.folder, card, storage)
        save_predictions(study.folder, found)
    return json.loads(json.dumps(card))
