"""Teach the counter of a bundle where people are: read its tokens, learn a map after every layer,
measure the maps on test pictures, write them into the bundle."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator
from torch import nn

from mvit.bundles import weights
from mvit.bundles.maps import save_maps
from mvit.bundles.tensors import round_to
from mvit.data.crowd_splits import sample
from mvit.data.crowds import Crowds, Tiles, empty_pictures, hold_out_crowds, load_crowds, splits_in
from mvit.data.folders import DataError
from mvit.evaluation.maps import count_by_maps
from mvit.inference.where import people_by_layer
from mvit.models.multi_exit import MultiExitViT
from mvit.tasks import CrowdTask
from mvit.training.crowd_study import VALIDATION_SHARE, blank_pictures, rendered
from mvit.training.map_tokens import gather
from mvit.training.maps import MapRecipe, learn_map

BITS = 8
EMPTY, RENDERED = "empty", "rendered"  # sets that are added to those of the folders


@dataclass(kw_only=True)
class MapStudy:
    """What to teach. bundle: the counter's folder; folders: pictures with points; run: folder of
    what is kept on the way. limit, test_limit: of each set."""

    bundle: Path
    task: CrowdTask
    folders: Sequence[Path]
    run: Path
    recipe: MapRecipe
    limit: int | None = None
    test_limit: int | None = None
    device: str = "auto"
    precision: str = "no"


def teach_maps(study: MapStudy) -> dict:
    """Learn the maps, write them into the bundle and return what its card tells about them.

    The validation pictures of the counter's own training stay out, as they did there. Raises
    DataError, WeightsError.
    """
    if not any("test" in splits_in(folder) for folder in study.folders):
        raise DataError("none of these folders has a test split to measure the maps on")
    model = weights.read(study.bundle, study.task.name, heads=[])
    accelerator = Accelerator(cpu=study.device == "cpu", mixed_precision=study.precision)
    model.to(accelerator.device)
    tiles, learned = lessons(study)
    study.run.mkdir(parents=True, exist_ok=True)
    windows = gather(
        model,
        tiles,
        study.run / "tokens.npy",
        accelerator=accelerator,
        window=min(study.recipe.window, model.backbone.grid),
        seed=study.recipe.seed,
    )
    layers = range(1, model.depth + 1)
    maps = nn.ModuleDict({str(b): learn_map(windows, b, study.recipe) for b in layers})
    round_to(maps, BITS)
    told = {
        "learned from": learned
        | {"tiles": len(tiles), "people": round(windows.people.sum().item())},
        "recipe": asdict(study.recipe),
        "splits": errors_of_maps(model, maps, study),
        "blank": blank(model, maps),
    }
    return save_maps(study.bundle, maps, told)["maps"]


def lessons(study: MapStudy) -> tuple[Tiles, dict]:
    """(tiles to learn from in random order, pictures of each set): some tiles of every training
    picture, and of pictures without anyone and drawn scenes. Raises DataError if two sets have one
    name."""
    recipe, whole, learned = study.recipe, Crowds([], [], []), {}
    rng = np.random.default_rng(recipe.seed)
    for folder in study.folders:
        for name, crowds in load_crowds(study.task, folder, "train").items():
            if name in (EMPTY, RENDERED):
                raise DataError(
                    f"a set to learn from is called '{name}', in {folder}, like the pictures that "
                    "the lab adds itself; rename that folder"
                )
            if name in learned:
                raise DataError(
                    f"two sets to learn from are called '{name}', the second in {folder}; rename "
                    "one folder"
                )
            own, _ = hold_out_crowds(sample(crowds, study.limit, recipe.seed), VALIDATION_SHARE, 0)
            learned[name] = len(own)
            whole = whole + own
    extra = {EMPTY: empty_pictures(recipe.empties, recipe.seed)} if recipe.empties else {}
    extra |= {RENDERED: rendered(recipe.scenes, 10_000)} if recipe.scenes else {}
    for name, crowds in extra.items():
        learned[name] = len(crowds)
        whole = whole + crowds
    picked = [6 * i + rng.permutation(6)[: recipe.tiles] for i in range(len(whole))]
    return whole.tiles().subset(torch.from_numpy(rng.permutation(np.concatenate(picked)))), learned


def blank(model: MultiExitViT, maps: nn.ModuleDict) -> dict:
    """How many people each map finds where nothing is: {picture: [people after each layer]}."""
    return {
        name: [round(float(own.sum()), 2) for own in people_by_layer(model, maps, picture).values()]
        for name, picture in blank_pictures().items()
    }


def errors_of_maps(model: MultiExitViT, maps: nn.ModuleDict, study: MapStudy) -> dict:
    """The maps' errors on the test split of each folder that has one: {set: {"n", "layers":
    [{layer, mae, rmse, quarter}]}}."""
    found = {}
    for folder in study.folders:
        if "test" not in splits_in(folder):
            continue
        for name, crowds in load_crowds(study.task, folder, "test").items():
            own = sample(crowds, study.test_limit, study.recipe.seed)
            counts = count_by_maps(model, maps, own)
            found[name] = {"n": len(own), "layers": counts.errors()}
    return found
