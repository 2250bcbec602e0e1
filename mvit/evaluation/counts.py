"""Counts of every exit on crowd pictures, recorded once and read many times; and the errors
computed from them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file
from tqdm import tqdm

from mvit.bundles.whole import written_whole
from mvit.clock import NoClock
from mvit.data.crowds import Crowds
from mvit.evaluation.belonging import foreign
from mvit.evaluation.predictions import FILE, PredictionsError, practical
from mvit.models.multi_exit import FINAL, MultiExitViT

if TYPE_CHECKING:  # it takes half a second, and pages only read
    from accelerate import Accelerator

# people in a picture: from, and up to but not with
RANGES = ((0, 50), (50, 100), (100, 200), (200, 500), (500, None))
RESAMPLES = 2_000  # of the bootstrap


@dataclass(frozen=True)
class Totals:
    """Counts of whole pictures, as the stop rules replay them. exits: E pairs; count: (E, N) as
    counted; truth: (N,) who are there."""

    exits: list[tuple[int, str]]
    count: np.ndarray
    truth: np.ndarray

    def select(self, exits: Sequence[tuple[int, str]]) -> Totals:
        """The same pictures counted by the given exits only, in the given order."""
        rows = [self.exits.index(tuple(e)) for e in exits]
        return Totals([self.exits[r] for r in rows], self.count[rows], self.truth)


@dataclass
class Counts:
    """What E exits counted in N pictures. exits: E pairs (layer, head), the final exit last.

    tiles: (E, N, 6) people in each tile, as counted; truth: (N, 6) people who are there; names: N
    names `<set>/<picture>`.
    """

    exits: list[tuple[int, str]]
    tiles: np.ndarray
    truth: np.ndarray
    _: KW_ONLY
    names: list[str]

    @property
    def counted(self) -> np.ndarray:
        """(E, N) people in each picture, as counted."""
        return self.tiles.sum(axis=2)

    @property
    def there(self) -> np.ndarray:
        """(N,) people in each picture."""
        return self.truth.sum(axis=1)

    @property
    def errors(self) -> np.ndarray:
        """(E, N) counted minus there."""
        return self.counted - self.there

    @property
    def quality(self) -> dict[tuple[int, str], float]:
        """The mean absolute error of each exit, in people."""
        return dict(zip(self.exits, np.abs(self.errors).mean(1).tolist(), strict=True))

    @property
    def sets(self) -> dict[str, Counts]:
        """The same, apart for each set of pictures."""
        owner = np.array([n.split("/")[0] for n in self.names])
        return {
            str(s): self.pictures(np.flatnonzero(owner == s)) for s in dict.fromkeys(owner.tolist())
        }

    @property
    def totals(self) -> Totals:
        """What `mvit.policies.rules.replay` takes."""
        return Totals(self.exits, self.counted, self.there)

    def pictures(self, index: np.ndarray) -> Counts:
        """Some of the pictures."""
        return Counts(
            self.exits,
            self.tiles[:, index],
            self.truth[index],
            names=[self.names[i] for i in index],
        )

    def of_head(self, head: str) -> Counts:
        """One head's exits by layer, then the final exit."""
        return self.select([e for e in self.exits if e[1] in (head, FINAL)])

    def select(self, exits: Sequence[tuple[int, str]]) -> Counts:
        """The same pictures counted by the given exits only, in the given order."""
        rows = [self.exits.index(tuple(e)) for e in exits]
        return Counts([self.exits[r] for r in rows], self.tiles[rows], self.truth, names=self.names)


@torch.inference_mode()
def count(
    model: MultiExitViT, crowds: Crowds, accelerator: Accelerator, together: int = 2
) -> Counts:
    """Count every picture at every exit; the backbone runs once per picture, `together` pictures at
    a time."""
    model.eval()
    exits, tiles, found = model.plan(), crowds.tiles(), []
    for index in tqdm(
        torch.arange(len(tiles)).split(6 * together),
        desc="counting",
        unit="batch",
        mininterval=5,
        disable=None,
    ):
        x, _ = tiles.whole(index, model.task, accelerator.device)
        with accelerator.autocast():
            steps = [
                model.task.answers(step.logits)[:, 0]
                for step in model.steps(x.to(model.dtype), exits, NoClock())
            ]
        found.append(torch.stack(steps).float().cpu())
    return Counts(
        exits,
        torch.cat(found, 1).unflatten(1, (-1, 6)).numpy(),
        tiles.y.view(-1, 6).numpy(),
        names=crowds.names,
    )


def error(errors: np.ndarray) -> dict[str, float]:
    """MAE and RMSE of errors (N,), in people a picture (the usual names; the literature also calls
    the RMSE "MSE")."""
    return {"mae": float(np.abs(errors).mean()), "rmse": float(np.sqrt((errors**2).mean()))}


def by_range(errors: np.ndarray, there: np.ndarray, seed: int = 0) -> list[dict]:
    """MAE in each range of the true count with its 95 % bootstrap interval: [{range, n, mae, low,
    high}]; empty ranges are left out."""
    rng, rows = np.random.default_rng(seed), []
    for low, high in RANGES:
        own = np.abs(errors[(there >= low) & (there < (np.inf if high is None else high))])
        if not len(own):
            continue
        means = own[rng.integers(0, len(own), (RESAMPLES, len(own)))].mean(axis=1)
        name = f"{low}-{high}" if high else f">={low}"
        ends = np.percentile(means, (2.5, 97.5))
        rows.append(
            {
                "range": name,
                "n": len(own),
                "mae": float(own.mean()),
                "low": float(ends[0]),
                "high": float(ends[1]),
            }
        )
    return rows


def errors_of_exits(model: MultiExitViT, counts: Counts, ranges: bool = False) -> dict:
    """{"n", "final": {mae, rmse, macs}, "exits": [{layer, head, mae, rmse, macs, practical}]}; with
    `ranges` also the MAE in each range."""
    rows = []
    for (layer, head), errors in zip(counts.exits, counts.errors, strict=True):
        row = {"layer": layer, "head": head, **error(errors), "macs": model.exit_macs(layer, head)}
        rows.append(row | ({"ranges": by_range(errors, counts.there)} if ranges else {}))
    final = {k: v for k, v in rows.pop().items() if k not in ("layer", "head")}
    good = practical({(r["layer"], r["head"]): -r["mae"] for r in rows})
    return {
        "n": len(counts.names),
        "final": final,
        "exits": [r | {"practical": (r["layer"], r["head"]) in good} for r in rows],
    }


def summary(model: MultiExitViT, counts: Counts) -> dict:
    """The card's figures: all test pictures together, and under "splits" each set by itself with
    its ranges."""
    return errors_of_exits(model, counts) | {
        "splits": {
            name: errors_of_exits(model, own, ranges=True) for name, own in counts.sets.items()
        }
    }


def unusual(model: MultiExitViT, pictures: dict[str, np.ndarray]) -> list[dict]:
    """What every exit counts in pictures by name, RGB uint8 (H, W, 3): [{"picture", "counts":
    {"layer:head": people}}]."""
    rows = []
    for name, picture in pictures.items():
        exits = model.run(picture, model.plan())
        rows.append(
            {"picture": name, "counts": {f"{e.layer}:{e.head}": round(e.count, 2) for e in exits}}
        )
    return rows


def blank_counts(odd: list[dict]) -> dict[str, float]:
    """The most people that each exit counts in a picture that holds nobody and nothing, never below
    zero: {"layer:head": people}. odd: what `unusual` gave."""
    blank = [u["counts"] for u in odd if u["picture"].startswith(("blank", "noise"))]
    return {at: max(0.0, *(counts[at] for counts in blank)) for at in (blank or [{}])[0]}


def save_counts(folder: Path, splits: dict[str, Counts]) -> Path:
    """Write predictions.safetensors: `<split>.tiles` (E, N, 6) float16 and `<split>.truth` (N, 6);
    exits and names in the metadata."""
    tensors, about = {}, {}
    for split, c in splits.items():
        tensors |= {
            f"{split}.tiles": c.tiles.astype(np.float16),
            f"{split}.truth": c.truth.astype(np.float16),
        }
        about[split] = json.dumps({"exits": c.exits, "names": c.names})
    with written_whole(folder / FILE) as file:
        save_file(tensors, file, about)
    return folder / FILE


def load_counts(folder: Path) -> dict[str, Counts]:
    """Read what `save_counts` wrote: {"val": ..., "test": ...}; raises PredictionsError."""
    file = folder / FILE
    try:
        with safe_open(file, "np") as opened:
            found = {}
            for split, text in (opened.metadata() or {}).items():
                about = json.loads(text)
                exits: Sequence = [(int(layer), str(head)) for layer, head in about["exits"]]
                tiles, truth = (
                    opened.get_tensor(f"{split}.{part}").astype(np.float32)
                    for part in ("tiles", "truth")
                )
                if (
                    tiles.shape != (len(exits), len(about["names"]), 6)
                    or truth.shape != tiles.shape[1:]
                ):
                    raise ValueError(f"the shapes of '{split}' do not fit its exits and names")
                found[split] = Counts(list(exits), tiles, truth, names=list(about["names"]))
        test = found.get("test")
        if reason := test and foreign(folder, test.quality, len(test.names)):
            raise ValueError(reason)
        return found
    except (OSError, SafetensorError, KeyError, ValueError, TypeError) as problem:
        raise PredictionsError(
            f"recorded counts in {file.parent.name}/{FILE} are missing or damaged ({problem})"
        ) from problem
