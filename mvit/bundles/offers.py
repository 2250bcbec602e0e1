"""Which networks there are: the bundles, and what can be grown from one of them."""

from __future__ import annotations

from pathlib import Path

from mvit.bundles import delta
from mvit.bundles.card import WeightsError, grown_card, read_card, task_in
from mvit.bundles.places import bundles, root
from mvit.tasks import TASKS

# offered even without a bundle: grown from the other
GROWN = {f"vit_base_patch16_{px}": f"vit_tiny_patch16_{px}" for px in (224, 384)}


def offers() -> list[tuple[str, str]]:
    """Every (task, backbone) that `load` knows: the bundles, then what it can grow from one."""
    return list(dict.fromkeys([*bundles(), *grown()]))


def grown() -> dict[tuple[str, str], str]:
    """Every (task, backbone) that `load` grows, and the bundle's backbone that it is grown from."""
    known = bundles()
    found = {(t, b): _source(t, b, known) for t in dict(known) for b in GROWN}
    return {offer: small for offer, small in found.items() if small}


def source(task: str, backbone: str) -> str | None:
    """The backbone whose bundle is grown to give `backbone`; None if that has a bundle of its own
    that is not refused, or cannot be grown."""
    return _source(task, backbone, bundles())


def _source(task: str, backbone: str, known: list[tuple[str, str]]) -> str | None:
    """`source`, where the bundles are known."""
    small = GROWN.get(backbone)
    if (task, small) not in known:
        return None
    if (task, backbone) in known and not refusal(task, backbone):
        return None
    try:
        gap = getattr(task_in(root() / task / small), "regressor", None) == "gap"
        return None if gap else small
    except WeightsError:
        return None  # the small bundle itself will say what is wrong with it


def refusal(task: str, backbone: str) -> str | None:
    """Why a trained grown network that is installed cannot be used with what else is, in one
    sentence; None if it can, or is none. The network grown from its source is offered instead."""
    where = root() / task / backbone
    try:
        card = read_card(where)
        reason = delta.misfit(where, card, root()) if "delta" in card else None
        origin = card["delta"]["backbone"] if reason else None
    except WeightsError:
        return None  # loading says it
    return reason and (
        f"{task}/{backbone} refused: {reason}; train it again, or remove its folder and have "
        f"the network grown from {origin}"
    )


def folder(task: str, backbone: str) -> Path:
    """The bundle's folder, or that of the bundle it is grown from; raises WeightsError if there is
    none of that name."""
    if small := source(task, backbone):
        return root() / task / small
    if (task, backbone) in bundles():
        return root() / task / backbone
    raise WeightsError(f"no weights for {task}/{backbone} in {root()}; there are: {told()}")


def told() -> str:
    """All that `load` knows, in words: the bundles, and what it grows from one of them."""
    known, more = (", ".join(map("/".join, names)) for names in (bundles(), grown()))
    return f"{known or 'none'}{f'; and, grown from these at load: {more}' if more else ''}"


def folders(task: str, backbone: str) -> list[Path]:
    """All folders whose files make up a network: the bundle's, those of the bundles that it has a
    file of, and of a trained grown one those of the bundles it was grown from. Raises
    WeightsError."""
    where = folder(task, backbone)
    card = read_card(where)
    others = [where.parent / about["of"] for about in card["files"].values() if "of" in about]
    of = card.get("delta")
    grown_of = [root() / of["task"] / name for name in delta.sources(of)] if of else []
    return [where, *dict.fromkeys(others), *grown_of]


def card_of(task: str, backbone: str) -> dict:
    """The card of a bundle; of a grown one its source's, with the MACs of the grown network and
    `grown_from`. Raises WeightsError."""
    where = folder(task, backbone)
    card = read_card(where)
    return grown_card(where, card, backbone) if source(task, backbone) else card


def default_backbone(task: str) -> str:
    """The bundled backbone of a task: ViT-Ti/16 at the task's input size, or else its first."""
    usual = f"vit_tiny_patch16_{TASKS[task].input_px if task in TASKS else 224}"
    own = [backbone for name, backbone in bundles() if name == task]
    return usual if usual in own or not own else own[0]
