"""Bundles on disk: safetensors with a card that names every file's sha256.

A bundle is a folder weights/<task>/<backbone>/ with backbone.safetensors, heads/<head>.safetensors
(keys `<layer>.<parameter>`) and card.json. Loading checks sha256, names, shapes, dtypes and
finiteness before a tensor is used. A part too large for one file is split, as model hubs do it,
into backbone-00001-of-00002.safetensors and so on. A card may name a file `of` another bundle of
its task, so that two with one backbone hold it once. Where there is a bundle of ViT-Ti/16 but none
of ViT-B/16, the latter is offered too and grown at load (`mvit.models.growth`): the same answers at
the larger network's cost. A grown network that was trained is a bundle of what training changed
(`mvit.bundles.delta`), and needs the bundle that it was grown from.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path

import torch

from mvit.bundles import delta, first_view
from mvit.bundles.card import (
    WeightsError,
    head_names,
    incomplete,
    lacking_head,
    lost,
    parts,
    read_card,
    refused,
    task_in,
    task_of,
    write_card,
)
from mvit.bundles.maps import load_maps
from mvit.bundles.offers import card_of, default_backbone, folder, folders, offers, refusal, source
from mvit.bundles.places import ROOT, bundles, root
from mvit.bundles.tensors import fill, put, read_part, read_tensors, save_held, save_part
from mvit.inference.engine import Engine
from mvit.models.backbone import Backbone
from mvit.models.blend import blend
from mvit.models.extra_heads import EVERY, build
from mvit.models.growth import GrowthError, grow
from mvit.models.multi_exit import MultiExitViT, Plan
from mvit.models.transcrowd import backbone_for
from mvit.tasks import Task

__all__ = [
    "ROOT",
    "WeightsError",
    "bundles",
    "card_of",
    "default_backbone",
    "fill",
    "folder",
    "folders",
    "head_names",
    "load",
    "offers",
    "parts",
    "pick_device",
    "put",
    "read",
    "read_card",
    "read_tensors",
    "refusal",
    "regrown",
    "root",
    "save",
    "save_part",
    "source",
    "task_in",
    "task_of",
    "verify",
    "write_card",
]


def save(
    model: MultiExitViT,
    folder: Path,
    card: dict,
    storage: dict | None = None,
    *,
    changes: dict[str, dict[str, torch.Tensor]] | None = None,
    backbone: dict[str, dict] | None = None,
) -> dict:
    """Write a model as a bundle, with the sha256 of each file in the card; return the card.

    In half precision, or as `storage` says, which goes into the card (see
    `mvit.evaluation.storage`): its bits a weight, and the `head_bits` of heads that have others.
    A part of more than 95 MB is split over several files. changes: of a grown network that was
    trained, written in the weights' place; its card tells the growth under `delta`. backbone: the
    files of another bundle of the task that hold this backbone, as the card is to list them; then
    it is not written again. Raises WeightsError for a single tensor that is larger still.
    """
    files = {}
    if changes:
        for part, held in changes.items():
            files |= save_held(held, folder, part, metadata=delta.tag(card["delta"]))
    else:
        bits = storage["bits"] if storage else 16
        of_heads = (storage or {}).get("head_bits", {})
        files |= backbone or save_part(model.backbone.vit, folder, "backbone", bits=bits)
        for name, at in model.heads.items():
            files |= save_part(at, folder, f"heads/{name}", bits=of_heads.get(name, bits))
    # how another bundle was stored, from whose card this one was made, is not said of this one
    others = {"storage"} if changes else {"storage", "delta"}
    card = {k: v for k, v in card.items() if k not in others} | {"files": files}
    card |= {"storage": storage} if storage else {}
    write_card(folder, card)
    return card


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


def load(
    task: str,
    backbone: str | None = None,
    device: str = "auto",
    dtype: torch.dtype = torch.float32,
    heads: Sequence[str] | None = None,
    engine: str = "auto",
) -> MultiExitViT:
    """Load a verified multi-exit model, ready to run. `heads` limits which heads are read (all by
    default). engine: `timm`, `packed`, or whichever is faster (see `mvit.inference.engine`).

    A backbone that has no bundle but can be grown from one (see `offers`) is grown, and says so in
    `grown_from`; so, with a warning, is one whose bundle does not fit (`refusal`). Raises
    WeightsError if anything about the files is wrong, ValueError for a device or an engine that is
    not there.
    """
    computes, backbone = Engine(engine), backbone or default_backbone(task)
    place, small = pick_device(device), source(task, backbone)
    if reason := refusal(task, backbone) if small else None:
        warnings.warn(reason, stacklevel=2)
    if small is None:
        model = read(folder(task, backbone), task, dtype, heads=heads).to(place)
    else:
        narrow = read(folder(task, small), task, torch.float32, heads=heads)
        try:
            model = grow(narrow, backbone, dtype=dtype).to(place).requires_grad_(False)
        except GrowthError as error:
            why = f"{task}/{backbone} cannot be grown from {small}: {error}"
            raise WeightsError(why) from error
    model.engine = computes
    return model


def read(
    where: Path, task: str, dtype: torch.dtype = torch.float32, heads: Sequence[str] | None = None
) -> MultiExitViT:
    """Read the bundle of a task in any folder onto the CPU, verified; see `load`."""
    card = read_card(where)
    question, body, layers, practical = _outlined(where, card, task)
    wanted, modules = _wanted(where, card, heads), {}
    if "delta" in card:
        trained = _read_trained(where, card, wanted).to(dtype)
        body = trained.backbone
        modules = {n: {int(b): m for b, m in at.items()} for n, at in trained.heads.items()}
    else:
        body.to(dtype).to_empty(device="cpu")
        read_part(body.vit, where, "backbone", files=card["files"])
    size = {"dim": body.dim, "grid": body.grid, "out": question.outputs}
    distilled = bool(card.get("distilled"))
    for name in [name for name in wanted if name not in modules]:
        with torch.device("meta"):
            own = {str(b): build(name, **size, distilled=distilled) for b in layers}
            at = torch.nn.ModuleDict(own)
        at.to(dtype).to_empty(device="cpu")
        read_part(at, where, f"heads/{name}", files=card["files"])
        modules[name] = {int(b): module for b, module in at.items()}
    model = MultiExitViT(body, question, modules, practical=practical).eval().requires_grad_(False)
    model.grown_from = card.get("grown_from")
    return model


def _outlined(where: Path, card: dict, task: str) -> tuple[Task, Backbone, list[int], Plan]:
    """What a card says of its model, if it is whole and of this task: the task, the backbone
    without weights, the exits' layers, and the practical exits. Raises WeightsError."""
    file = where / "card.json"
    try:
        question, layers = task_of(card), list(card["layers"])
        practical = [(e["layer"], e["head"]) for e in card.get("exits", []) if e["practical"]]
        lacking = lacking_head(card)
        with torch.device("meta"):
            body = backbone_for(card["architecture"], question)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise incomplete(file, error) from error
    if question.name != task:
        raise refused(file, f"it is the card of task '{question.name}', not '{task}'")
    if lacking:
        raise refused(file, f"it tells of a head '{lacking}' but lists no file of it")
    if gone := lost(where, card):
        raise refused(file, gone)
    return question, body, layers, practical


def _wanted(where: Path, card: dict, heads: Sequence[str] | None) -> list[str]:
    """The heads to read: these or, by default, all of a bundle. Raises WeightsError for one that it
    does not have or that this version does not know."""
    own = head_names(card["files"])
    wanted = own if heads is None else list(heads)
    if unknown := [name for name in wanted if name not in own]:
        named = f"{card['task']['name']}/{where.name}"
        raise WeightsError(
            f"{named} has no head '{unknown[0]}'; it has: {', '.join(own) or 'none'}"
        )
    if later := [name for name in wanted if name not in EVERY]:
        reason = f"it has a head '{later[0]}', which this version does not know; name another one"
        raise refused(where / "card.json", reason)
    return wanted


def _read_trained(where: Path, card: dict, heads: Sequence[str]) -> MultiExitViT:
    """Grow a network from its source bundle again, with those of the heads that come from there,
    and change it as training did; float32."""
    try:
        if reason := delta.misfit(where, card, root()):
            raise refused(where / "card.json", reason)
        of, sums = card["delta"], {n: str(about["sha256"]) for n, about in card["files"].items()}
        model = regrown(of, card["architecture"], heads)
    except GrowthError as error:
        raise refused(where / "card.json", str(error)) from error
    delta.read_changes(model, where, sums)
    return model


def regrown(of: dict, architecture: str, heads: Sequence[str]) -> MultiExitViT:
    """What a trained grown network was before its change, with those of the heads that its source
    has; float32. of: the card's `delta`. Raises WeightsError, and GrowthError."""
    own = [name for name in heads if name in head_names(of["files"])]
    beside = root() / of["task"]
    small = read(beside / of["backbone"], of["task"], heads=own)
    if toward := of.get(delta.TOWARD):
        taken = [name for name in own if name in head_names(toward["files"])]
        other = read(beside / toward["backbone"], of["task"], heads=taken).state_dict()
        now = small.state_dict()
        if any(name not in now or now[name].shape != t.shape for name, t in other.items()):
            raise GrowthError(f"{toward['backbone']} is not of the shape of {of['backbone']}")
        blend(small, other, float(toward["share"]))
    return grow(small, architecture, own, seed=int(of["seed"]))


def verify(only_task: str | None = None, only_backbone: str | None = None) -> list[dict]:
    """Check every bundle, or those of one task or backbone, by loading it: {task, backbone, ok,
    reason} of each; never raises. A backbone that is grown at load is checked if it is named."""
    results = []
    for task, backbone in offers() if only_backbone else bundles():
        if only_task not in (None, task) or only_backbone not in (None, backbone):
            continue
        try:
            if reason := refusal(task, backbone):
                raise WeightsError(reason)
            load(task, backbone, device="cpu")
            load_maps(folder(task, backbone))
            first_view.checked(folder(task, backbone))
            results.append({"task": task, "backbone": backbone, "ok": True, "reason": None})
        except (ValueError, OSError, KeyError, TypeError, RuntimeError) as error:
            results.append({"task": task, "backbone": backbone, "ok": False, "reason": str(error)})
    return results
