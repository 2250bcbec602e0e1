"""Data sets: pictures with labels, pictures with points."""
