"""More heads for a bundle that is already there: trained on its frozen backbone, measured, and
added to it or put beside it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch

from mvit.bundles import weights
from mvit.bundles.tensors import round_to
from mvit.data.labelled import DataError, Pictures
from mvit.evaluation import unlike
from mvit.evaluation.predictions import load_predictions, predict, save_predictions
from mvit.evaluation.storage import round_heads
from mvit.evaluation.temperature import summary
from mvit.evaluation.together import joined
from mvit.models.extra_heads import EVERY
from mvit.models.multi_exit import MultiExitViT, PlanError
from mvit.training import identity
from mvit.training.exits import classifier_wise, warm_start
from mvit.training.kinds import CLASSES
from mvit.training.study import Study


def add_heads(study: Study, heads: Sequence[str], into: str | None = None) -> dict:
    """Train `heads` by study.exits on the backbone of the bundle study.task.name/study.bundle
    and return the card that then holds them.

    Nothing else of the bundle is touched; a head of the same name that another run made is
    replaced only by a study that may overwrite.
    into: the name of a bundle of their own, with the same backbone, so that the first one stays as
    light as it is. Resumes from the run folder. Raises PlanError for an unknown head, WeightsError
    if there is no such bundle, DataError if the pictures are not those it was measured on.
    """
    check(study, heads)
    folder = weights.root() / study.task.name / study.bundle
    card, recorded = weights.read_card(folder), load_predictions(folder, belonging=False)
    accelerator = study.accelerator()
    train_set, val, test = CLASSES.parts(study)
    parts = {"val": CLASSES.recorded(val), "test": test}
    check_pictures(study, recorded, parts)
    known = {"pictures and labels": identity.of_data(train_set, val)}
    backbone = {name: card["files"][name] for name in weights.parts(card["files"])["backbone"]}
    run = identity.fingerprint([study.run_of(known), [*backbone.values()], list(heads), into])
    if into:
        identity.refuse_another(folder.parent / into, run, study.overwrite)
    elif not study.overwrite:
        refuse_taken(study.bundle, card, heads, run=run)
    given = {"train": train_set, "val": val, "accelerator": accelerator, "known": known}
    model, recipe = learn(study, heads, card["layers"], given=given)
    bits, changed = card.get("storage", {}).get("bits", 16), "delta" in card
    if into and changed:  # the first bundle holds the change only, so the new one has the whole
        round_to(model.backbone.vit, bits)
    storage, recorded_val = round_heads(
        model, lambda rounded: predict(rounded, parts["val"], accelerator)
    )
    found = {"val": recorded_val, "test": predict(model, test, accelerator)}
    told = {"recipe": recipe | {"run": run}, "storage": storage}
    if accelerator.is_main_process and into:
        own = apart(card, study.bundle, told["recipe"]) | summary(model, found)
        own |= unlike.learn(model, *parts.values())
        same = {name: {"of": study.bundle} | about for name, about in backbone.items()}
        own_backbone = None if changed else same
        beside, storage = folder.parent / into, {"bits": bits} | storage
        card = weights.save(model, beside, own, storage=storage, backbone=own_backbone)
        save_predictions(beside, found)
    elif accelerator.is_main_process:
        card, recorded = as_it_is_now(folder, backbone)
        every = {n: joined(recorded[n], p) if n in recorded else p for n, p in found.items()}
        card = put_into(folder, card, model, exits=summary(model, found)["exits"], **told)
        save_predictions(folder, every)
        weights.write_card(folder, card)
    return json.loads(json.dumps(card))


def as_it_is_now(folder: Path, backbone: dict) -> tuple[dict, dict]:
    """The card and the recorded answers of a bundle, with what others have added to it meanwhile.
    Raises DataError if it has another backbone by now. backbone: its files when training began."""
    card = weights.read_card(folder)
    if any(card["files"].get(name) != about for name, about in backbone.items()):
        raise DataError(
            f"the backbone of {folder} was replaced while heads learned on it; they are kept in "
            "the run folder, but belong to the one before"
        )
    return card, load_predictions(folder, belonging=False)


def check_pictures(study: Study, recorded: dict, parts: dict[str, Pictures]) -> None:
    """Raise DataError if the recorded answers are of other pictures than these."""
    for name, pictures in parts.items():
        if name in recorded and not np.array_equal(recorded[name].truth, pictures.y.numpy()):
            raise DataError(
                f"these are not the {name} pictures that {study.bundle} was measured on; "
                "use the same data, seed and limits"
            )


def put_into(
    folder: Path, card: dict, model: MultiExitViT, *, exits: list[dict], recipe: dict, storage: dict
) -> dict:
    """Write the model's heads into a bundle and return its card with them, not yet written."""
    card = extended(card, exits)
    told = {name: recipe | {"storage": storage} for name in model.heads}
    card["added"] = card.get("added", {}) | told
    for name, head in model.heads.items():
        bits = storage["head_bits"][name]
        card["files"] |= weights.save_part(head, folder, f"heads/{name}", bits=bits)
    return card


def check(study: Study, heads: Sequence[str]) -> None:
    """Raise PlanError for an unknown head, WeightsError if there is no bundle to add heads to."""
    if unknown := [name for name in heads if name not in EVERY]:
        raise PlanError(f"unknown head '{unknown[0]}'; there are: {', '.join(EVERY)}")
    if (study.task.name, study.bundle) not in weights.bundles():
        raise weights.WeightsError(
            f"no bundle {study.task.name}/{study.bundle} in {weights.root()} to add heads to"
        )


def learn(
    study: Study, heads: Sequence[str], layers: Sequence[int], given: dict
) -> tuple[MultiExitViT, dict]:
    """Train the heads on the bundle's frozen backbone and return the model with these alone, and
    what the card tells about it. given: as for `classifier_wise`."""
    frozen = weights.load(study.task.name, study.bundle, "cpu", heads=[])
    torch.manual_seed(study.exits.seed)
    model = MultiExitViT.untrained(frozen.backbone, frozen.task, heads, layers=layers)
    warm_start(model)
    checkpoint = study.run / f"added_{'_'.join(heads)}.safetensors"
    done = classifier_wise(model, recipe=study.exits, checkpoint=checkpoint, **given)
    told = {"rounds": done["round"], "rates": done["rates"], "precision": study.precision}
    return model, asdict(study.exits) | told


def refuse_taken(bundle: str, card: dict, heads: Sequence[str], *, run: str) -> None:
    """Raise DataError if the bundle has one of the heads and another run made it."""
    there, added = weights.head_names(card["files"]), card.get("added", {})
    if taken := [h for h in heads if h in there and added.get(h, {}).get("run") != run]:
        raise DataError(
            f"{bundle} has a head {taken[0]} that another run made; "
            "pass --overwrite to replace it, or --into to put yours beside it"
        )


def apart(card: dict, name: str, recipe: dict) -> dict:
    """The card of a bundle with the backbone of another, whose card and name are given, and heads
    trained by a recipe of their own."""
    return {k: v for k, v in card.items() if k not in ("added", "unlike")} | {
        "init": f"the backbone of the bundle {name}",
        "exit_recipe": recipe,
        "run": recipe["run"],
    }


def extended(card: dict, exits: list[dict]) -> dict:
    """The card with the measured exits in their places, by layer; of a head that it had the new
    ones."""
    fresh = {e["head"] for e in exits}
    kept = [e for e in card["exits"] if e["head"] not in fresh]
    reads = {head for _, head in card.get("unlike", {}).get("exits", [])}
    if reads & fresh:  # its threshold was chosen for the head that is replaced
        card = {k: v for k, v in card.items() if k != "unlike"}
    return card | {"exits": sorted([*kept, *exits], key=lambda e: e["layer"])}
