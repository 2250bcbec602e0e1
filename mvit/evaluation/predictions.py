"""Predictions of every exit on a test set, recorded once and read many times; and the metrics
computed from them."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file
from tqdm import tqdm

from mvit.bundles.whole import written_whole
from mvit.clock import NoClock
from mvit.data.labelled import Pictures
from mvit.evaluation.belonging import foreign
from mvit.models.multi_exit import FINAL, MultiExitViT

if TYPE_CHECKING:  # it takes half a second, and pages only read
    from accelerate import Accelerator

FILE = "predictions.safetensors"
FIELDS = ("top1", "confidence", "entropy", "margin")


class PredictionsError(ValueError):
    """Recorded predictions that are missing or damaged; the message names the file."""


@dataclass
class Predictions:
    """What E exits said about N pictures. exits: E pairs (layer, head), the final exit last.

    top1: (E, N) class indices. confidence, entropy (nats), margin: (E, N). truth: (N,) class
    indices.
    """

    exits: list[tuple[int, str]]
    top1: np.ndarray
    confidence: np.ndarray
    _: KW_ONLY
    entropy: np.ndarray
    margin: np.ndarray
    truth: np.ndarray

    @property
    def correct(self) -> np.ndarray:
        """(E, N) bool."""
        return self.top1 == self.truth

    @property
    def accuracy(self) -> np.ndarray:
        """(E,) share of pictures that each exit gets right."""
        return self.correct.mean(axis=1)

    @property
    def quality(self) -> dict[tuple[int, str], float]:
        """The accuracy of each exit."""
        return dict(zip(self.exits, self.accuracy.tolist(), strict=True))

    def select(self, exits: Sequence[tuple[int, str]]) -> Predictions:
        """The same pictures seen by the given exits only, in the given order."""
        rows = [self.exits.index(tuple(e)) for e in exits]
        columns = {field: getattr(self, field)[rows] for field in FIELDS}
        return replace(self, exits=[self.exits[r] for r in rows], **columns)

    def pictures(self, which: slice | np.ndarray) -> Predictions:
        """Some of the pictures, seen by all exits."""
        columns = {field: getattr(self, field)[:, which] for field in FIELDS}
        return replace(self, truth=self.truth[which], **columns)

    def of_head(self, head: str) -> Predictions:
        """One head's exits by layer, then the final exit."""
        return self.select([e for e in self.exits if e[1] == head] + [self.exits[-1]])


@torch.inference_mode()
def predict(
    model: MultiExitViT,
    pictures: Pictures,
    accelerator: Accelerator,
    batch: int = 64,
    show: bool = True,
) -> Predictions:
    """Score every exit on all pictures; the backbone runs once per picture. Spread over
    accelerate's processes, if several."""
    model.eval()
    exits = model.plan()
    mine = torch.arange(len(pictures))[accelerator.process_index :: accelerator.num_processes]
    # a process may have no pictures
    parts: list[torch.Tensor] = [torch.zeros(4, len(exits), 0)]
    bar = tqdm(
        mine.split(batch) if len(mine) else (),
        desc="scoring",
        unit="batch",
        mininterval=5,
        disable=None if show and accelerator.is_main_process else True,
    )
    for index in bar:
        x, _ = pictures.whole(index, model.task, accelerator.device)
        with accelerator.autocast():
            logits = [step.logits for step in model.steps(x.to(model.dtype), exits, NoClock())]
        parts.append(_readout(torch.stack(logits).float()).cpu())
    found = torch.cat(parts, dim=2)  # (4, E, n of this process)
    if accelerator.num_processes > 1:
        found = _gather(found, len(pictures), accelerator)
    top1, confidence, entropy, margin = found.numpy()
    return Predictions(
        exits,
        top1.astype(np.int64),
        confidence,
        entropy=entropy,
        margin=margin,
        truth=pictures.y.numpy(),
    )


def _readout(logits: torch.Tensor) -> torch.Tensor:
    """logits: (E, B, out) -> (4, E, B): top-1, confidence, entropy, margin."""
    log_p = logits.log_softmax(-1)
    p, top = log_p.exp(), logits.softmax(-1).topk(2, dim=-1)
    return torch.stack(
        [
            top.indices[..., 0].float(),
            top.values[..., 0],
            -(p * log_p).sum(-1),
            top.values[..., 0] - top.values[..., 1],
        ]
    )


def _gather(found: torch.Tensor, n: int, accelerator: Accelerator) -> torch.Tensor:
    """Join the processes' interleaved parts (4, E, n_i) to (4, E, n) in the pictures' order."""
    most = -(-n // accelerator.num_processes)
    padded = torch.nn.functional.pad(found, (0, most - found.shape[2])).to(accelerator.device)
    joined = accelerator.gather(padded[None]).cpu()  # (processes, 4, E, most)
    return joined.permute(1, 2, 3, 0).flatten(2)[..., :n]


def practical(
    quality: dict[tuple[int, str], float], guessing: float = -np.inf
) -> set[tuple[int, str]]:
    """The exits that are better than every earlier exit of the same head (paper, section IV), and
    than guessing. quality: the higher the better."""
    best: dict[str, float] = {}
    found = set()
    for (layer, head), value in sorted(quality.items()):
        if value > best.get(head, guessing):
            best[head] = value
            found.add((layer, head))
    return found


def summary(model: MultiExitViT, predictions: Predictions) -> dict:
    """The card's figures: {"n", "final": {accuracy, macs}, "exits": [{layer, head, accuracy, macs,
    practical}]}."""
    accuracy = predictions.quality
    final = accuracy.pop((model.depth, FINAL))
    good = practical(accuracy, 1 / model.task.outputs)
    rows = [
        {
            "layer": b,
            "head": h,
            "accuracy": a,
            "macs": model.exit_macs(b, h),
            "practical": (b, h) in good,
        }
        for (b, h), a in accuracy.items()
    ]
    return {
        "n": len(predictions.truth),
        "final": {"accuracy": final, "macs": model.exit_macs(model.depth, FINAL)},
        "exits": rows,
    }


def calibration_error(confidence: np.ndarray, correct: np.ndarray, bins: int = 15) -> float:
    """Expected calibration error (Guo et al., 2017): confidence, correct: (N,) -> mean |accuracy -
    confidence| over equal-width bins."""
    which = np.minimum((confidence * bins).astype(int), bins - 1)
    gaps = np.bincount(which, correct - confidence, bins)
    return float(np.abs(gaps).sum() / len(confidence))


def failure_auroc(confidence: np.ndarray, correct: np.ndarray) -> float:
    """Chance that a right answer is more confident than a wrong one (area under the ROC curve); NaN
    if all are right or all wrong."""
    order = np.argsort(confidence, kind="stable")
    values, inverse, counts = np.unique(confidence[order], return_inverse=True, return_counts=True)
    ranks = np.empty(len(confidence))
    ranks[order] = (np.cumsum(counts) - (counts - 1) / 2)[inverse]  # ties share their mean rank
    right, wrong = int(correct.sum()), int((~correct).sum())
    if not right or not wrong:
        return float("nan")
    return float((ranks[correct].sum() - right * (right + 1) / 2) / (right * wrong))


def wilson(right, n, z: float = 1.96) -> tuple[np.ndarray, np.ndarray]:
    """Wilson's interval of a share: between which two shares the true one lies with 95 %
    certainty, if `right` of `n` were. Numbers or arrays; n of at least 1."""
    share = np.asarray(right) / n
    middle = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    return np.maximum(middle - half, 0.0), np.minimum(middle + half, 1.0)


def overthinking(predictions: Predictions) -> float:
    """Share of pictures that some exit gets right and the final exit wrong (Kaya et al., 2019)."""
    return float((predictions.correct[:-1].any(axis=0) & ~predictions.correct[-1]).mean())


def save_predictions(folder: Path, splits: dict[str, Predictions]) -> Path:
    """Write predictions.safetensors: tensors `<split>.<field>`, of float16 and uint8, all but the
    truth deflated (see `_deflated`), and the exits' names in the metadata."""
    tensors, names = {}, {}
    for split, p in splits.items():
        held = {"top1": p.top1.astype(np.uint8 if p.top1.max() < 256 else np.uint16)}
        held |= {f: getattr(p, f).astype(np.float16) for f in FIELDS[1:]}
        tensors |= {f"{split}.{f}": _deflated(values) for f, values in held.items()}
        tensors[f"{split}.truth"] = p.truth.astype(np.uint16)
        names[split] = ",".join(f"{layer}:{head}" for layer, head in p.exits)
    with written_whole(folder / FILE) as file:
        save_file(tensors, file, names)
    return folder / FILE


def _deflated(values: np.ndarray) -> np.ndarray:
    """Values as the bytes of one zlib stream: all first bytes, then all second ones, since those
    that are much alike pack best side by side."""
    planes = values.reshape(-1, 1).view(np.uint8).T
    return np.frombuffer(zlib.compress(planes.tobytes(), 9), np.uint8)


def _inflated(held: np.ndarray, shape: tuple[int, int], whole: bool) -> np.ndarray:
    """What `_deflated` was given; older files hold the values themselves. whole: numbers, of one
    byte or two. Raises ValueError for another number of them than the shape's."""
    if held.ndim == 2:
        return held
    size = shape[0] * shape[1]
    data = zlib.decompressobj().decompress(held.tobytes(), 2 * size + 1)
    bytes_each = len(data) // size if size else 2
    kind = np.float16 if not whole else np.uint8 if bytes_each == 1 else np.uint16
    planes = np.frombuffer(data, np.uint8).reshape(np.dtype(kind).itemsize, size)
    return np.ascontiguousarray(planes.T).view(kind).reshape(shape)


def load_predictions(folder: Path, belonging: bool = True) -> dict[str, Predictions]:
    """Read what `save_predictions` wrote: {"val": ..., "test": ...}; raises PredictionsError.

    belonging: whether they must be those that the bundle's card tells of; a training that was cut
    off while it replaced them reads them as they are.
    """
    file = folder / FILE
    try:
        from safetensors import safe_open

        tensors = load_file(file)
        with safe_open(file, "np") as opened:
            names = opened.metadata() or {}
        found = {}
        for split, text in names.items():
            exits = [(int(e.split(":")[0]), e.split(":")[1]) for e in text.split(",")]
            truth = tensors[f"{split}.truth"].astype(np.int64)
            held = {
                f: _inflated(tensors[f"{split}.{f}"], (len(exits), len(truth)), whole=f == "top1")
                for f in FIELDS
            }
            floats = {f: held[f].astype(np.float32) for f in FIELDS[1:]}
            top1 = held["top1"].astype(np.int64)
            found[split] = Predictions(exits=exits, top1=top1, truth=truth, **floats)
        test = found.get("test") if belonging else None
        if reason := test and foreign(folder, test.quality, len(test.truth)):
            raise ValueError(reason)
        return found
    except (OSError, SafetensorError, KeyError, ValueError, IndexError, zlib.error) as error:
        raise PredictionsError(
            f"recorded predictions in {file.parent.name}/{FILE} are missing or damaged ({error})"
        ) from error
