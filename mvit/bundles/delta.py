"""A trained grown network on disk: which bundle it was grown from, and what training changed.

The growth is repeated at load (`mvit.models.growth`), so a bundle holds only the change: of each
matrix the nearest one of low rank (a truncated SVD, as two factors `<matrix>:up` and
`<matrix>:down`), or where that would be larger the change itself (`<matrix>:change`), in 8 bits a
row; vectors in full. A matrix that is not there was not changed. Low-rank changes: Hu et al.,
"LoRA", 2021. What is grown may lie on the way from the source `toward` a second bundle of the same
backbone, which learned from the same start (`mvit.models.blend`).
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open

from mvit.bundles.card import parts, read_card, refused
from mvit.bundles.tensors import expanded, is_matrix, packed, read_tensors
from mvit.models.multi_exit import MultiExitViT

UP, DOWN, CHANGE = ":up", ":down", ":change"
BACKBONE_RANK = 4  # times that of the exits: every exit reads the backbone
OVERSAMPLED = 8  # dimensions beyond the rank in which it is looked for (Halko et al., 2011)
SEED = 0  # of the growth
METADATA, TOWARD = "delta", "toward"

Held = dict[str, torch.Tensor]


def modules(model: MultiExitViT) -> dict[str, torch.nn.Module]:
    """The parts of a model by their files' names: {"backbone": ..., "heads/mlp": ...}."""
    heads = {f"heads/{name}": at for name, at in model.heads.items()}
    return {"backbone": model.backbone.vit} | heads


def comparable(model: MultiExitViT, grown: MultiExitViT) -> bool:
    """Whether a model has nothing that the grown network has not, by name and shape."""
    own, start = modules(model), modules(grown)
    return own.keys() <= start.keys() and all(
        {k: v.shape for k, v in own[part].state_dict().items()}
        == {k: v.shape for k, v in start[part].state_dict().items()}
        for part in own
    )


def changes(model: MultiExitViT, grown: MultiExitViT, rank: int) -> dict[str, Held]:
    """What the files of a bundle hold, by part: the change from the grown network, of this rank in
    the exits and `BACKBONE_RANK` times that in the backbone."""
    start = modules(grown)
    ranks = {part: rank * (BACKBONE_RANK if part == "backbone" else 1) for part in start}
    return {
        part: packed(_change(module, start[part], ranks[part]), 8)
        for part, module in modules(model).items()
    }


@torch.no_grad()
def _change(trained: torch.nn.Module, grown: torch.nn.Module, rank: int) -> Held:
    before, held = grown.state_dict(), {}
    for name, tensor in trained.state_dict().items():
        if not is_matrix(tensor):
            held[name] = tensor
            continue
        moved = (tensor - before[name].to(tensor.device)).flatten(1)
        if not moved.any():
            continue
        if rank * sum(moved.shape) >= moved.numel():
            held[name + CHANGE] = moved.view(tensor.shape)
            continue
        more = min(rank + OVERSAMPLED, *moved.shape)
        with torch.random.fork_rng(devices=[]):  # the same again in a run that is repeated
            torch.manual_seed(SEED)
            left, size, right = torch.svd_lowrank(moved, more, niter=4)
        root = size[:rank].sqrt()
        held[name + UP], held[name + DOWN] = left[:, :rank] * root, (right[:, :rank] * root).T
    return held


@torch.no_grad()
def add(module: torch.nn.Module, tensors: Held, file: Path) -> None:
    """Change a grown part in place as its file says, expanded; raises WeightsError for a missing
    vector or factor, a strange name or shape, and a result that is not finite."""
    left = dict(tensors)
    for name, own in module.state_dict().items():
        if not is_matrix(own):
            if name not in left:
                raise refused(file, f"it lacks {name}")
            new, shape = left.pop(name), own.shape
        elif name + CHANGE in left:
            new, shape = left.pop(name + CHANGE), own.shape
        elif name + UP in left or name + DOWN in left:
            new, shape = _product(name, left, file), own.flatten(1).shape
        else:
            continue
        if new.shape != shape:
            raise refused(file, f"{name} has shape {tuple(new.shape)}, expected {tuple(shape)}")
        if is_matrix(own):
            new = own + new.view(own.shape)
            if not new.isfinite().all():  # factors that are finite may overflow
                raise refused(file, f"it makes {name} infinite or not a number")
        own.copy_(new)
    if left:
        raise refused(file, f"it holds {min(left)}, which no change of this model has")


def _product(name: str, left: Held, file: Path) -> torch.Tensor:
    """The change of a matrix of which a file holds two factors, taken from what is left of it."""
    if lacking := [name + kind for kind in (UP, DOWN) if name + kind not in left]:
        raise refused(file, f"it lacks {lacking[0]}")
    up, down = left.pop(name + UP), left.pop(name + DOWN)
    if not up.ndim == down.ndim == 2 or up.shape[1] != down.shape[0]:
        raise refused(file, f"the two factors of {name} are not of the same rank")
    return up @ down


def add_all(grown: MultiExitViT, held: dict[str, Held]) -> None:
    """Change a grown network in place as files that hold these changes would."""
    for part, module in modules(grown).items():
        add(module, expanded(held[part], Path(part)), Path(part))


def read_changes(grown: MultiExitViT, where: Path, sums: dict[str, str]) -> None:
    """Change a grown network in place as the files of a bundle say, verified. Raises
    WeightsError."""
    files = parts(sums)
    for part, module in modules(grown).items():
        names = files.get(part, [f"{part}.safetensors"])
        total = int(names[0].partition("-of-")[2][:5] or 1)
        if part not in files:
            raise refused(where / names[0], "the card does not list it")
        if len(names) != total:  # else the matrices of the others would pass for unchanged
            raise refused(where / names[0], f"the card lists {len(names)} of {total} such files")
        held: Held = {}
        for name in names:  # all before any is used: two factors may lie in two files
            held |= read_tensors(where / name, sums[name])
        add(module, held, where / names[-1])


def origin(source: Path, heads: Iterable[str], rank: int, toward: dict | None = None) -> dict:
    """What the card of a trained grown network tells about its growth: the source bundle, by the
    sha256 of the files that it is grown from, the seed, and the rank of the exits' change.

    toward: {"backbone", "share"} if it is grown from what lies that share of the way to a second
    bundle of the task, in the backbone and in those of the heads that both have."""
    about = {"task": read_card(source)["task"]["name"], "backbone": source.resolve().name}
    about |= {"files": _sums(source, heads), "seed": SEED, "rank": rank}
    if toward:
        files = _sums(source.resolve().parent / toward["backbone"], heads)
        about[TOWARD] = {"backbone": toward["backbone"], "share": toward["share"], "files": files}
    return about


def _sums(source: Path, heads: Iterable[str]) -> dict[str, str]:
    """The sha256 of each file of a bundle that holds its backbone or one of these heads."""
    files = read_card(source)["files"]
    wanted = {"backbone", *(f"heads/{name}" for name in heads)}
    return {n: files[n]["sha256"] for p, own in parts(files).items() for n in own if p in wanted}


def sources(delta: dict) -> dict[str, dict[str, str]]:
    """The bundles that a trained grown network needs, and of each the files with their sha256."""
    return {about["backbone"]: about["files"] for about in (delta, delta.get(TOWARD)) if about}


def told(delta: dict, form: str = "{}") -> str:
    """What the network was grown from, in words. form: how a bundle is named."""
    named = [form.format(name) for name in sources(delta)]
    return named[0] if len(named) == 1 else f"the mean of {named[0]} and {named[1]}"


def tag(delta: dict) -> dict[str, str]:
    """The metadata of every file of such a bundle, by which a file of another one is told."""
    return {METADATA: json.dumps(delta, sort_keys=True)}


def misfit(where: Path, card: dict, root: Path) -> str | None:
    """Why the changes in a bundle do not belong to the source bundle that is installed, or to their
    card, in words; None if they do. Reads cards and headers only."""
    delta = card["delta"]
    for backbone, files in sources(delta).items():
        trained = f"it was trained from {delta['task']}/{backbone}"
        source = root / delta["task"] / backbone
        if not (source / "card.json").exists():
            return f"{trained}, which is not installed"
        now = read_card(source)["files"]
        for name, sha256 in files.items():
            if now.get(name, {}).get("sha256") != sha256:
                return f"{trained}, whose {name} has been replaced since"
    changed = {"backbone", *parts(delta["files"])}
    for name in (n for part, own in parts(card["files"]).items() if part in changed for n in own):
        # loading says it of a file that cannot be read
        with suppress(OSError, SafetensorError), safe_open(where / name, "pt") as file:
            of = {}
            with suppress(ValueError):
                of = json.loads((file.metadata() or {}).get(METADATA, "{}"))
            for key in ("task", "backbone", "files", "seed", "rank", TOWARD):
                if key not in of and key != TOWARD:
                    return f"{name} does not tell which network it is the change of"
                if of.get(key) != delta.get(key):
                    what = "source bundle" if key not in ("seed", "rank") else key
                    return f"{name} is the change of a network with another {what} than the card's"
    return None
