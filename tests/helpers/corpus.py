"""Every hostile and unusual picture file, made in memory: what each is, and what reading it must
give."""

from __future__ import annotations

from functools import cache

import hostile_pictures
import unusual_pictures
from picture_builders import SECRET, Case

__all__ = ["SECRET", "Case", "corpus"]


@cache
def corpus() -> tuple[Case, ...]:
    """Return every case; made once, in some ten seconds."""
    parts = (
        unusual_pictures.ordinary_cases,
        unusual_pictures.mode_cases,
        unusual_pictures.animation_cases,
        hostile_pictures.metadata_cases,
        hostile_pictures.size_cases,
        hostile_pictures.tiff_cases,
        hostile_pictures.foreign_cases,
    )
    return tuple(case for part in parts for case in part())
