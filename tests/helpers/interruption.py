"""A training whose process ends in the middle."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from mvit.training import checkpoints


class Interrupted(Exception):
    pass


@contextmanager
def interrupted(monkeypatch, after: int = 1) -> Iterator[None]:
    """Within it, a training ends right behind its `after`-th checkpoint; it must get that far."""
    save, saved = checkpoints.save, []

    def save_and_stop(*args, **about) -> None:
        save(*args, **about)
        saved.append(args)
        if len(saved) == after:
            raise Interrupted

    with monkeypatch.context() as patch, pytest.raises(Interrupted):
        patch.setattr(checkpoints, "save", save_and_stop)
        yield
