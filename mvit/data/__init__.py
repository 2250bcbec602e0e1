"""Data sets: pictures with labels, pictures with points."""

from mvit.data.folders import DataError

__all__ = ["DataError"]
