"""How a trained model is stored: in 8 bits a weight where no exit pays for it, else in 16; and a
grown network that was trained as a change of low rank, if no exit pays much for it."""

from __future__ import annotations

import copy
from collections.abc import Callable

from mvit.bundles import delta
from mvit.bundles.tensors import round_to
from mvit.evaluation.counts import Counts
from mvit.evaluation.predictions import Predictions
from mvit.models.multi_exit import MultiExitViT

RANKS = (8, 16, 32)  # of the exits' change; that of the backbone is `delta.BACKBONE_RANK` times it
MAY_LOSE = 2  # times what 8 bits may cost: 0.2 points of accuracy, at about a sixth of the size


def change_for_storage(
    model: MultiExitViT,
    grown: MultiExitViT,
    measure: Callable[[MultiExitViT], Predictions | Counts],
    *,
    keep: int | None = None,
) -> tuple[dict, Predictions | Counts, dict[str, delta.Held]] | None:
    """Round a trained grown network, in place, to the change of the lowest rank with which no exit
    loses more than it may; None, and nothing is rounded, if no rank will do.

    grown: as it was before training. measure: see `round_for_storage`. keep: the rank to which
    training itself was confined; it is taken whatever an exit loses, as only rounding to 8 bits
    costs anything then. Returns `storage` for the card, {"rank", "pictures", "worst": {"layer",
    "head", "full", "light"}}, what was measured of the rounded network, and the changes for
    `weights.save`.
    """
    full = measure(model).quality
    for rank in (keep,) if keep else RANKS:
        held = delta.changes(model, grown, rank)
        rounded = copy.deepcopy(grown).to(model.device)
        delta.add_all(rounded, held)
        found = measure(rounded)
        light = found.quality
        loss = {exit: model.task.loss_of_storing(full[exit], light[exit]) for exit in full}
        worst = max(loss, key=loss.get)
        if loss[worst] <= MAY_LOSE or keep:
            model.load_state_dict(rounded.state_dict())
            layer, head = worst
            figures = {"layer": layer, "head": head, "full": full[worst], "light": light[worst]}
            return {"rank": rank, "pictures": len(found.truth), "worst": figures}, found, held
    return None


def round_for_storage(
    model: MultiExitViT,
    measure: Callable[[MultiExitViT], Predictions | Counts],
    *,
    light: bool = True,
    only_heads: bool = False,
) -> tuple[dict, Predictions | Counts]:
    """Round a model, in place, to what its bundle will hold, so that whatever is measured later is
    true of the files; return `storage` for `weights.save`, and what was measured of the rounded
    model.

    measure: predicts validation pictures with a model. 8 bits are taken where no exit loses more
    than its task allows (0.1 points of accuracy, 0.5 % of an MAE) against half precision. storage:
    {"bits", "pictures", "worst": {"layer", "head", "half", "light"}}, the exit that lost most.
    light: whether 8 bits are tried at all; layers that must stay as they are forbid it.
    only_heads: leave the backbone as it is, since a bundle holds it already.
    """
    _round(model, 16, only_heads)
    found = {16: measure(model)}
    if not light:
        return {"bits": 16, "pictures": len(found[16].truth)}, found[16]
    rounded = copy.deepcopy(model)
    _round(rounded, 8, only_heads)
    found[8] = measure(rounded)
    half, less = found[16].quality, found[8].quality
    loss = {exit: model.task.loss_of_storing(half[exit], less[exit]) for exit in half}
    worst = max(loss, key=loss.get)
    bits = 8 if loss[worst] <= 1 else 16
    if bits == 8:
        model.load_state_dict(rounded.state_dict())
    layer, head = worst
    figures = {"layer": layer, "head": head, "half": half[worst], "light": less[worst]}
    storage = {"bits": bits, "pictures": len(found[bits].truth), "worst": figures}
    return storage, found[bits]


def _round(model: MultiExitViT, bits: int, only_heads: bool) -> None:
    round_to(model.heads if only_heads else model, bits)
