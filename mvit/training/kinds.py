"""What differs between a study of classes and one of counts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import torch

from mvit.data.labelled import Pictures
from mvit.data.splits import sample, three_parts
from mvit.evaluation import counts, intervals, predictions, temperature, unlike
from mvit.models.multi_exit import MultiExitViT
from mvit.tasks import Task
from mvit.training import crowd_study, joint_counter
from mvit.training.counter import CrowdRecipe, fine_tune_counter
from mvit.training.exits import ExitRecipe
from mvit.training.finetune import Recipe, fine_tune
from mvit.training.joint import JointRecipe, classes
from mvit.training.joint_counter import JointCrowdRecipe
from mvit.training.last_layer import solve_last_layers

if TYPE_CHECKING:
    from accelerate import Accelerator

    from mvit.data.crowds import Tiles
    from mvit.training.study import Study

RECORDED_VALIDATION = 2_500  # pictures: plenty for choosing a threshold


@dataclass(frozen=True, kw_only=True)
class Kind:
    """The steps of a study of classes or of counts.

    architecture: of the backbone, where none is named. recipe, exits: make the default recipes.
    parts: (study) -> train, validation, test. told: what the card tells about them. lessons: a part
    as exits learn from it. joint: makes the default recipe of joint training; together: makes what
    that learns from (see mvit.training.joint). tune: trains the backbone; tuned: the name of what
    it measures. finish: the last touch to trained exits, by the recipe, and what the card tells
    about it. recorded: the validation pictures that are recorded. record, summary, save: measure
    every exit, make the card's figures of what was recorded of validation and test, and keep that.
    more: what else the card tells, of (model, validation pictures, test pictures).
    """

    architecture: str
    recipe: Callable
    exits: Callable
    parts: Callable
    told: Callable
    lessons: Callable
    joint: Callable
    together: Callable
    tune: Callable
    tuned: str
    finish: Callable
    recorded: Callable
    record: Callable
    summary: Callable
    save: Callable
    more: Callable


def told(study: Study, train: Pictures, val: Pictures, test: Pictures) -> dict:
    """What the card tells about labelled parts."""
    lines = dict.fromkeys(train.unreadable + val.unreadable + test.unreadable)
    sizes = {"train": len(train), "validation": len(val), "test": len(test)}
    return {"data": sizes | {"unreadable": list(lines)}, "test_part": test.origin}


def unusual(model: MultiExitViT, *_) -> dict:
    """What every exit counts in odd pictures."""
    return {"unusual": counts.unusual(model, crowd_study.odd_pictures())}


def counted(model: MultiExitViT, found: dict[str, counts.Counts]) -> dict:
    """A counter's errors on the test pictures, and how often its intervals held."""
    test = found["test"]
    return counts.summary(model, test) | {intervals.CARD: intervals.summary(test)}


def solved(
    model: MultiExitViT, tiles: Tiles, accelerator: Accelerator, recipe: CrowdRecipe
) -> dict:
    """Solve the last layers of a counter on as many tiles as its recipe says."""
    order = torch.randperm(len(tiles), generator=torch.Generator().manual_seed(recipe.seed))
    some = tiles.subset(order[: recipe.solved_tiles].sort().values)
    return {"last_layer": solve_last_layers(model, some, accelerator)}


CLASSES = Kind(
    architecture="vit_tiny_patch16_224",
    recipe=Recipe,
    exits=ExitRecipe,
    parts=lambda study: three_parts(
        study.task, study.data, study.recipe.seed, limit=study.limit, test_limit=study.test_limit
    ),
    told=told,
    lessons=lambda part: part,
    joint=JointRecipe,
    together=classes,
    tune=fine_tune,
    tuned="val_accuracy",
    finish=lambda *_, **__: {},
    recorded=lambda val: sample(val, RECORDED_VALIDATION),
    record=predictions.predict,
    summary=temperature.summary,
    save=predictions.save_predictions,
    more=unlike.learn,
)
COUNTS = Kind(
    architecture="vit_tiny_patch16_384",
    recipe=CrowdRecipe,
    exits=partial(ExitRecipe, batch=12, mean_decay=0.98),
    parts=crowd_study.parts,
    told=crowd_study.told,
    lessons=lambda part: part.tiles(),
    joint=JointCrowdRecipe,
    together=joint_counter.counts,
    tune=fine_tune_counter,
    tuned="val_mae",
    finish=solved,
    recorded=lambda val: val,
    record=counts.count,
    summary=counted,
    save=counts.save_counts,
    more=unusual,
)


def kind_of(task: Task) -> Kind:
    """Return how a task is studied."""
    return COUNTS if task.counts else CLASSES
