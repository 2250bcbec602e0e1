""" "I do not know this": whether a picture is unlike anything that a classifier was taught.

A classifier chooses one of its classes whatever the picture shows, and can be sure of it too. How
strongly its exits respond at all tells more: for known things one logit at least is large. A check
is a score of the exits' logits and the threshold below which a picture counts as unknown, chosen on
validation pictures so that a fixed share of known ones is warned about wrongly.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from mvit.clock import NoClock
from mvit.data.labelled import Pictures
from mvit.data.splits import sample
from mvit.evaluation.predictions import failure_auroc
from mvit.models.multi_exit import Logits, MultiExitViT

WARNED = 0.05  # of known pictures, wrongly
ENOUGH = 1000  # known pictures to choose and to measure a threshold on


def largest_logit(logits: torch.Tensor) -> torch.Tensor:
    """The final exit's largest logit (Hendrycks et al., 2022): (E, B, out) -> (B,)."""
    return logits[-1].amax(-1)


def energy(logits: torch.Tensor) -> torch.Tensor:
    """The negative energy log sum exp (Liu et al., 2020), averaged over the exits: (E, B, out) ->
    (B,)."""
    return logits.logsumexp(-1).mean(0)


def agreement(logits: torch.Tensor) -> torch.Tensor:
    """The probability that the exits give to the final exit's answer on average: (E, B, out) ->
    (B,)."""
    said = logits[-1].argmax(-1)
    return logits.softmax(-1).mean(0).gather(-1, said[:, None])[:, 0]


METHODS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "largest logit": largest_logit,
    "energy": energy,
    "agreement": agreement,
}
METHOD = "energy"  # told most apart in all the lab's bundles, see docs/results.md


@dataclass(frozen=True, kw_only=True)
class Check:
    """method: one of METHODS, higher for what is known; exits: (layer, head) that it reads, the
    final exit last; threshold: of the score, below which a picture is unlike anything known."""

    method: str
    exits: tuple[tuple[int, str], ...]
    threshold: float

    @classmethod
    def of(cls, card: dict, model: MultiExitViT) -> Check | None:
        """The check that a card records; None if it records none, a damaged one, or one that reads
        an exit which the model lacks."""
        try:
            told = card["unlike"]
            exits = tuple((layer, head) for layer, head in told["exits"])
            known = told["method"] in METHODS and exits and {*exits} <= {*model.plan()}
            threshold = float(told["threshold"])
        except (KeyError, TypeError, ValueError):
            return None
        if not known or np.isnan(threshold):
            return None
        return cls(method=told["method"], exits=exits, threshold=threshold)

    @torch.inference_mode()
    def scores(self, model: MultiExitViT, x: torch.Tensor) -> torch.Tensor:
        """The score of each picture of a batch x (B, 3, S, S), as the model sees it: (B,)."""
        steps = model.steps(x.to(model.dtype), list(self.exits), NoClock())
        return self._read({(step.layer, step.head): step.logits for step in steps})

    def _read(self, logits: Logits) -> torch.Tensor:
        return METHODS[self.method](torch.stack([logits[e] for e in self.exits]).float())

    def over(self, model: MultiExitViT, pictures: Pictures, batch: int = 32) -> np.ndarray:
        """The scores of many pictures: (N,)."""
        parts = [torch.zeros(0)]
        model.eval()
        for index in torch.arange(len(pictures)).split(batch):
            x, _ = pictures.whole(index, model.task, model.device)
            parts.append(self.scores(model, x).cpu())
        return torch.cat(parts).numpy()

    def unlike(self, logits: Logits) -> bool:
        """Whether a picture is unlike what the model knows, by the logits of a run that had all
        exits of the check."""
        return self._read(logits).item() < self.threshold


def late_exits(model: MultiExitViT) -> tuple[tuple[int, str], ...]:
    """The exits that a check reads: those of the cheapest head after the last quarter of the layers
    (a dearer one tells no more apart), and the final exit."""
    cost = {head: model.head_macs(*model.exits(head)[-1]) for head in model.heads}
    late = [e for e in model.exits(min(cost, key=cost.get)) if 4 * e[0] > 3 * model.depth]
    return (*late, model.final_exit)


def fewest(wrongly: float) -> int:
    """Of how many pictures this share is one, the fewest that a threshold can be chosen on: 50 for
    2 %. Raises ValueError for none."""
    if wrongly < 1e-9:
        raise ValueError("no number of pictures can show that a warning is never wrong")
    return math.ceil(round(1 / wrongly, 6))


def chosen(model: MultiExitViT, val: Pictures, wrongly: float = WARNED) -> dict:
    """A check as a card holds it, its threshold chosen so that this share of validation pictures is
    warned about. Raises ValueError if they are fewer than `fewest`."""
    if len(val) < fewest(wrongly):
        raise ValueError(
            f"a warning that is wrong of a share of {wrongly:.3g}, one known picture in "
            f"{fewest(wrongly):,}, needs at least so many validation pictures to be chosen on; "
            f"there are {len(val)}"
        )
    val = sample(val, ENOUGH)
    check = Check(method=METHOD, exits=late_exits(model), threshold=-np.inf)
    return {
        "method": METHOD,
        "exits": check.exits,
        "threshold": float(np.quantile(check.over(model, val), wrongly)),
        "wrongly": wrongly,
        "chosen_on": len(val),
    }


def measure(
    check: Check, model: MultiExitViT, known: dict[str, Pictures], others: dict[str, Pictures]
) -> dict:
    """How often a check warns about named pictures of known and of other things; see `figures`."""
    scores = [{n: check.over(model, p) for n, p in sets.items()} for sets in (known, others)]
    return figures(check.threshold, *scores)


def learn(model: MultiExitViT, val: Pictures, test: Pictures) -> dict:
    """What a card says after a training: under "unlike" a check chosen on validation pictures and
    how often it warns about test pictures, which it knows; nothing if either are too few."""
    if min(len(val), len(test)) < fewest(WARNED):
        return {}
    told = chosen(model, val)
    known = {"test pictures": sample(test, ENOUGH)}
    check = Check.of({"unlike": told}, model)
    return {"unlike": told | measure(check, model, known, others={})}


def figures(threshold: float, known: dict[str, np.ndarray], others: dict[str, np.ndarray]) -> dict:
    """How often a check warns, of named sets of scores (N,): {"known": [{"name", "n", "warned"}],
    "others": [{"name", "n", "warned", "auroc"}]}.

    warned: the share of pictures below the threshold. auroc: the chance that a picture of the
    first known set scores higher than one of the other set.
    """

    def row(name: str, scores: np.ndarray) -> dict:
        return {"name": name, "n": len(scores), "warned": float((scores < threshold).mean())}

    first = next(iter(known.values()))
    return {
        "known": [row(*item) for item in known.items()],
        "others": [
            row(name, scores)
            | {
                "auroc": failure_auroc(
                    np.concatenate([first, scores]),
                    np.arange(len(first) + len(scores)) < len(first),
                )
            }
            for name, scores in others.items()
        ],
    }
