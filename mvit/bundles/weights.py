"""Bundles on disk: safetensors in half precision with a card that names every file's sha256.

A bundle is a folder weights/<task>/<backbone>/ with backbone.safetensors, heads/<head>.safetensors
(keys `<layer>.<parameter>`) and card.json. Loading checks sha256, names, shapes, dtypes and
finiteness before a tensor is used. A part too large for one file is split, as model hubs do it,
into backbone-00001-of-00002.safetensors and so on. Where there is a bundle of ViT-Ti/16 but none of
ViT-B/16, the latter is offered too and grown at load (`mvit.models.growth`): the same answers at
the larger network's cost.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import torch
from huggingface_hub import split_torch_state_dict_into_shards
from safetensors import SafetensorError
from safetensors.torch import load as load_safetensors
from safetensors.torch import save_file

from mvit.models.extra_heads import EVERY
from mvit.models.growth import GrowthError, grow, outline
from mvit.models.multi_exit import FINAL, MultiExitViT
from mvit.models.transcrowd import backbone_for
from mvit.tasks import TASKS, CrowdTask, Task

ROOT = Path(__file__).resolve().parents[2] / "weights"
MAX_FILE_BYTES = 95_000_000
HEADER_BYTES = 200_000  # at most, of a safetensors file with some hundred tensors
# offered even without a bundle: grown from the other
GROWN = {f"vit_base_patch16_{px}": f"vit_tiny_patch16_{px}" for px in (224, 384)}


class WeightsError(ValueError):
    """Weights that are missing, altered or do not fit; the message names the file and the reason,
    and how to check."""


def _refuse(file: Path, reason: str) -> WeightsError:
    return WeightsError(
        f"{file.parent.name}/{file.name} refused: {reason} (run `python -m mvit verify` to check all weights)"
    )


def root() -> Path:
    """The folder that holds all bundles: MVIT_WEIGHTS if set, else weights/ beside the package."""
    return Path(os.environ.get("MVIT_WEIGHTS", ROOT))


def bundles() -> list[tuple[str, str]]:
    """Every (task, backbone) that has a card, in alphabetical order."""
    return sorted((p.parent.parent.name, p.parent.name) for p in root().glob("*/*/card.json"))


def offers() -> list[tuple[str, str]]:
    """Every (task, backbone) that `load` knows: the bundles, then what it can grow from one."""
    found = bundles()
    return [*found, *((t, b) for t in dict(found) for b in GROWN if source(t, b))]


def source(task: str, backbone: str) -> str | None:
    """The backbone whose bundle is grown to give `backbone`; None if that has a bundle of its own,
    or cannot be grown."""
    small, known = GROWN.get(backbone), bundles()
    if (task, backbone) in known or (task, small) not in known:
        return None
    try:
        return (
            None
            if getattr(task_of(read_card(root() / task / small)), "regressor", None) == "gap"
            else small
        )
    except (WeightsError, KeyError, TypeError, AttributeError):
        return None  # the small bundle itself will say what is wrong with it


def folder(task: str, backbone: str) -> Path:
    """The bundle's folder, or that of the bundle it is grown from; raises WeightsError if there is
    none of that name."""
    if (task, backbone) in bundles():
        return root() / task / backbone
    if small := source(task, backbone):
        return root() / task / small
    known = ", ".join("/".join(b) for b in offers()) or "none"
    raise WeightsError(f"no weights for {task}/{backbone} in {root()}; there are: {known}")


def card_of(task: str, backbone: str) -> dict:
    """The card of a bundle; of a grown one its source's, with the MACs of the grown network and
    `grown_from`. Raises WeightsError."""
    where = folder(task, backbone)
    card = read_card(where)
    if not source(task, backbone):
        return card
    try:
        sizes = outline(backbone, task_of(card), card["layers"], head_names(card["files"]))
        figures = _at_size(card, sizes)
        if "splits" in card:
            figures["splits"] = {
                name: split | _at_size(split, sizes) for name, split in card["splits"].items()
            }
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise _refuse(
            where / "card.json",
            f"the card is incomplete or wrong ({type(error).__name__}: {error})",
        ) from error
    return card | {"architecture": backbone, "grown_from": card["architecture"]} | figures


def _at_size(measured: dict, sizes: MultiExitViT) -> dict:
    """The exits and the final exit of a card or of one of its splits, with the MACs of another size
    of network."""
    exits = [
        e | {"macs": sizes.exit_macs(e["layer"], e["head"])} for e in measured.get("exits", [])
    ]
    return {
        "exits": exits,
        "final": measured.get("final", {}) | {"macs": sizes.exit_macs(sizes.depth, FINAL)},
    }


def read_card(folder: Path) -> dict:
    """The card of a bundle; raises WeightsError."""
    file = folder / "card.json"
    try:
        card = json.loads(file.read_text())
    except OSError as error:
        raise _refuse(file, "the card is missing") from error
    except ValueError as error:
        raise _refuse(file, f"the card is not JSON ({error})") from error
    if not isinstance(card, dict) or not {"task", "architecture", "files"} <= card.keys():
        raise _refuse(file, "the card lacks 'task', 'architecture' or 'files'")
    return card


def read_tensors(file: Path, sha256: str | None = None) -> dict[str, torch.Tensor]:
    """Read a safetensors file whole; raises WeightsError if it is missing, altered, truncated or
    holds a NaN or infinity."""
    try:
        data = file.read_bytes()
    except OSError as error:
        raise _refuse(file, "the file is missing or cannot be read") from error
    if sha256 is not None and hashlib.sha256(data).hexdigest() != sha256:
        raise _refuse(file, "its sha256 differs from the card's, so it was altered or truncated")
    try:
        tensors = load_safetensors(data)
    except SafetensorError as error:
        raise _refuse(file, f"it is not a safetensors file ({error})") from error
    for name, tensor in tensors.items():
        if not tensor.is_floating_point() or not tensor.isfinite().all():
            raise _refuse(file, f"{name} is not made of finite floating-point numbers")
    return tensors


def parts(files: Iterable[str]) -> dict[str, list[str]]:
    """The files of each part: {"backbone": [...], "heads/mlp": [...]}, one or, if the part is
    large, several."""
    found: dict[str, list[str]] = {}
    for name in files:
        found.setdefault(re.sub(r"(-\d{5}-of-\d{5})?\.safetensors$", "", name), []).append(name)
    return found


def head_names(files: Iterable[str]) -> list[str]:
    """The heads that a card's files hold, in the card's order."""
    return [part.removeprefix("heads/") for part in parts(files) if part.startswith("heads/")]


def fill(module: torch.nn.Module, tensors: dict[str, torch.Tensor], file: Path) -> None:
    """Put tensors into a module; raises WeightsError unless names and shapes are exactly the
    module's."""
    if missing := sorted(module.state_dict().keys() - tensors.keys()):
        raise _refuse(file, f"it lacks {missing[0]} and {len(missing) - 1} more")
    put(module, tensors, file)


def put(module: torch.nn.Module, tensors: dict[str, torch.Tensor], file: Path) -> None:
    """Put some of a module's tensors into it, in the module's dtype; raises WeightsError for a
    strange name or shape."""
    own = module.state_dict()
    if extra := sorted(tensors.keys() - own.keys()):
        raise _refuse(file, f"it holds {extra[0]}, which this model does not have")
    for name, tensor in tensors.items():
        if tensor.shape != own[name].shape:
            raise _refuse(
                file, f"{name} has shape {tuple(tensor.shape)}, expected {tuple(own[name].shape)}"
            )
        own[name].copy_(tensor)


def save(model: MultiExitViT, folder: Path, card: dict) -> dict:
    """Write a model as a bundle, half precision, with the sha256 of each file in the card; gives
    back the card.

    A part of more than 95 MB is split over several files. Raises WeightsError for a single tensor
    that is larger still.
    """
    files = save_part(model.backbone.vit, folder, "backbone")
    for name, at in model.heads.items():
        files |= save_part(at, folder, f"heads/{name}")
    card = card | {"files": files}
    write_card(folder, card)
    return card


def save_part(module: torch.nn.Module, folder: Path, part: str) -> dict[str, dict]:
    """Write the backbone or one head of a bundle; gives back {file: {"sha256", "bytes"}} for the
    card. Raises WeightsError."""
    half, files = {name: tensor.detach().half() for name, tensor in module.state_dict().items()}, {}
    (folder / part).parent.mkdir(parents=True, exist_ok=True)
    for name, keys in split_torch_state_dict_into_shards(
        half,
        filename_pattern=part + "{suffix}.safetensors",
        max_shard_size=max(1, MAX_FILE_BYTES - HEADER_BYTES),
    ).filename_to_tensors.items():
        save_file({key: half[key].cpu().contiguous() for key in keys}, folder / name)
        data = (folder / name).read_bytes()
        if len(data) > MAX_FILE_BYTES:
            raise WeightsError(f"{name} has {len(data):,} bytes; the limit is {MAX_FILE_BYTES:,}")
        files[name] = {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
    return files


def write_card(folder: Path, card: dict) -> None:
    """Write card.json whole or not at all."""
    partial = folder / "card.partial"
    partial.write_text(json.dumps(card, indent=1) + "\n")
    os.replace(partial, folder / "card.json")


def task_of(card: dict) -> Task:
    """The Task that a card describes."""
    known = {k: tuple(v) if isinstance(v, list) else v for k, v in card["task"].items()}
    return (CrowdTask if known["metric"] == "mae" else Task)(**known)


def pick_device(name: str) -> torch.device:
    """`auto` is the GPU if there is one; raises ValueError for a device that is not there."""
    gpus = (
        ["cuda", *(f"cuda:{i}" for i in range(torch.cuda.device_count()))]
        if torch.cuda.is_available()
        else []
    )
    if name == "auto":
        return torch.device("cuda" if gpus else "cpu")
    if name in ("cpu", *gpus):
        return torch.device(name)
    raise ValueError(
        f"device '{name}' is not available here; use {' or '.join(['cpu', *gpus[:1]])}"
    )


def default_backbone(task: str) -> str:
    """The bundled backbone of a task: ViT-Ti/16 at the task's input size."""
    return f"vit_tiny_patch16_{TASKS[task].input_px if task in TASKS else 224}"


def load(
    task: str,
    backbone: str | None = None,
    device: str = "auto",
    dtype: torch.dtype = torch.float32,
    heads: Sequence[str] | None = None,
) -> MultiExitViT:
    """Load a verified multi-exit model, ready to run. `heads` limits which heads are read (all by
    default).

    A backbone that has no bundle but can be grown from one (see `offers`) is grown, and says so in
    `grown_from`. Raises WeightsError if anything about the files is wrong, ValueError for a device
    that is not there.
    """
    backbone = backbone or default_backbone(task)
    place, small = pick_device(device), source(task, backbone)
    if small is None:
        return read(folder(task, backbone), task, dtype, heads).to(place)
    narrow = read(folder(task, small), task, torch.float32, heads)
    try:
        return grow(narrow, backbone, dtype=dtype).to(place).requires_grad_(False)
    except GrowthError as error:
        raise WeightsError(f"{task}/{backbone} cannot be grown from {small}: {error}") from error


def read(
    where: Path, task: str, dtype: torch.dtype = torch.float32, heads: Sequence[str] | None = None
) -> MultiExitViT:
    """Read the bundle of a task in any folder onto the CPU, verified; see `load`."""
    card = read_card(where)
    try:
        question, layers = task_of(card), [int(b) for b in card["layers"]]
        practical = [(e["layer"], e["head"]) for e in card.get("exits", []) if e["practical"]]
        sums = {name: str(about["sha256"]) for name, about in card["files"].items()}
        with torch.device("meta"):
            body = backbone_for(card["architecture"], question)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise _refuse(
            where / "card.json",
            f"the card is incomplete or wrong ({type(error).__name__}: {error})",
        ) from error
    if question.name != task:
        raise _refuse(
            where / "card.json", f"it is the card of task '{question.name}', not '{task}'"
        )
    body.to(dtype).to_empty(device="cpu")
    _read_part(body.vit, where, "backbone", sums)
    own, modules = head_names(sums), {}
    for name in own if heads is None else heads:
        if name not in own or name not in EVERY:
            raise WeightsError(
                f"{task}/{where.name} has no head '{name}'; it has: {', '.join(own)}"
            )
        with torch.device("meta"):
            at = torch.nn.ModuleDict(
                {str(b): EVERY[name](body.dim, body.grid, question.outputs) for b in layers}
            )
        at.to(dtype).to_empty(device="cpu")
        _read_part(at, where, f"heads/{name}", sums)
        modules[name] = {int(b): module for b, module in at.items()}
    model = MultiExitViT(body, question, modules, practical).eval().requires_grad_(False)
    model.grown_from = card.get("grown_from")
    return model


def _read_part(module: torch.nn.Module, where: Path, part: str, sums: dict[str, str]) -> None:
    """Fill a module from its file or, one after the other, from its files."""
    files, missing = parts(sums).get(part), module.state_dict().keys()
    if not files:
        raise _refuse(where / f"{part}.safetensors", "the card does not list it")
    for name in files:
        tensors = read_tensors(where / name, sums[name])
        put(module, tensors, where / name)
        missing = missing - tensors.keys()
    if missing:
        raise _refuse(where / files[-1], f"it lacks {min(missing)} and {len(missing) - 1} more")


def verify(only_task: str | None = None, only_backbone: str | None = None) -> list[dict]:
    """Check every bundle, or those of one task or backbone, by loading it: gives back {task,
    backbone, ok, reason} for each, never raises."""
    results = []
    for task, backbone in bundles():
        if only_task not in (None, task) or only_backbone not in (None, backbone):
            continue
        try:
            load(task, backbone, device="cpu")
            results.append({"task": task, "backbone": backbone, "ok": True, "reason": None})
        except (ValueError, KeyError, TypeError, RuntimeError) as error:
            results.append({"task": task, "backbone": backbone, "ok": False, "reason": str(error)})
    return results
