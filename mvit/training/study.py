"""The whole study of one task on one backbone: fine-tune, train all exits, measure every exit on
the test split, write the bundle."""

from __future__ import annotations

import dataclasses
import json
import platform
from dataclasses import asdict, dataclass, field
from pathlib import Path

import timm
import torch
from accelerate import Accelerator

from mvit.bundles import weights
from mvit.data.labelled import DataError, Pictures
from mvit.data.splits import own_labels, sample, three_parts
from mvit.evaluation.predictions import predict, save_predictions, summary
from mvit.evaluation.storage import round_for_storage
from mvit.models.backbone import Backbone
from mvit.models.heads import HEADS
from mvit.models.multi_exit import MultiExitViT, PlanError
from mvit.models.transcrowd import backbone_for
from mvit.tasks import TASKS, Task
from mvit.training import identity
from mvit.training.exits import ExitRecipe, classifier_wise, warm_start
from mvit.training.finetune import Recipe, fine_tune
from mvit.training.identity import fingerprint
from mvit.training.initial import origin, starting_backbone, take_over_exits
from mvit.training.joint import JointRecipe, end_to_end, layer_wise

RECORDED_VALIDATION = 2_500  # pictures: plenty for choosing a threshold


@dataclass
class Study:
    """What to train. run: folder of checkpoints, resumed from. init: see `mvit.training.initial`,
    or None for the model hub (`hub`: which).

    name: the bundle's folder; by default the architecture, with the strategy if that is not
    classifier-wise. recipe: fine-tuning, or the joint training of the other strategies; exits:
    classifier-wise training. heads and layers: which exits (all layers by default). exit_weights:
    for end-to-end, see `exit_weights` in mvit.training.joint; by default `half` for one layer and
    `depth` for more.
    """

    task: Task
    data: Path
    run: Path
    architecture: str = "vit_tiny_patch16_224"
    init: Path | None = None
    name: str | None = None
    recipe: Recipe = field(default_factory=Recipe)
    exits: ExitRecipe = field(default_factory=ExitRecipe)
    limit: int | None = None
    test_limit: int | None = None
    precision: str = "no"
    device: str = "auto"
    notes: str = ""
    strategy: str = "classifier-wise"
    heads: tuple[str, ...] = tuple(HEADS)
    layers: tuple[int, ...] | None = None
    exit_weights: str | tuple[float, ...] | None = None
    hub: str | None = None
    overwrite: bool = False

    @property
    def bundle(self) -> str:
        """Name of the bundle's folder."""
        suffix = "" if self.strategy == "classifier-wise" else f"_{self.strategy.replace('-', '_')}"
        return self.name or self.architecture + suffix

    @property
    def folder(self) -> Path:
        """Where the bundle is written."""
        return weights.root() / self.task.name / self.bundle

    def run_of(self, known: dict) -> str:
        """A hash of all that decides what is learnt; more rounds for the exits are the same run."""
        exits = {k: v for k, v in asdict(self.exits).items() if k != "max_rounds"}
        how = [self.strategy, list(self.heads), self.layers, self.exit_weights]
        return fingerprint([known, asdict(self.recipe), exits, how])


def own_task(folder: Path, name: str, native_px: int = 224) -> Task:
    """A task from an image folder: its labels are the class folders, its pictures keep up to
    `native_px` pixels. Raises DataError."""
    if not name.replace("-", "_").isidentifier() or name in TASKS:
        raise DataError(
            f"'{name}' cannot name a task: use letters, digits and '_', and none of {', '.join(TASKS)}"
        )
    return Task(name, own_labels(folder), native_px)


def splits(study: Study) -> tuple[Pictures, Pictures, Pictures]:
    """(train, validation, test) of the study's data."""
    return three_parts(
        study.task, study.data, study.recipe.seed, study.limit, test_limit=study.test_limit
    )


def train(study: Study) -> dict:
    """Run the study to its end, resuming where its run folder stands, write
    weights/<task>/<name>/ and return the card.

    Raises DataError if another run wrote that bundle, PlanError for layers that the backbone does
    not have and picture sizes that its patches do not divide.
    """
    check_sizes(study)
    torch.manual_seed(study.recipe.seed)
    accelerator = Accelerator(cpu=study.device == "cpu", mixed_precision=study.precision)
    train_set, val, test = splits(study)
    torch.manual_seed(study.recipe.seed)
    backbone = starting_backbone(study.architecture, study.task, study.init, study.hub)
    known = {
        "pictures and labels": identity.of_data(train_set, val),
        "start weights": identity.of_start(study.init, backbone.vit),
    }
    run = study.run_of(known)
    identity.refuse_another(study.folder, run, study.overwrite)
    model, told = learn(study, backbone, train_set, val, accelerator, known)
    recorded = sample(val, RECORDED_VALIDATION)
    storage, val_predictions = round_for_storage(model, lambda m: predict(m, recorded, accelerator))
    test_predictions = predict(model, test, accelerator)
    measured = summary(model, test_predictions)
    model.practical_exits = frozenset(
        (e["layer"], e["head"]) for e in measured["exits"] if e["practical"]
    )
    card = {
        "task": asdict(study.task),
        "architecture": study.architecture,
        "strategy": study.strategy,
        "layers": sorted({layer for layer, _ in model.exits()}),
        **origin(study.init, study.hub or study.architecture),
        "data": {
            "train": len(train_set),
            "validation": len(val),
            "test": len(test),
            "unreadable": list(
                dict.fromkeys(train_set.unreadable + val.unreadable + test.unreadable)
            ),
        },
        "test_part": test.origin,
        **told,
        "precision": f"{study.precision} (accelerate) on {accelerator.device.type}",
        "versions": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "timm": timm.__version__,
        },
        "seed": study.recipe.seed,
        "notes": study.notes,
        "run": run,
        **measured,
    }
    if accelerator.is_main_process:
        card = weights.save(model, study.folder, card, storage)
        save_predictions(study.folder, {"val": val_predictions, "test": test_predictions})
    return json.loads(json.dumps(card))


def check_sizes(study: Study) -> None:
    """Raise PlanError for a layer that the backbone does not have, or a picture size of the recipe
    that its patches do not divide; nothing is read."""
    with torch.device("meta"):
        backbone = backbone_for(study.architecture, study.task)
    if wrong := [layer for layer in study.layers or () if layer > backbone.depth]:
        raise PlanError(
            f"there is no layer {wrong[0]}; {study.architecture} has layers 1 to {backbone.depth}"
        )
    patch = backbone.vit.patch_embed.patch_size[0]
    if wrong := [size for size, *_ in study.recipe.stages if size % patch]:
        raise PlanError(
            f"{wrong[0]} pixels cannot be cut into the patches of {study.architecture}; "
            f"take multiples of {patch}"
        )


def learn(
    study: Study,
    backbone: Backbone,
    train_set: Pictures,
    val: Pictures,
    accelerator: Accelerator,
    known: dict,
) -> tuple[MultiExitViT, dict]:
    """Train backbone and exits by the study's strategy; gives back the model and what the card
    tells about it."""
    model, recipe = (
        MultiExitViT.untrained(backbone, study.task, study.heads, study.layers),
        study.recipe,
    )
    if study.strategy == "classifier-wise":
        taken = take_over_exits(model, study.init)
        if recipe.from_layer > 1 and (
            kept := [e for e in model.exits() if e[0] < recipe.from_layer and e not in taken]
        ):
            raise PlanError(
                f"training from layer {recipe.from_layer} keeps the exits below, but {study.init} has no {kept[0][1]} after "
                f"layer {kept[0][0]}; pass a bundle with all of them as --init"
            )
        tuned = fine_tune(
            backbone,
            study.task,
            train_set,
            val,
            recipe,
            accelerator,
            study.run / "finetune.safetensors",
            known=known,
        )
        warm_start(model, [e for e in model.exits() if e not in taken])
        learned = classifier_wise(
            model.above(recipe.from_layer),
            train_set,
            val,
            study.exits,
            accelerator,
            study.run / "exits.safetensors",
            known,
        )
        done = {k: tuned[k] for k in ("step", "val_accuracy")}
        about = {
            "exit_recipe": asdict(study.exits)
            | {"rounds": learned["round"], "rates": learned["rates"]}
        }
    else:
        warm_start(model)
        take_over_exits(model, study.init)
        recipe, checkpoint = (
            joint(recipe),
            study.run / f"{study.strategy.replace('-', '_')}.safetensors",
        )
        if study.strategy == "end-to-end":
            weighed = study.exit_weights or (
                "half" if len({layer for layer, _ in model.exits()}) == 1 else "depth"
            )
            tuned = end_to_end(
                model, train_set, recipe, accelerator, checkpoint, weighed, known=known
            )
        else:
            tuned = layer_wise(model, train_set, recipe, accelerator, checkpoint, known=known)
        done, about = (
            {"step": tuned["step"] * len(tuned["weights"])},
            {"exit_weights": tuned["weights"]},
        )
    counts = {"steps": done.pop("step"), "seconds": round(tuned["seconds"])} | done
    return model, {
        "recipe": asdict(recipe) | counts | {"pictures_seen": counts["steps"] * recipe.batch}
    } | about


def joint(recipe: Recipe) -> JointRecipe:
    """A fine-tuning recipe as one for backbone and exits together."""
    return recipe if isinstance(recipe, JointRecipe) else JointRecipe(**asdict(recipe))


def quick(recipe: Recipe, **changes) -> Recipe:
    """The recipe with the given fields changed, those that are None left alone."""
    return dataclasses.replace(recipe, **{k: v for k, v in changes.items() if v is not None})
