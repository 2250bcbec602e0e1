"""A series of trainings that are compared with each other: each is done once, kept in the run
folder, and measured on the same test pictures."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from accelerate import Accelerator

from mvit.bundles.whole import read_json, write_json
from mvit.data.crowds import Crowds
from mvit.data.labelled import Pictures
from mvit.evaluation.predictions import Predictions, predict
from mvit.models.backbone import Backbone
from mvit.models.multi_exit import MultiExitViT
from mvit.tasks import Task
from mvit.training import checkpoints, identity
from mvit.training.checkpoints import CheckpointError
from mvit.training.initial import origin, starting_backbone
from mvit.training.kinds import Kind, kind_of
from mvit.training.study import Study


@dataclass(kw_only=True)
class Lab:
    """What every training of the series shares. settings: what all must have in common."""

    study: Study
    task: Task
    train: Pictures | Crowds
    val: Pictures | Crowds
    test: Pictures | Crowds
    accelerator: Accelerator
    run: Path
    settings: dict
    begins_with_exits = False  # whether trainings take over the exits of the bundle that is --init

    @classmethod
    def of(cls, study: Study, task: Task, run: Path, settings: dict, **more) -> Lab:
        """The series of a study. settings: its budget and what else must be the same; where the
        weights come from and what the pictures are is added to them."""
        train, val, test = kind_of(task).parts(study)
        start = starting_backbone(study.architecture, task, study.init, hub=study.hub)
        settings |= {
            "precision": study.precision,
            "training pictures": len(train),
            "test pictures": len(test),
            **origin(study.init, study.hub or study.architecture),
            "pictures and labels": identity.of_data(train, val, test),
            "start weights": identity.of_start(study.init, start.vit, exits=cls.begins_with_exits),
        }
        settings.pop("before", None)
        settings = json.loads(json.dumps(settings))  # as it is written
        own = {"train": train, "val": val, "test": test, "accelerator": study.accelerator()}
        return cls(study=study, task=task, run=run, settings=settings, **own, **more)

    def once(self, name: str, work: Callable[[], dict]) -> dict:
        """The training's result from the run folder, or else from `work`, then kept there."""
        file = self.run / f"{name.replace(' ', '_')}.json"
        if "settings" in (done := read_json(file)):
            checkpoints.compare(file, done["settings"], self.settings)
            return done
        started = time.monotonic()
        result = work() | {"seconds": round(time.monotonic() - started), "settings": self.settings}
        self.write(file, result)
        return result

    def write(self, file: Path, content: dict) -> None:
        """Write JSON whole or not at all, its folder too if there is none; of several processes the
        first alone does it."""
        if self.accelerator.is_main_process:
            file.parent.mkdir(parents=True, exist_ok=True)
            write_json(file, content)

    def backbone(self, seed: int) -> Backbone:
        """The start weights; a final exit that they lack is drawn with this seed."""
        torch.manual_seed(seed)
        return starting_backbone(
            self.study.architecture, self.task, self.study.init, hub=self.study.hub
        )

    @property
    def kind(self) -> Kind:
        """How the task is studied."""
        return kind_of(self.task)

    @property
    def given(self) -> dict:
        """What the training of a backbone gets."""
        same = ("pictures and labels", "start weights")
        known = {name: self.settings[name] for name in same}
        return {"train": self.train, "accelerator": self.accelerator, "known": known}

    @property
    def lessons(self) -> dict:
        """What a training with exits gets."""
        return self.given | {"train": self.kind.lessons(self.train)}

    def predicted(self, model: MultiExitViT) -> Predictions:
        """What every exit says of the test pictures."""
        return predict(model, self.test, self.accelerator, batch=128)


def refuse_another(file: Path, settings: dict, overwrite: bool) -> None:
    """Raise CheckpointError if `file` holds results of other settings, unless it may be
    overwritten."""
    if overwrite or not file.exists():
        return
    if read_json(file).get("budget") != settings:
        raise CheckpointError(
            f"{file} holds the table of another run; name another bundle with --name, "
            "or pass --overwrite to replace it"
        )
