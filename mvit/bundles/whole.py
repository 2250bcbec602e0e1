"""Files that are written whole or not at all, and folders that are known to be bad before the work
for them begins."""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile

from safetensors import SafetensorError


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """A file beside `path` to write to; it takes the place of `path` at the end of the block, or is
    gone if an exception ends it. So a reader never meets half a file, and the old one stays, also
    where two processes write at once. Who may read the folder may read the file, whatever wrote it:
    safetensors keeps its files private. Raises OSError, also where safetensors finds a full disk.
    """
    check_file(path)
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    try:
        yield partial
        partial.chmod(path.parent.stat().st_mode & 0o666)
        os.replace(partial, path)
    except SafetensorError as error:
        raise OSError(errno.EIO, str(error), str(path)) from error
    finally:
        partial.unlink(missing_ok=True)


def check_file(path: Path) -> None:
    """Raise OSError if a file of this name could not be written: its folder is no place for one, or
    something else has the name, as a device that a new file would take away from the system."""
    check_folder(path.parent)
    if not path.name or path.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if path.exists() and not path.is_file():
        raise OSError(errno.EINVAL, "It is no file to write to", str(path))


def check_folder(folder: Path) -> None:
    """Raise OSError if nothing can be written into a folder, which need not be there yet."""
    folder = folder.absolute()
    there = next(place for place in (folder, *folder.parents) if place.exists())
    if not there.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(there))
    try:  # what the system says of its permissions is not true of every folder, as of /proc
        with TemporaryFile(dir=there):
            pass
    except OSError as error:
        raise OSError(error.errno, "Nothing can be written there", str(there)) from error


def check_room(folder: Path, size: int) -> None:
    """Raise OSError if the disk of a folder has no room for so many more bytes: writing to a file
    that is mapped into memory would then end the process without a word."""
    if size > shutil.disk_usage(folder).free:
        raise OSError(errno.ENOSPC, f"{size / 1e6:,.0f} MB do not fit on the disk", str(folder))


def write_json(path: Path, content: dict) -> None:
    """Write JSON whole or not at all."""
    with written_whole(path) as file:
        file.write_text(json.dumps(content, indent=1) + "\n")


def read_json(path: Path) -> dict:
    """The record that a run has written for itself; an empty one if there is none, or it is damaged
    and its work is to be done again."""
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
