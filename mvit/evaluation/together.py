"""Recorded predictions of several models, or of several heads of one, brought together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from mvit.data.splits import sampled
from mvit.evaluation.counts import Counts
from mvit.evaluation.predictions import FIELDS, Predictions


def in_common(parts: Sequence[Predictions], seeds: Sequence[int]) -> list[Predictions]:
    """The recorded test pictures that models have in common, where some were measured on all and
    others on a seeded sample of them (`train --test-limit`). seeds: of each model's training.

    Raises ValueError if a sample's true answers are not those of the pictures that it would be.
    """
    least = min(range(len(parts)), key=lambda i: len(parts[i].truth))
    few, found = parts[least].truth, []
    for part in parts:
        if len(part.truth) > len(few):
            part = part.pictures(sampled(len(part.truth), len(few), seeds[least]).numpy())
        if not np.array_equal(part.truth, few):
            raise ValueError("the models were not measured on pictures in common")
        found.append(part)
    return found


def joined(old: Predictions | Counts, new: Predictions | Counts) -> Predictions | Counts:
    """Both recordings of the same pictures in one, by layer, the old final exit last; of a head in
    both the new exits."""
    fresh = {head for _, head in new.exits[:-1]}
    places = [(e, old, i) for i, e in enumerate(old.exits[:-1]) if e[1] not in fresh]
    places += [(e, new, i) for i, e in enumerate(new.exits[:-1])]
    places = sorted(places, key=lambda place: place[0][0]) + [
        (old.exits[-1], old, len(old.exits) - 1)
    ]
    fields = ("tiles",) if isinstance(old, Counts) else FIELDS
    rows = {field: np.stack([getattr(of, field)[i] for _, of, i in places]) for field in fields}
    return replace(old, exits=[e for e, _, _ in places], **rows)
