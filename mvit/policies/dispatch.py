"""A stop rule as an engineer would judge it: what each exit dispatches, the slow answers, batches,
what it costs the single classes, and which smaller network would do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from mvit.evaluation.predictions import Predictions, wilson
from mvit.policies.outcomes import exit_names, finish_times, prediction_depth, settled_layer

SIZES = (1, 4, 16, 64)


def dispatch(
    taken: np.ndarray,
    seen: Predictions,
    final: np.ndarray,
    *,
    macs: Sequence[float],
    ms: Sequence[float],
) -> pd.DataFrame:
    """One row an exit: exit (its name), layer, head, pictures and share that leave there; of these,
    accuracy with its 95 % interval (low, high) and agreement with the final exit; macs and ms of
    leaving there. NaN where nobody leaves.

    taken: (N,) the exit each picture leaves at; seen: the answers given there; final: (N,) the
    final exit's own.
    """
    exits, every = len(seen.exits), np.arange(len(taken))
    answers = seen.top1[taken, every]
    pictures = np.bincount(taken, minlength=exits)
    left = np.where(pictures, pictures, np.nan)
    right = np.bincount(taken, answers == seen.truth, minlength=exits)
    low, high = wilson(right, left)
    rows = pd.DataFrame(seen.exits, columns=["layer", "head"]).assign(
        pictures=pictures,
        share=pictures / len(taken),
        accuracy=right / left,
        low=low,
        high=high,
        agreement=np.bincount(taken, answers == final, minlength=exits) / left,
        macs=macs,
        ms=ms,
    )
    rows.insert(0, "exit", exit_names(seen.exits))
    return rows


def waits(ways: Mapping[str, np.ndarray]) -> pd.DataFrame:
    """How long an answer takes, one row a way: way, mean, p50, p95, p99 (ms). ways: name -> single
    times, of any number."""
    rows = [
        (name, float(np.mean(ms)), *np.percentile(ms, (50, 95, 99)).tolist())
        for name, ms in ways.items()
    ]
    return pd.DataFrame(rows, columns=["way", "mean", "p50", "p95", "p99"])


def times_taken(
    taken: np.ndarray, plan: Sequence[tuple[int, str]], runs: Sequence[pd.DataFrame]
) -> np.ndarray:
    """The times of a rule: every picture's exit in every one of R measured runs (tables as
    `finish_times` takes them), (R x N,)."""
    finishes = np.array([finish_times(run, plan) for run in runs])  # (R, E)
    return finishes[:, taken].ravel()


def batches(
    taken: np.ndarray, macs: Sequence[float], full: float, sizes: Sequence[int] = SIZES
) -> pd.DataFrame:
    """What a rule saves of the plain network's MACs when pictures are run together, one row a size:
    pictures, waiting (each batch goes on until its last picture leaves), taken_out (pictures are
    taken out as they leave).

    Batches are drawn at random: all of B pictures have left by an exit with the B-th power of the
    share that has.
    """
    share = np.bincount(taken, minlength=len(macs)) / len(taken)
    by_then = np.cumsum(share)
    rows = []
    for size in sizes:
        last = np.diff(by_then**size, prepend=0.0)  # chance that the slowest leaves here
        rows.append((size, 1 - last @ np.asarray(macs) / full, 1 - share @ np.asarray(macs) / full))
    return pd.DataFrame(rows, columns=["pictures", "waiting", "taken_out"])


def smaller(
    known: Mapping[tuple[int, str], float], macs: Mapping[tuple[int, str], float], most: float
) -> tuple[int, str] | None:
    """The best network cut off after one exit, with no other exit, that costs at most `most` MACs;
    None if none does. known: accuracy of each exit on validation."""
    affordable = [e for e in known if macs[e] <= most]
    return max(affordable, key=known.get, default=None)


def every_picture(
    taken: np.ndarray, seen: Predictions, whole: Predictions, labels: Sequence[str]
) -> pd.DataFrame:
    """One row a picture: picture (its number in the split, from 0), truth, answer, right, exit it
    leaves at, prediction_depth (Baldock et al., 2021), right_from (the first layer from which every
    exit is right; empty if the end is wrong), overthought (right at some earlier exit, wrong at the
    end). whole: all exits of the head."""
    answers = seen.top1[taken, np.arange(len(taken))]
    names, correct = np.array(exit_names(seen.exits)), whole.correct
    settled = pd.Series(settled_layer(whole)).astype("Int64")
    return pd.DataFrame(
        {
            "picture": np.arange(len(taken)),
            "truth": np.asarray(labels)[whole.truth],
            "answer": np.asarray(labels)[answers],
            "right": answers == whole.truth,
            "exit": names[taken],
            "prediction_depth": prediction_depth(whole),
            "right_from": settled.mask(~correct[-1]),
            "overthought": correct[:-1].any(axis=0) & ~correct[-1],
        }
    )


def depths(predictions: Predictions) -> pd.DataFrame:
    """How prediction depth is spread, one row a layer: layer, share of all pictures, right and
    wrong (at the end, of all pictures)."""
    depth, right = prediction_depth(predictions), predictions.correct[-1]
    layers = np.array(sorted({layer for layer, _ in predictions.exits}))
    at, n = np.searchsorted(layers, depth), len(depth)
    share = np.bincount(at, minlength=len(layers)) / n
    good = np.bincount(at, right, minlength=len(layers)) / n
    return pd.DataFrame({"layer": layers, "share": share, "right": good, "wrong": share - good})
