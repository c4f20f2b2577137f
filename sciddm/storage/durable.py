"""Flushing files and folders to the disk, so that they survive a loss of power."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

__all__ = ["flush", "flush_folder", "write_durably"]

#: Files of one output that are flushed one by one; the whole file system is quicker for more.
_ONE_BY_ONE = 32


def flush(paths: Iterable[Path]) -> None:
    """Flushes files, and folders with all that they hold.

    Args:
        paths: files and folders; a link is flushed as what it points to.
    """
    everything = [entry for path in paths for entry in _walk(path)]
    if len(everything) > _ONE_BY_ONE and hasattr(os, "sync"):
        os.sync()
        return
    for entry in everything:
        _flush_one(entry)


def flush_folder(path: Path) -> None:
    """Flushes the names in a folder, which a rename has changed."""
    _flush_one(path)


def write_durably(path: Path, content: bytes) -> None:
    """Writes a small file so that it is there whole or not at all.

    Args:
        path: the file; an existing one is replaced.
        content: what it holds.
    """
    beside = path.with_name(path.name + ".part")
    with beside.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    os.replace(beside, path)
    flush_folder(path.parent)


def _walk(path: Path) -> Iterator[Path]:
    yield path
    if path.is_dir():
        for folder, folders, files in os.walk(path):
            yield from (Path(folder) / name for name in (*folders, *files))


def _flush_one(path: Path) -> None:
    try:
        handle = os.open(path, os.O_RDONLY)
    except (PermissionError, IsADirectoryError):  # Windows opens no folder
        return
    try:
        os.fsync(handle)
    except OSError as error:
        # Some network file systems refuse it for folders; a full or broken disk is an error.
        if error.errno not in _UNSUPPORTED:
            raise
    finally:
        os.close(handle)


def _unsupported() -> frozenset[int]:
    import errno

    names = ("EINVAL", "ENOTSUP", "EOPNOTSUPP", "EBADF", "EISDIR")
    return frozenset(getattr(errno, name) for name in names if hasattr(errno, name))


_UNSUPPORTED = _unsupported()
