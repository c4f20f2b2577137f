"""Whether outputs can be written: found out before any computation."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from pathlib import Path

from sciddm.errors import OutputError

__all__ = ["check_folder", "check_outputs", "discard", "is_zarr"]

_ZARR_MARKS = ("zarr.json", ".zgroup", ".zmetadata", ".zattrs")
_LONGEST_NAME = 255


def is_zarr(path: Path) -> bool:
    """Whether a folder is a zarr store."""
    return path.is_dir() and any((path / mark).exists() for mark in _ZARR_MARKS)


def check_outputs(paths: Iterable[str | Path], overwrite: bool = False) -> None:
    """Finds out before any computation whether outputs can be written.

    Args:
        paths: all files and zarr stores to be written.
        overwrite: existing ones may be replaced. A folder that is no zarr store never is.

    Raises:
        OutputError: one exists, is a folder, has a name that is too long, or lies in a folder that
            is not there or not writable.
    """
    for path in map(Path, paths):
        _check_place(path)
        if path.is_dir() and not (path.suffix.lower() == ".zarr" and is_zarr(path)):
            raise OutputError(f"{path}: is a folder: give another name")
        if path.exists() and not overwrite:
            raise OutputError(f"{path}: exists already: give another name or --overwrite")


def check_folder(target: Path, overwrite: bool, suffix: str) -> None:
    """Finds out before any computation whether a folder of files can be written.

    Args:
        target: the folder; its parent exists.
        overwrite: an existing folder may be replaced if it holds nothing but files of the suffix.
            An empty one always may.
        suffix: of the files, such as ".dcm".

    Raises:
        OutputError: the target is a file, holds something, or cannot be written.
    """
    _check_place(target)
    if target.exists() and not target.is_dir():
        raise OutputError(f"{target}: is a file: give a folder")
    held = list(target.iterdir()) if target.exists() else []
    if held and not overwrite:
        raise OutputError(f"{target}: is not empty: give another name or --overwrite")
    foreign = [p.name for p in held if not p.is_file() or p.suffix.lower() != suffix]
    if foreign:
        raise OutputError(
            f"{target}: holds {foreign[0]}, not only {suffix} files: give another folder"
        )


def discard(path: Path) -> None:
    """Removes a file or a folder if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _check_place(path: Path) -> None:
    folder = path.parent
    try:
        there = folder.is_dir()
    except OSError:  # a name on the way is too long
        there = False
    if not there:
        raise OutputError(f"{path}: the folder {folder} does not exist: make it first")
    if len(os.fsencode(path.name)) > _LONGEST_NAME:
        raise OutputError(f"{path}: the name is longer than {_LONGEST_NAME} bytes: shorten it")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise OutputError(f"{path}: the folder {folder} is not writable: choose another")
