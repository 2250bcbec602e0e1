"""What a training starts from: a file of timm-named tensors, a checkpoint of an earlier training, a
bundle's folder, or a model hub. A bundle of a narrower network is grown first."""

from __future__ import annotations

from pathlib import Path

import timm
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from timm.layers import resample_abs_pos_embed

from mvit.bundles import delta, weights
from mvit.data.labelled import DataError
from mvit.models.backbone import Backbone
from mvit.models.growth import GrowthError, grow, outline
from mvit.models.multi_exit import MultiExitViT
from mvit.models.transcrowd import backbone_for
from mvit.tasks import Task

CHECKPOINT_PREFIXES = (
    "model.mean.module.backbone.vit.",
    "model.mean.module.vit.",
    "model.now.backbone.vit.",
    "model.backbone.vit.",
    "model.vit.",
)
HUBS = ("local-dir:", "hf-hub:")  # timm's prefixes of a name that says where the weights are


def architecture_of(backbone: str) -> str:
    """timm's plain name of a backbone that is named by its place, `local-dir:FOLDER` or
    `hf-hub:OWNER/NAME`; any other name is its own.

    Raises DataError if there is no such model.
    """
    if not backbone.startswith(HUBS):
        return backbone
    try:
        return timm.create_model(backbone, pretrained=False).pretrained_cfg["architecture"]
    except (OSError, RuntimeError, ValueError, KeyError) as error:
        raise DataError(f"there is no model of timm's at {backbone} ({error})") from error


def starting_backbone(
    architecture: str, task: Task, init: Path | None, hub: str | None = None
) -> Backbone:
    """The architecture with pre-trained weights; its final exit, a classifier or a regressor, is
    taken over too if it fits the task, else it is fresh. A narrower bundle is grown.

    hub: the place of the weights if that is not timm's usual one, see `architecture_of`. Position
    embeddings for another picture size are resampled. Raises WeightsError, or DataError if the hub
    cannot be reached.
    """
    tensors = (
        hub_tensors(hub or architecture) if init is None else starting_tensors(init, architecture)
    )
    backbone = backbone_for(architecture, task)
    own = backbone.vit.state_dict()
    final = {name: tensor for name, tensor in own.items() if name.startswith("head.")}
    if any(name not in tensors or tensors[name].shape != t.shape for name, t in final.items()):
        tensors = {k: v for k, v in tensors.items() if not k.startswith("head.")} | final
    places = tensors.get("pos_embed")
    if places is not None and places.ndim == 3 and places.shape[1] != own["pos_embed"].shape[1]:
        tensors["pos_embed"] = resample_abs_pos_embed(
            places, [backbone.grid] * 2, num_prefix_tokens=int(not backbone.vit.no_embed_class)
        )
    weights.fill(backbone.vit, tensors, init or Path(architecture))
    return backbone


def hub_tensors(name: str) -> dict[str, torch.Tensor]:
    """A model's pre-trained tensors from the model hub. Raises DataError."""
    try:
        return timm.create_model(name, pretrained=True).state_dict()
    except (OSError, RuntimeError, ValueError) as error:
        raise DataError(
            f"could not get {name} from the model hub ({error}); pass a file with --init"
        ) from error


def starting_tensors(init: Path, to: str | None = None) -> dict[str, torch.Tensor]:
    """The backbone's tensors, float32, with timm's names, from a file, a training checkpoint or a
    bundle's folder, whose network is grown if `to` is wider. Raises WeightsError, GrowthError."""
    if init.is_dir():
        return bundle_tensors(init, "backbone", to)
    try:
        tensors = load_file(init)
    except (OSError, SafetensorError) as error:
        raise weights.WeightsError(
            f"{init} is not a readable safetensors file ({error})"
        ) from error
    for prefix in CHECKPOINT_PREFIXES:
        if any(name.startswith(prefix) for name in tensors):
            tensors = {
                name.removeprefix(prefix): tensor
                for name, tensor in tensors.items()
                if name.startswith(prefix)
            }
    return {name: tensor.float() for name, tensor in tensors.items()}


def bundle_tensors(folder: Path, part: str, to: str | None = None) -> dict[str, torch.Tensor]:
    """All tensors of one part (`backbone`, `heads/mlp`) of a bundle, float32; of the network grown
    from it, if the architecture `to` is wider. None if it has no such part.

    Raises WeightsError, and GrowthError for an architecture that it cannot grow to.
    """
    card = weights.read_card(folder)
    heads = [part.removeprefix("heads/")] if part != "backbone" else []
    if any(head not in weights.head_names(card["files"]) for head in heads):
        return {}
    model = weights.read(folder, weights.task_of(card).name, heads=heads)
    if to and wants_growth(card, to):
        try:
            model = grow(model, to, heads, seed=delta.SEED)
        except GrowthError:
            if not heads:
                raise
            return {}  # a head that cannot be grown starts afresh
    return (model.heads[heads[0]] if heads else model.backbone.vit).state_dict()


def grown_start(
    model: MultiExitViT, init: Path | None, to: str
) -> tuple[dict, MultiExitViT] | None:
    """What a card tells of the growth of a model (see `delta.origin`), and the model as it
    was before any training; None if it was not grown from an installed bundle of its own task with
    the same exits."""
    if init is None or not init.is_dir():
        return None
    card = weights.read_card(init)
    of = card.get("delta") or {"task": card["task"]["name"], "backbone": init.resolve().name}
    source = weights.root() / of["task"] / of["backbone"]
    installed = "delta" in card or source.resolve() == init.resolve()
    if not installed or of["task"] != model.task.name:
        return None
    if not wants_growth(weights.read_card(source), to):
        return None
    try:
        of = delta.origin(source, model.heads, 0, toward=of.get("toward"))
        grown = weights.regrown(of, to, list(model.heads))
    except (weights.WeightsError, GrowthError):
        return None  # exits that its source has not
    return (of, grown) if delta.comparable(model, grown) else None


def wants_growth(card: dict, to: str) -> bool:
    """Whether the architecture `to` is wider than that of a bundle's card."""
    small, large = (
        outline(name, weights.task_of(card), layers=[], heads=[])
        for name in (card["architecture"], to)
    )
    return small.backbone.dim < large.backbone.dim


def origin(init: Path | None, name: str) -> dict:
    """What a card tells about the start weights: {"init": name}, and of a bundle under "before" how
    that was made.

    name: what timm was asked for if there is no `init`; of a folder only its own name is told.
    """
    if init is None:
        place, _, folder = name.partition(":")
        return {
            "init": f"timm {Path(folder).name if place == 'local-dir' else name}, "
            "pre-trained weights of a model hub"
        }
    if not init.is_dir():
        return {"init": init.name}
    card = weights.read_card(init)
    before = {
        k: card[k]
        for k in ("init", "before", "strategy", "recipe", "exit_recipe", "notes")
        if card.get(k)
    }
    return {"init": f"the bundle {card['task']['name']}/{init.resolve().name}", "before": before}


def take_over_exits(
    model: MultiExitViT, init: Path | None, to: str | None = None
) -> list[tuple[int, str]]:
    """Start from the exits that the bundle `init` has, grown where the model is wider, and that fit
    the model's; return which. None if `init` is no bundle."""
    taken = []
    for head in model.heads if init is not None and init.is_dir() else ():
        tensors = bundle_tensors(init, f"heads/{head}", to)
        for layer, module in model.heads[head].items():
            own = {
                name.removeprefix(f"{layer}."): t
                for name, t in tensors.items()
                if name.startswith(f"{layer}.")
            }
            if {k: v.shape for k, v in own.items()} == {
                k: v.shape for k, v in module.state_dict().items()
            }:
                module.load_state_dict(own)
                taken.append((int(layer), head))
    return taken
