"""Outputs appear whole or not at all.

Everything is written under a hidden temporary name in the target's own folder and renamed when all
of it is complete; after a failure the temporary files are gone and existing outputs are as before.
"""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from sciddm.errors import OutputError, SciddmError

__all__ = ["check_folder", "check_outputs", "discard", "is_zarr", "staged", "staged_folder"]

_ZARR_MARKS = ("zarr.json", ".zgroup", ".zmetadata", ".zattrs")


def is_zarr(path: Path) -> bool:
    """Whether a folder is a zarr store."""
    return path.is_dir() and any((path / mark).exists() for mark in _ZARR_MARKS)


def check_outputs(paths: Iterable[str | Path], overwrite: bool = False) -> None:
    """Finds out before any computation whether outputs can be written.

    Args:
        paths: all files and zarr stores to be written.
        overwrite: existing ones may be replaced. A folder that is no zarr store never is.

    Raises:
        OutputError: one exists, is a folder, or lies in a folder that is not there or not writable.
    """
    for path in map(Path, paths):
        folder = path.parent
        if not folder.is_dir():
            raise OutputError(f"{path}: the folder {folder} does not exist: make it first")
        if path.is_dir() and not (path.suffix.lower() == ".zarr" and is_zarr(path)):
            raise OutputError(f"{path}: is a folder: give another name")
        if path.exists() and not overwrite:
            raise OutputError(f"{path}: exists already: give another name or --overwrite")
        if not os.access(folder, os.W_OK | os.X_OK):
            raise OutputError(f"{path}: the folder {folder} is not writable: choose another")


@contextmanager
def staged(targets: Sequence[Path], overwrite: bool) -> Iterator[dict[Path, Path]]:
    """Temporary paths to write to, renamed to the targets when the block ends well.

    The last target is renamed last: put the main output there, so that its presence means that
    the others are complete. Targets that differ in their suffix only stay so.

    Args:
        targets: final paths, files or zarr stores.
        overwrite: existing ones may be replaced.

    Yields:
        From each target to its temporary path, which has the same suffix.

    Raises:
        OutputError: as `check_outputs`, or writing failed.
    """
    check_outputs(targets, overwrite)
    token = secrets.token_hex(4)
    temporary = {t: t.with_name(f".{token}-{t.name}") for t in targets}
    made: list[Path] = []
    try:
        yield temporary
        check_outputs(targets, overwrite)  # somebody else may have been quicker
        for target, source in temporary.items():
            existed = target.exists()
            _replace(source, target, token)
            if not existed:
                made.append(target)
    except BaseException as error:
        for path in made:
            discard(path)
        if isinstance(error, Exception) and not isinstance(error, SciddmError):
            reason = getattr(error, "strerror", None) or " ".join(str(error).split())
            raise OutputError(f"{targets[-1]}: cannot be written ({reason})") from error
        raise
    finally:
        for path in temporary.values():
            discard(path)


@contextmanager
def staged_folder(target: Path, overwrite: bool, suffix: str) -> Iterator[Path]:
    """A temporary folder to write files to, renamed to the target when the block ends well.

    Args:
        target: final folder; its parent exists.
        overwrite: an existing folder may be replaced if it holds nothing but files of the suffix.
            An empty one always may.
        suffix: of the files, such as ".dcm".

    Yields:
        The temporary folder.

    Raises:
        OutputError: the target is a file, holds something, or cannot be written.
    """
    check_folder(target, overwrite, suffix)
    token = secrets.token_hex(4)
    temporary = target.with_name(f".{token}-{target.name}")
    try:
        temporary.mkdir()
        yield temporary
        check_folder(target, overwrite, suffix)  # somebody else may have been quicker
        _replace(temporary, target, token)
    except OSError as error:
        raise OutputError(f"{target}: cannot be written ({error.strerror})") from error
    finally:
        discard(temporary)


def check_folder(target: Path, overwrite: bool, suffix: str) -> None:
    """Finds out before any computation whether `staged_folder` can write.

    Raises:
        OutputError: as `staged_folder`.
    """
    parent = target.parent
    if not parent.is_dir():
        raise OutputError(f"{target}: the folder {parent} does not exist: make it first")
    if not os.access(parent, os.W_OK | os.X_OK):
        raise OutputError(f"{target}: the folder {parent} is not writable: choose another")
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


def _replace(source: Path, target: Path, token: str) -> None:
    """Renames a file or a folder over what is there."""
    if not target.is_dir():
        os.replace(source, target)
        return
    # A folder that is not empty cannot be renamed over.
    aside = target.with_name(f".{token}-old-{target.name}")
    os.replace(target, aside)
    try:
        os.replace(source, target)
    except OSError:
        os.replace(aside, target)
        raise
    shutil.rmtree(aside, ignore_errors=True)


def discard(path: Path) -> None:
    """Removes a file or a folder if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
