"""Data sets: pictures with labels, pictures with points."""

from mvit.data.labelled import DataError

__all__ = ["DataError"]
