"""Resumable training checkpoints: model and optimiser tensors in one safetensors file, counters in
its metadata."""

from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from mvit.bundles.whole import written_whole

# settings that are told apart by a hash of their content
HASHED = ("pictures and labels", "test pictures and labels", "start weights", "frozen backbone")


class CheckpointError(ValueError):
    """A checkpoint that cannot be used; the message names the file and the reason."""


def save(
    path: Path, model: torch.nn.Module, optimizer: torch.optim.Optimizer | None, progress: dict
) -> None:
    """Write a checkpoint whole or not at all (a full disk leaves the previous one in place)."""
    tensors = {f"model.{k}": v.detach().cpu().contiguous() for k, v in model.state_dict().items()}
    state = optimizer.state_dict() if optimizer else {"state": {}, "param_groups": []}
    for index, slots in state["state"].items():
        tensors |= {
            f"optimizer.{index}.{k}": torch.as_tensor(v).detach().cpu().clone()
            for k, v in slots.items()
        }
    metadata = {"progress": json.dumps(progress), "groups": json.dumps(state["param_groups"])}
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with written_whole(path) as file:
            save_file(tensors, file, metadata)
    except OSError as error:
        raise CheckpointError(
            f"could not write {path} ({error.strerror or error}); the previous checkpoint is "
            "untouched"
        ) from error


def begun(path: Path, recipe: dict, free: Collection[str] = ()) -> dict:
    """The progress of a checkpoint that was begun with this recipe; raises CheckpointError, naming
    the field, if another one was.

    free: fields that may change when a training goes on.
    """
    try:
        with safe_open(path, "pt") as file:
            progress = json.loads(file.metadata()["progress"])
        before = progress["recipe"]
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        raise CheckpointError(
            f"{path} is not a checkpoint of this training ({error}); delete it to start afresh"
        ) from error
    compare(path, before, recipe, free=free)
    return progress


def compare(path: Path, before: dict, now: dict, free: Collection[str] = ()) -> None:
    """Raise CheckpointError, naming the field, if `path` was begun with other settings than those
    of now."""
    for name, value in json.loads(json.dumps(now)).items():
        old = before.get(name)
        if name in free or old == value:
            continue
        words = name.replace("_", " ")
        if name in HASHED:
            said, way_out = f"was begun with other {words}", "go on with those"
        else:
            said, way_out = (
                f"was begun with {words} {old}, now it is {value}",
                "go on with the old value",
            )
        raise CheckpointError(
            f"{path} {said}: {way_out}, or start afresh with another --run folder"
        )


def load(
    path: Path, model: torch.nn.Module, optimizer: torch.optim.Optimizer | None = None
) -> dict:
    """Load a checkpoint into model and optimiser and return its progress. Raises
    CheckpointError."""
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata()
            tensors = {name: file.get_tensor(name) for name in file.keys()}
        progress, groups = json.loads(metadata["progress"]), json.loads(metadata["groups"])
        model.load_state_dict(
            {k[len("model.") :]: v for k, v in tensors.items() if k.startswith("model.")}
        )
        slots: dict[int, dict] = {}
        for name, tensor in tensors.items():
            if name.startswith("optimizer."):
                _, index, slot = name.split(".", 2)
                slots.setdefault(int(index), {})[slot] = tensor
        if optimizer:
            optimizer.load_state_dict({"state": slots, "param_groups": groups})
    except (OSError, SafetensorError, RuntimeError, KeyError, TypeError, ValueError) as error:
        raise CheckpointError(
            f"{path} is not a checkpoint of this model ({error}); delete it to start afresh"
        ) from error
    return progress
