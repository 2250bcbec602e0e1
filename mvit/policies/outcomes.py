"""What a stop rule does to a recorded test set: accuracy against cost, who leaves where, and how
far confidence can be trusted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from mvit.evaluation.predictions import Predictions, calibration_error, failure_auroc, wilson
from mvit.policies.policy import Policy
from mvit.policies.replay import replayed, scores


def finish_times(trace: pd.DataFrame, plan: Sequence[tuple[int, str]]) -> np.ndarray:
    """Milliseconds after which each exit of a plan has answered, all earlier heads of the plan
    included: (E,).

    trace: layer, head, ms (backbone up to there and that head alone) and head_ms, as
    `MultiExitViT.trace` gives them. The backbone's share is made to grow along the plan, since on a
    busy machine a measured one need not. Raises KeyError for an exit not in the trace.
    """
    at = {e: row for row, e in enumerate(zip(trace["layer"], trace["head"], strict=True))}
    rows = [at[tuple(e)] for e in plan]
    ms, own = (trace[name].to_numpy(float)[rows] for name in ("ms", "head_ms"))
    return np.maximum.accumulate(ms - own) + np.cumsum(own)


def tradeoff(
    rule: Policy,
    predictions: Predictions,
    macs: Sequence[float],
    ms: Sequence[float],
    thresholds: Sequence[float] | None = None,
) -> pd.DataFrame:
    """A rule at every threshold worth trying, or at those given: threshold, accuracy (mae for
    counts), macs, ms (means over all pictures), early (share before the end)."""
    tried = rule.candidates(predictions) if thresholds is None else np.asarray(thresholds, float)
    taken, seen = replayed(rule.at(tried[:, None]), predictions)
    by_macs, by_ms = scores(taken, seen, macs), scores(taken, seen, ms)
    early = (taken < len(predictions.exits) - 1).mean(axis=1)
    rows = [
        (t, m.value, m.macs, s.macs, e)
        for t, m, s, e in zip(tried.tolist(), by_macs, by_ms, early.tolist(), strict=True)
    ]
    worth = "mae" if rule.counts else "accuracy"
    return pd.DataFrame(rows, columns=["threshold", worth, "macs", "ms", "early"])


@dataclass(frozen=True, kw_only=True)
class Operating:
    """A rule at one threshold. taken: (N,) index of the exit each picture leaves at; seen: the
    answers that the rule gives there; accuracy, macs, ms: means; early: share."""

    threshold: float
    taken: np.ndarray
    seen: Predictions
    accuracy: float
    macs: float
    ms: float
    early: float


def operate(
    rule: Policy, predictions: Predictions, macs: Sequence[float], ms: Sequence[float]
) -> Operating:
    """Replay a rule at its threshold."""
    taken, seen = replayed(rule, predictions)
    return Operating(
        threshold=rule.threshold,
        taken=taken,
        seen=seen,
        accuracy=float(_taken(seen.correct, taken).mean()),
        macs=float(np.asarray(macs)[taken].mean()),
        ms=float(np.asarray(ms)[taken].mean()),
        early=float((taken < len(predictions.exits) - 1).mean()),
    )


def _taken(values: np.ndarray, taken: np.ndarray) -> np.ndarray:
    """values: (E, N) -> (N,), each picture's value at the exit it leaves at."""
    return np.take_along_axis(values, taken[None].astype(np.int64), axis=0)[0]


def loss(here: Operating, predictions: Predictions) -> tuple[float, float]:
    """The share of right answers that a rule loses against the final exit on pictures, and how far
    that may be off by chance, with 95 % certainty; where no answer changed, by the rule of
    three."""
    lost = predictions.correct[-1] - _taken(here.seen.correct, here.taken).astype(float)
    return float(lost.mean()), max(1.96 * float(lost.std()) / len(lost) ** 0.5, 3 / len(lost))


def leaving(taken: np.ndarray, predictions: Predictions) -> pd.DataFrame:
    """Who leaves where, one row an exit: exit (its name), layer, head, share of all pictures, right
    and wrong (shares of all pictures)."""
    n, exits = len(taken), len(predictions.exits)
    share = np.bincount(taken, minlength=exits) / n
    right = np.bincount(taken, _taken(predictions.correct, taken), minlength=exits) / n
    rows = pd.DataFrame(predictions.exits, columns=["layer", "head"]).assign(
        share=share, right=right, wrong=share - right
    )
    rows.insert(0, "exit", exit_names(predictions.exits))
    return rows


def exit_names(exits: Sequence[tuple[int, str]]) -> list[str]:
    """`1` ... `12` and `final`, for an axis or a menu."""
    return [head if head == "final" else str(layer) for layer, head in exits]


def settled_layer(predictions: Predictions) -> np.ndarray:
    """How hard each picture is: the first layer from which every exit is right to the end; depth +
    1 if the end is wrong. (N,)"""
    # (E, N): right here and ever after
    right_on = np.logical_and.accumulate(predictions.correct[::-1], axis=0)[::-1]
    layers = np.array([layer for layer, _ in predictions.exits])
    return np.where(right_on.any(axis=0), layers[right_on.argmax(axis=0)], layers[-1] + 1)


def prediction_depth(predictions: Predictions) -> np.ndarray:
    """The first layer from which every exit gives the answer that the last one gives, right or
    wrong: (N,) (Baldock et al., 2021; their probes are the exits here)."""
    same = predictions.top1 == predictions.top1[-1]
    settled = np.logical_and.accumulate(same[::-1], axis=0)[::-1]
    return np.array([layer for layer, _ in predictions.exits])[settled.argmax(axis=0)]


def by_class(
    taken: np.ndarray,
    predictions: Predictions,
    labels: Sequence[str],
    macs: Sequence[float],
    *,
    settled: np.ndarray | None = None,
    final: np.ndarray | None = None,
) -> pd.DataFrame:
    """One row a class, easiest first: label, pictures, settled (mean layer), left (mean layer left
    at), accuracy of the rule with its 95 % interval (low, high), final (that of the final exit),
    lost (the difference, negative where the rule is better), macs.

    settled: (N,) `settled_layer` of all exits of the head, where `predictions` holds only the few
    that a rule runs. final: (N,) whether the final exit is right, where `predictions` holds other
    answers.
    """
    layers = np.array([layer for layer, _ in predictions.exits])
    settled = settled_layer(predictions) if settled is None else settled
    table = pd.DataFrame(
        {
            "truth": predictions.truth,
            "settled": settled,
            "left": layers[taken],
            "accuracy": _taken(predictions.correct, taken),
            "final": predictions.correct[-1] if final is None else final,
            "macs": np.asarray(macs)[taken],
        }
    )
    rows = (
        table.groupby("truth")
        .agg(
            pictures=("left", "size"),
            settled=("settled", "mean"),
            left=("left", "mean"),
            accuracy=("accuracy", "mean"),
            final=("final", "mean"),
            macs=("macs", "mean"),
        )
        .reset_index()
    )
    low, high = wilson(rows.accuracy * rows.pictures, rows.pictures)
    rows = rows.assign(low=low, high=high, lost=rows.final - rows.accuracy)
    rows.insert(0, "label", [labels[t] for t in rows.pop("truth")])
    return rows.sort_values("settled", ignore_index=True)


def easy_and_hard(
    taken: np.ndarray,
    predictions: Predictions,
    macs: Sequence[float],
    settled: np.ndarray | None = None,
) -> pd.DataFrame:
    """Pictures by how early the network settles on the right answer: share, the rule's accuracy,
    its mean MACs, final confidence.

    easy: right for good from the first third of the layers on; middling: from the second; hard:
    only from the last.
    """
    depth, settled = (
        predictions.exits[-1][0],
        settled_layer(predictions) if settled is None else settled,
    )
    edges = [0, depth // 3, 2 * depth // 3, depth, depth + 1]
    names = ["easy", "middling", "hard", "wrong at the end"]
    right, spent = _taken(predictions.correct, taken), np.asarray(macs)[taken]
    rows = []
    for name, low, high in zip(names, edges[:-1], edges[1:], strict=True):
        here = (settled > low) & (settled <= high)
        mean = (
            (lambda v, here=here: float(v[here].mean())) if here.any() else (lambda v: float("nan"))
        )
        rows.append(
            (
                name,
                float(here.mean()),
                mean(right),
                mean(spent),
                mean(predictions.confidence[0]),
                mean(predictions.confidence[-1]),
            )
        )
    return pd.DataFrame(
        rows, columns=["group", "share", "accuracy", "macs", "first_confidence", "final_confidence"]
    )


def reliability(confidence: np.ndarray, correct: np.ndarray, bins: int = 10) -> pd.DataFrame:
    """A reliability diagram's bars: low, high, confidence (mean), accuracy, pictures; empty bins
    left out (Guo et al., 2017)."""
    which = np.minimum((confidence * bins).astype(int), bins - 1)
    count = np.bincount(which, minlength=bins)
    kept = np.flatnonzero(count)
    mean = [np.bincount(which, v, bins)[kept] / count[kept] for v in (confidence, correct)]
    return pd.DataFrame(
        {
            "low": kept / bins,
            "high": (kept + 1) / bins,
            "confidence": mean[0],
            "accuracy": mean[1],
            "pictures": count[kept],
        }
    )


def given(predictions: Predictions, taken: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Confidence and correctness (N,) of the answers that a rule gives."""
    return _taken(predictions.confidence, taken), _taken(predictions.correct, taken)


def quality(predictions: Predictions) -> pd.DataFrame:
    """One row an exit: accuracy, ece, auroc (does confidence tell right from wrong), agreement with
    the final exit, overthought (right here, wrong at the end) and mended (wrong here, right at the
    end), as shares of all pictures."""
    correct, final, top1 = predictions.correct, predictions.correct[-1], predictions.top1
    names, each = (
        exit_names(predictions.exits),
        zip(predictions.exits, correct, predictions.confidence, top1 == top1[-1], strict=True),
    )
    rows = [
        {
            "exit": name,
            "layer": layer,
            "head": head,
            "accuracy": float(right.mean()),
            "ece": calibration_error(sure, right),
            "auroc": failure_auroc(sure, right),
            "agreement": float(same.mean()),
            "overthought": float((right & ~final).mean()),
            "mended": float((~right & final).mean()),
        }
        for name, ((layer, head), right, sure, same) in zip(names, each, strict=True)
    ]
    return pd.DataFrame(rows)
