"""How a trained model is stored: in 8 bits a weight where no exit pays for it, else in 16; and a
grown network that was trained as a change of low rank, if no exit pays much for it."""

from __future__ import annotations

import copy
from collections.abc import Callable

import numpy as np

from mvit.bundles import delta
from mvit.bundles.tensors import round_to
from mvit.evaluation.counts import Counts
from mvit.evaluation.predictions import Predictions
from mvit.evaluation.together import joined
from mvit.models.multi_exit import MultiExitViT

RANKS = (8, 16, 32)  # of the exits' change; that of the backbone is `delta.BACKBONE_RANK` times it
DOUBT = 3  # standard errors that chance explains
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
    full = measure(model)
    for rank in (keep,) if keep else RANKS:
        held = delta.changes(model, grown, rank)
        rounded = copy.deepcopy(grown).to(model.device)
        delta.add_all(rounded, held)
        found = measure(rounded)
        losses = _losses(model, full, found)
        if keep or max(losses.values()) <= MAY_LOSE:
            model.load_state_dict(rounded.state_dict())
            return {"rank": rank} | _told(losses, full=full, light=found), found, held
    return None


def round_for_storage(
    model: MultiExitViT,
    measure: Callable[[MultiExitViT], Predictions | Counts],
    *,
    light: bool = True,
) -> tuple[dict, Predictions | Counts]:
    """Round a model, in place, to what its bundle will hold, so that whatever is measured later is
    true of the files; return `storage` for `weights.save`, and what was measured of the rounded
    model.

    measure: predicts validation pictures with a model. 8 bits are taken where no exit loses more
    than its task allows (0.1 points of accuracy, 0.5 % of an MAE) against half precision. storage:
    {"bits", "pictures", "worst": {"layer", "head", "half", "light"}}, the exit that lost most.
    light: whether 8 bits are tried at all; layers that must stay as they are forbid it.
    """
    round_to(model, 16)
    half = measure(model)
    if not light:
        return {"bits": 16, "pictures": len(half.truth)}, half
    rounded = copy.deepcopy(model)
    round_to(rounded, 8)
    less = measure(rounded)
    losses = _losses(model, half, less)
    told = _told(losses, half=half, light=less)
    if max(losses.values()) > 1:
        return {"bits": 16} | told, half
    model.load_state_dict(rounded.state_dict())
    return {"bits": 8} | told, less


def round_heads(
    model: MultiExitViT, measure: Callable[[MultiExitViT], Predictions | Counts]
) -> tuple[dict, Predictions | Counts]:
    """Round the heads of a model, in place, each on its own terms; the backbone stays as it is,
    since a bundle holds it already. Otherwise like `round_for_storage`.

    A head gets 8 bits where its exits lose no more than they may on average, and none of them more
    than that by a difference that chance does not explain: three standard errors between the
    answers to the same pictures. storage: with {"head_bits": {head: bits}}.
    """
    round_to(model.heads, 16)
    half = measure(model)
    rounded = copy.deepcopy(model)
    round_to(rounded.heads, 8)
    less = measure(rounded)
    plain, sure = _losses(model, half, less), _losses(model, half, less, doubt=DOUBT)
    bits = {}
    for name in model.heads:
        own = model.exits(name)
        kept = np.mean([plain[e] for e in own]) <= 1 and max(sure[e] for e in own) <= 1
        bits[name] = 8 if kept else 16
        if kept:
            model.heads[name].load_state_dict(rounded.heads[name].state_dict())
    taken = [e for e in half.exits if bits.get(e[1]) == 8]
    found = joined(half, less.select([*taken, half.exits[-1]])) if taken else half
    return {"head_bits": bits} | _told(plain, half=half, light=less), found


def _losses(model: MultiExitViT, half, less, doubt: float = 0) -> dict[tuple[int, str], float]:
    """What each exit loses by lighter weights, as a share of what it may, less `doubt` standard
    errors of that difference."""
    before, after, of = half.quality, less.quality, model.task.loss_of_storing
    losses = {exit: of(before[exit], after[exit]) for exit in before}
    if doubt:
        for exit, one in zip(half.exits, _error(half, less).tolist(), strict=True):
            losses[exit] -= doubt * abs(of(before[exit], before[exit] + one))
    return losses


def _error(half: Predictions | Counts, less: Predictions | Counts) -> np.ndarray:
    """The standard error of each exit's difference between two answers to the same pictures."""
    if isinstance(half, Counts):
        changed = np.abs(less.errors) - np.abs(half.errors)
    else:
        changed = half.correct.astype(float) - less.correct
    return changed.std(axis=1) / np.sqrt(changed.shape[1])


def _told(losses: dict[tuple[int, str], float], **measured: Predictions | Counts) -> dict:
    """For the card: how many pictures were measured, and the exit that loses most, with how good it
    is in each of what was `measured`."""
    layer, head = worst = max(losses, key=losses.get)
    figures = {name: found.quality[worst] for name, found in measured.items()}
    pictures = len(next(iter(measured.values())).truth)
    return {"pictures": pictures, "worst": {"layer": layer, "head": head} | figures}
