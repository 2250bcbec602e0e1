"""The whole study of a counter: fine-tune, train all exits, measure every exit on each test split,
write the bundle."""

from __future__ import annotations

import json
import platform
import sys
from dataclasses import asdict, dataclass, field
from functools import reduce
from operator import add
from pathlib import Path

import numpy as np
import timm
import torch
from accelerate import Accelerator
from timm.layers import resample_abs_pos_embed
from tqdm import tqdm

from mvit.bundles import weights
from mvit.data.crowds import Crowds, empty_pictures, hold_out_crowds, load_crowds, splits_in
from mvit.data.labelled import DataError
from mvit.evaluation.counts import count, save_counts, summary, unusual
from mvit.evaluation.storage import round_for_storage
from mvit.models.backbone import Backbone
from mvit.models.heads import HEADS
from mvit.models.multi_exit import MultiExitViT
from mvit.models.transcrowd import backbone_for
from mvit.scenes.drawing import render
from mvit.tasks import TASKS, CrowdTask
from mvit.training import identity
from mvit.training.counter import CrowdRecipe, fine_tune_counter
from mvit.training.exits import ExitRecipe, classifier_wise, warm_start
from mvit.training.identity import fingerprint
from mvit.training.initial import origin, starting_tensors, take_over_exits
from mvit.training.last_layer import solve_last_layers
from mvit.training.study import check_sizes

VALIDATION_SHARE = 0.1
SCENE_PEOPLE = 600  # at most, in a rendered training scene


@dataclass
class CrowdStudy:
    """What to train. init: see `mvit.training.initial` (also of a counter), or None for the hub
    (`hub`: which). run: folder of checkpoints.

    scenes, empties: how many rendered scenes, and how many pictures without anyone, join the
    training pictures.
    """

    data: Path
    run: Path
    task: CrowdTask = TASKS["crowd"]
    architecture: str = "vit_tiny_patch16_384"
    init: Path | None = None
    name: str | None = None
    recipe: CrowdRecipe = field(default_factory=CrowdRecipe)
    exits: ExitRecipe = field(default_factory=lambda: ExitRecipe(batch=12, mean_decay=0.98))
    scenes: int = 120
    empties: int = 16
    limit: int | None = None
    precision: str = "no"
    device: str = "auto"
    notes: str = ""
    hub: str | None = None
    heads: tuple[str, ...] = tuple(HEADS)
    layers: tuple[int, ...] | None = None
    test_limit: int | None = None
    overwrite: bool = False

    @property
    def bundle(self) -> str:
        """Name of the bundle's folder."""
        return self.name or self.architecture

    @property
    def folder(self) -> Path:
        """Where the bundle is written."""
        return weights.root() / self.task.name / self.bundle

    def run_of(self, known: dict) -> str:
        """A hash of all that decides what is learnt; more rounds for the exits are the same run."""
        exits = {k: v for k, v in asdict(self.exits).items() if k != "max_rounds"}
        return fingerprint([known, asdict(self.recipe), exits, list(self.heads), self.layers])


def rendered(task: CrowdTask, number: int, seed: int) -> Crowds:
    """Rendered scenes with 0 to SCENE_PEOPLE people, small crowds as often as large ones."""
    made = [
        render(round(SCENE_PEOPLE * (i / max(1, number - 1)) ** 2), seed + i) for i in range(number)
    ]
    return Crowds(
        [s.picture for s in made],
        [s.points for s in made],
        [f"rendered/{seed + i}" for i in range(number)],
    )


def sample(crowds: Crowds, limit: int | None, seed: int) -> Crowds:
    """A seeded random `limit` of the pictures, or all of them."""
    if limit is None or limit >= len(crowds):
        return crowds
    return crowds.subset(sorted(np.random.default_rng(seed).permutation(len(crowds))[:limit]))


def splits(study: CrowdStudy) -> tuple[Crowds, Crowds, Crowds]:
    """(train, validation, test): validation is cut from each set's train split; rendered and empty
    pictures only join train.

    A folder without a test split gives a fifth of itself.
    """
    seed = study.recipe.seed
    train = load_crowds(study.task, study.data, "train")
    if "test" in splits_in(study.data):
        test = load_crowds(study.task, study.data, "test")
    else:
        cut = {name: hold_out_crowds(crowds, 0.2, seed + 1) for name, crowds in train.items()}
        train, test = {n: c[0] for n, c in cut.items()}, {n: c[1] for n, c in cut.items()}
    pairs = [
        hold_out_crowds(sample(crowds, study.limit, seed), VALIDATION_SHARE, seed)
        for crowds in train.values()
    ]
    train_set, val = reduce(add, [p[0] for p in pairs]), reduce(add, [p[1] for p in pairs])
    train_set = (
        train_set + rendered(study.task, study.scenes, 10_000) if study.scenes else train_set
    )
    train_set = train_set + empty_pictures(study.empties, seed) if study.empties else train_set
    return (
        train_set,
        val,
        reduce(add, [sample(crowds, study.test_limit, seed) for crowds in test.values()]),
    )


def starting_counter(study: CrowdStudy) -> Backbone:
    """The pre-trained backbone; its regressor is fresh unless `init` is a counter. Raises
    WeightsError, DataError."""
    backbone = backbone_for(study.architecture, study.task)
    own, name = backbone.vit.state_dict(), study.hub or study.architecture
    if study.init is None:
        try:
            tensors = timm.create_model(name, pretrained=True, num_classes=0).state_dict()
        except (OSError, RuntimeError, ValueError) as error:
            raise DataError(
                f"could not get {name} from the model hub ({error}); pass a file with --init"
            ) from error
    else:
        tensors = starting_tensors(study.init)
    # trained at another size
    if "pos_embed" in tensors and tensors["pos_embed"].shape != own["pos_embed"].shape:
        tensors["pos_embed"] = resample_abs_pos_embed(
            tensors["pos_embed"], (backbone.grid, backbone.grid)
        )
    regressor = {k for k in own if k.startswith("head.")}
    if not regressor <= tensors.keys():
        tensors = {k: v for k, v in tensors.items() if not k.startswith("head.")} | {
            k: own[k] for k in regressor
        }
    weights.fill(backbone.vit, tensors, study.init or Path(study.architecture))
    return backbone


def odd_pictures() -> dict[str, np.ndarray]:
    """Pictures on which counters are known to fail, and rendered scenes whose count is known."""
    rng = np.random.default_rng(0)
    shape = (768, 1152, 3)
    flat = {"blank white": 255, "blank grey": 128, "blank black": 0}
    pictures = {name: np.full(shape, value, np.uint8) for name, value in flat.items()}
    pictures["noise"] = rng.integers(0, 256, shape, dtype=np.uint8)
    return pictures | {f"rendered, {n} people": render(n, 1).picture for n in (0, 1, 20, 100, 400)}


def train(study: CrowdStudy) -> dict:
    """Run the study to its end, resuming where its run folder stands, and write
    weights/crowd/<backbone>/; gives back the card."""
    check_sizes(study)
    accelerator = Accelerator(cpu=study.device == "cpu", mixed_precision=study.precision)
    train_set, val, test = splits(study)
    left_out = list(dict.fromkeys(train_set.left_out + test.left_out))
    for line in left_out:
        tqdm.write(f"left out: {line}", file=sys.stderr)
    torch.manual_seed(study.recipe.seed)
    backbone = starting_counter(study)
    known = {
        "pictures and labels": identity.of_data(train_set, val),
        "start weights": identity.of_start(study.init, backbone.vit),
    }
    run = study.run_of(known)
    identity.refuse_another(study.folder, run, study.overwrite)
    tuned = fine_tune_counter(
        backbone,
        study.task,
        train_set,
        val,
        study.recipe,
        accelerator,
        study.run / "finetune.safetensors",
        known=known,
    )
    model = MultiExitViT.untrained(backbone, study.task, study.heads, study.layers)
    taken = take_over_exits(model, study.init)
    warm_start(model, [e for e in model.exits() if e not in taken])
    learned = classifier_wise(
        model,
        train_set.tiles(),
        val.tiles(),
        study.exits,
        accelerator,
        study.run / "exits.safetensors",
        known,
    )
    solved = solve_last_layers(model, train_set.tiles(), accelerator)
    storage, counted_val = round_for_storage(model, lambda m: count(m, val, accelerator))
    counted = {"val": counted_val, "test": count(model, test, accelerator)}
    figures = summary(model, counted["test"])
    model.practical_exits = frozenset(
        (e["layer"], e["head"]) for e in figures["exits"] if e["practical"]
    )
    card = {
        "task": asdict(study.task),
        "architecture": study.architecture,
        "strategy": "classifier-wise",
        "layers": sorted({layer for layer, _ in model.exits()}),
        **origin(study.init, study.hub or study.architecture),
        "data": {
            "train": len(train_set) - study.scenes - study.empties,
            "rendered": study.scenes,
            "empty": study.empties,
            "validation": len(val),
            "test": len(test),
            "unreadable": left_out,
        },
        "understood": list(dict.fromkeys(train_set.understood + test.understood)),
        "recipe": asdict(study.recipe)
        | {"steps": tuned["step"], "seconds": round(tuned["seconds"]), "val_mae": tuned["val_mae"]},
        "exit_recipe": asdict(study.exits)
        | {"rounds": learned["round"], "rates": learned["rates"], "last_layer": solved},
        "precision": f"{study.precision} (accelerate) on {accelerator.device.type}",
        "versions": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "timm": timm.__version__,
        },
        "seed": study.recipe.seed,
        "notes": study.notes,
        "run": run,
        **figures,
        "unusual": unusual(model, odd_pictures()),
    }
    if accelerator.is_main_process:
        card = weights.save(model, study.folder, card, storage)
        save_counts(study.folder, counted)
    return json.loads(json.dumps(card))


def evaluate(
    model: MultiExitViT, data: Path, limit: int | None = None, seed: int = 0, precision: str = "no"
) -> dict:
    """Measure every exit on each test split: {"task", "splits": {name: {"n", "final", "exits"}},
    "understood": what was read and how, "left_out": "file: reason" lines}. Raises DataError."""
    sets = load_crowds(model.task, data, "test")
    accelerator = Accelerator(cpu=model.device.type == "cpu", mixed_precision=precision)
    return {
        "task": model.task.name,
        "splits": {
            name: measured_split(model, sample(crowds, limit, seed), accelerator)
            for name, crowds in sets.items()
        },
        "understood": [line for crowds in sets.values() for line in crowds.understood],
        "left_out": [line for crowds in sets.values() for line in crowds.left_out],
    }


def measured_split(model: MultiExitViT, crowds: Crowds, accelerator: Accelerator) -> dict:
    """One split's figures, as in the card."""
    return summary(model, count(model, crowds, accelerator))["splits"][
        crowds.names[0].split("/")[0]
    ]
