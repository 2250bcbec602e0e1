"""The whole study of one task on one backbone: fine-tune, train all exits, measure every exit on
the test split, write the bundle."""

from __future__ import annotations

import copy
import json
import platform
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import timm
import torch
from accelerate import Accelerator

from mvit.bundles import delta, weights
from mvit.data.folders import DataError
from mvit.data.splits import own_labels
from mvit.evaluation.storage import change_for_storage, round_for_storage, round_heads
from mvit.models.backbone import Backbone
from mvit.models.blend import blend
from mvit.models.heads import HEADS
from mvit.models.multi_exit import MultiExitViT, PlanError
from mvit.models.transcrowd import backbone_for
from mvit.tasks import TASKS, Task
from mvit.training import identity
from mvit.training.counter import CrowdRecipe
from mvit.training.exits import ExitRecipe, classifier_wise, warm_start
from mvit.training.finetune import Recipe, compile_layers
from mvit.training.initial import (
    grown_start,
    origin,
    starting_backbone,
    take_over_exits,
    wants_growth,
)
from mvit.training.joint import STRATEGIES, learn_together, phases_of
from mvit.training.kinds import kind_of
from mvit.training.low_rank import low_rank


@dataclass(kw_only=True)
class Study:
    """What to train. run: folder of checkpoints, resumed from. init: see `mvit.training.initial`,
    or None for the model hub (`hub`: which).

    name: the bundle's folder; by default the architecture, with the strategy if that is not
    classifier-wise. recipe: fine-tuning, or the joint training of the other strategies; exits:
    classifier-wise training. heads and layers: which exits (all layers by default). exit_weights:
    for end-to-end, see `exit_weights` in mvit.training.joint; by default `half` for one layer and
    `depth` for more. scenes, empties: how many rendered scenes, and how many pictures without
    anyone, a counter learns from too. overwrite: whether another run's bundle may be replaced.
    compiled: whether encoder layers learn in one compiled program, see `compile_layers`. rank: of
    the change that the exits of a grown network learn; its backbone's is `BACKBONE_RANK` times it.
    teacher: whose network end-to-end distillation learns from; by default the one it starts from.
    """

    task: Task
    data: Path
    run: Path
    architecture: str | None = None
    init: Path | None = None
    name: str | None = None
    recipe: Recipe | CrowdRecipe | None = None
    exits: ExitRecipe | None = None
    limit: int | None = None
    test_limit: int | None = None
    precision: str = "no"
    device: str = "auto"
    notes: str = ""
    strategy: str = STRATEGIES[0]
    heads: tuple[str, ...] = tuple(HEADS)
    layers: tuple[int, ...] | None = None
    exit_weights: str | tuple[float, ...] | None = None
    hub: str | None = None
    scenes: int = 120
    empties: int = 16
    overwrite: bool = False
    compiled: bool = False
    rank: int | None = None
    teacher: Path | None = None

    def __post_init__(self) -> None:
        kind = kind_of(self.task)
        self.architecture = self.architecture or kind.architecture
        self.recipe, self.exits = self.recipe or kind.recipe(), self.exits or kind.exits()
        if self.strategy != STRATEGIES[0] and not isinstance(self.recipe, kind.joint):
            self.recipe = kind.joint(**asdict(self.recipe))

    @property
    def bundle(self) -> str:
        """Name of the bundle's folder."""
        suffix = "" if self.strategy == STRATEGIES[0] else f"_{self.strategy.replace('-', '_')}"
        return self.name or self.architecture + suffix

    @property
    def folder(self) -> Path:
        """Where the bundle is written."""
        return weights.root() / self.task.name / self.bundle

    def run_of(self, known: dict) -> str:
        """A hash of all that decides what is learnt; more rounds for the exits are the same run."""
        exits = {k: v for k, v in asdict(self.exits).items() if k != "max_rounds"}
        how = [self.strategy, list(self.heads), self.layers, self.exit_weights]
        how += [self.rank] if self.rank else []
        return identity.fingerprint([known, asdict(self.recipe), exits, how])

    def accelerator(self) -> Accelerator:
        """The device and the processes that the study runs on."""
        return Accelerator(cpu=self.device == "cpu", mixed_precision=self.precision)


def own_task(folder: Path, name: str, native_px: int = 224) -> Task:
    """A task from an image folder: its labels are the class folders, its pictures keep up to
    `native_px` pixels. Raises DataError."""
    if not name.replace("-", "_").isidentifier() or name in TASKS or len(name) > 60:
        raise DataError(
            f"'{name}' cannot name a task: use letters, digits and '_', at most 60 of them, "
            f"and none of {', '.join(TASKS)}"
        )
    return Task(name, own_labels(folder), native_px=native_px)


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


def train(study: Study) -> dict:
    """Run the study to its end, resuming where its run folder stands, write
    weights/<task>/<name>/ and return the card.

    Raises DataError if another run wrote that bundle, PlanError for layers that the backbone does
    not have and picture sizes that its patches do not divide.
    """
    check_sizes(study)
    kind, accelerator = kind_of(study.task), study.accelerator()
    train_set, val, test = parts = kind.parts(study)
    if study.rank and not growing(study):
        raise PlanError(
            f"--rank is for a network that is grown from a bundle; {study.architecture} would not "
            "be: name a bundle of a narrower network with --init"
        )
    torch.manual_seed(study.recipe.seed)
    backbone = starting_backbone(study.architecture, study.task, study.init, hub=study.hub)
    known = {
        "pictures and labels": identity.of_data(train_set, val),
        "start weights": identity.of_start(study.init, backbone.vit),
    }
    run = study.run_of(known)
    identity.refuse_another(study.folder, run, study.overwrite)
    given = {"train": train_set, "val": val, "accelerator": accelerator, "known": known}
    model, learned = learn(study, backbone, given)
    storage, recorded, changes = stored(
        study, model, lambda rounded: kind.record(rounded, kind.recorded(val), accelerator)
    )
    found = {"val": recorded, "test": kind.record(model, test, accelerator)}
    figures = kind.summary(model, found)
    model.practical_exits = frozenset(
        (e["layer"], e["head"]) for e in figures["exits"] if e["practical"]
    )
    card = about(study, model, accelerator) | kind.told(study, *parts) | learned
    card |= {"run": run} | figures | kind.more(model, val, test)
    if accelerator.is_main_process:
        card |= changes.get("card", {})
        files = changes.get("files")
        card = weights.save(model, study.folder, card, storage=storage, changes=files)
        kind.save(study.folder, found)
    return json.loads(json.dumps(card))


def growing(study: Study) -> bool:
    """Whether the study's network is grown from the bundle that it starts from, if it starts from
    one."""
    bundle = study.init is not None and study.init.is_dir()
    return bundle and wants_growth(weights.read_card(study.init), study.architecture)


def stored(study: Study, model: MultiExitViT, measure: Callable) -> tuple[dict, object, dict]:
    """Round a model in place to what its bundle will hold and return `storage`, what `measure`
    found, and of a trained grown network that is stored as its change "files" and "card".

    8 bits for all of it if no exit pays; else for those of the heads that do not, where every layer
    learned."""
    if start := grown_start(model, study.init, study.architecture):
        of, grown = start
        if found := change_for_storage(model, grown, measure, keep=study.rank):
            storage, recorded, files = found
            about = {"delta": of | {"rank": storage["rank"]}}
            return storage, recorded, {"files": files, "card": about}
    light = getattr(study.recipe, "from_layer", 1) == 1
    storage, recorded = round_for_storage(model, measure, light=light)
    if storage["bits"] == 16 and light:
        heads, recorded = round_heads(model, measure)
        storage = {"bits": 16} | heads
    return storage, recorded, {}


def about(study: Study, model: MultiExitViT, accelerator: Accelerator) -> dict:
    """What every card tells about its study."""
    return {
        "task": asdict(study.task),
        "architecture": study.architecture,
        "strategy": study.strategy,
        "layers": sorted({layer for layer, _ in model.exits()}),
        **origin(study.init, study.hub or study.architecture),
        "precision": f"{study.precision} (accelerate) on {accelerator.device.type}",
        "versions": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "timm": timm.__version__,
        },
        "seed": study.recipe.seed,
        "notes": study.notes,
    }


def learn(study: Study, backbone: Backbone, given: dict) -> tuple[MultiExitViT, dict]:
    """Train by the study's strategy (the exits alone if there are no stages) and return the model
    and what the card tells. given: the parts, accelerator, what checkpoints are begun with."""
    kind = kind_of(study.task)
    model = MultiExitViT.untrained(backbone, study.task, study.heads, layers=study.layers)
    taken = take_over_exits(model, study.init, study.architecture)
    if study.compiled:
        compile_layers(backbone)
    if study.strategy == STRATEGIES[0] or not study.recipe.stages:
        return model, one_by_one(study, model, taken, given=given)
    fresh = [e for e in model.exits() if e not in taken]
    warm_start(model, fresh)
    if study.recipe.start_share and fresh:
        raise PlanError(
            f"--start-share goes back to trained exits, but {study.init or 'the start'} has no "
            f"{fresh[0][1]} after layer {fresh[0][0]}; pass a bundle with it as --init"
        )
    start = copy.deepcopy(model.state_dict()) if study.recipe.start_share else {}
    phases = phases_of(model, study.strategy, study.exit_weights)
    checkpoint = study.run / f"{study.strategy.replace('-', '_')}.safetensors"
    lessons = kind.lessons(given["train"])
    own = {k: v for k, v in given.items() if k != "val"} | {"train": lessons}
    done = learn_together(
        model, phases, recipe=study.recipe, checkpoint=checkpoint, lesson=kind.together, **own
    )
    blend(model, start, study.recipe.start_share)
    finished = kind.finish(model, lessons, given["accelerator"], study.recipe)
    plan = study.recipe.plan(len(lessons)) * len(phases)
    recipe = recipe_told(study, plan, done) | finished
    return model, {"recipe": recipe, "exit_weights": done["weights"]}


def one_by_one(
    study: Study, model: MultiExitViT, taken: list[tuple[int, str]], given: dict
) -> dict:
    """Fine-tune the backbone, then train every exit on it by itself (classifier-wise), and return
    what the card tells. taken: the exits that were taken over. Raises PlanError."""
    kind, recipe, first = kind_of(study.task), study.recipe, study.recipe.from_layer
    if lost := [e for e in model.exits() if e[0] < first and e not in taken]:
        raise PlanError(
            f"training from layer {first} keeps the exits below, but {study.init} has no "
            f"{lost[0][1]} after layer {lost[0][0]}; pass a bundle with all of them as --init"
        )
    checkpoint = study.run / "finetune.safetensors"
    with low_rank(model.backbone.vit, (study.rank or 0) * delta.BACKBONE_RANK):
        tuned = kind.tune(model.backbone, study.task, recipe=recipe, checkpoint=checkpoint, **given)
    warm_start(model, [e for e in model.exits() if e not in taken])
    lessons = {part: kind.lessons(given[part]) for part in ("train", "val")}
    with low_rank(model.heads, study.rank or 0):
        done = classifier_wise(
            model.above(first),
            recipe=study.exits,
            checkpoint=study.run / "exits.safetensors",
            **given | lessons,
        )
    finished = kind.finish(model, lessons["train"], given["accelerator"], recipe)
    plan, reached = recipe.plan(len(given["train"])), {kind.tuned: tuned[kind.tuned]}
    return {
        "recipe": (recipe_told(study, plan, tuned) if plan else {"stages": []}) | reached,
        "exit_recipe": asdict(study.exits)
        | {"rounds": done["round"], "rates": done["rates"]}
        | finished,
    }


def recipe_told(study: Study, plan: list[tuple[int, int]], done: dict) -> dict:
    """What the card tells about a training of the backbone. plan: (side, batch) of every step."""
    seen = sum(batch for _, batch in plan)
    counted = {"steps": len(plan), "seconds": round(done["seconds"]), "pictures_seen": seen}
    return asdict(study.recipe) | counted
