"""Files that are written whole or not at all."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """A file beside `path` to write to; it takes the place of `path` at the end of the block, or is
    gone if an exception ends it. So a reader never meets half a file, and the old one stays. Who
    may read the folder may read the file, whatever wrote it: safetensors keeps its files private.
    """
    partial = path.with_name(f"{path.name}.partial")
    try:
        yield partial
        partial.chmod(path.parent.stat().st_mode & 0o666)
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def write_json(path: Path, content: dict) -> None:
    """Write JSON whole or not at all."""
    with written_whole(path) as file:
        file.write_text(json.dumps(content, indent=1) + "\n")
