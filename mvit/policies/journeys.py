"""Single pictures on their way through the exits: what thinking longer spoiled and mended."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from mvit.evaluation.predictions import Predictions
from mvit.policies.outcomes import exit_names, settled_layer


def journeys(predictions: Predictions, labels: Sequence[str], n: int = 5) -> pd.DataFrame:
    """Examples of thinking too long and of thinking long enough, `n` of each at most: kind,
    picture, truth, answers, right_layers.

    overthought: right at some exits and wrong at the end, those that were right at the most exits
    first. mended: wrong until late and right at the end, the latest first. picture: its number in
    the split as it was read (class by class), from 0. answers: what the exits said, as `cat 1-4,
    dog 5-final`. right_layers: how many exits before the end were right.
    """
    correct, names = predictions.correct, exit_names(predictions.exits)
    early, end = correct[:-1].sum(axis=0), correct[-1]
    wanted = {
        "overthought": np.where(~end, early, -1),
        "mended": np.where(end & ~correct[:-1].all(axis=0), settled_layer(predictions), -1),
    }
    rows = []
    for kind, worth in wanted.items():
        for picture in np.argsort(-worth, kind="stable")[:n]:
            if worth[picture] > 0:
                said = _runs([labels[t] for t in predictions.top1[:, picture]], names)
                rows.append(
                    (
                        kind,
                        int(picture),
                        labels[predictions.truth[picture]],
                        said,
                        int(early[picture]),
                    )
                )
    return pd.DataFrame(rows, columns=["kind", "picture", "truth", "answers", "right_layers"])


def _runs(answers: Sequence[str], names: Sequence[str]) -> str:
    """Answers in a row, equal neighbours together: `cat 1-4, dog 5-final`."""
    parts, start = [], 0
    for i in range(1, len(answers) + 1):
        if i == len(answers) or answers[i] != answers[start]:
            parts.append(
                f"{answers[start]} {names[start]}" + (f"-{names[i - 1]}" if i - 1 > start else "")
            )
            start = i
    return ", ".join(parts)
