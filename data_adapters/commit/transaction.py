"""Writing all outputs of an item as one commit."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from sciddm.data_adapters.commit.checksums import record
from sciddm.data_adapters.commit.claims import (
    Claim,
    extend,
    held_claim,
    is_staging,
    release,
    take,
)
from sciddm.data_adapters.commit.durable import flush
from sciddm.data_adapters.commit.switch import clear, switch
from sciddm.data_adapters.commit.targets import check_folder, check_outputs
from sciddm.errors import OutputError, SciddmError

__all__ = ["commit"]

_FULL = {getattr(errno, n) for n in ("ENOSPC", "EDQUOT", "EFBIG") if hasattr(errno, n)}


@contextmanager
def commit(
    targets: Sequence[Path],
    overwrite: bool,
    *,
    folders: Mapping[Path, str] | None = None,
    remove: Sequence[Path] = (),
    nbytes: int = 0,
) -> Iterator[dict[Path, Path]]:
    """Places to write to, which become the targets together when the block ends well.

    After a failure, a kill or a loss of power the old outputs are there as before, or the new ones
    are; never some of both, once the next start has settled what was left.

    Args:
        targets: files, stores and folders, all in one folder. They appear in this order: put the
            main output last, so that its presence means that the others are there.
        overwrite: existing ones may be replaced.
        folders: of the targets, those that are folders of files, each with the suffix of all of
            its files; an existing one is replaced only where it holds nothing else.
        remove: outputs of an earlier run that this one lacks; they go with the switch.
        nbytes: the space that is needed, as far as the caller knows.

    Yields:
        From each target to where it is written, under the target's own name. Of `folders` the
        folder is there already. An output that is not written is left out.

    Raises:
        BusyError: another process writes one of them.
        OutputError: one exists, cannot be written, or the disk is full.
    """
    folders = dict(folders or {})

    def check() -> None:
        check_outputs([t for t in targets if t not in folders], overwrite)
        for target, suffix in folders.items():
            check_folder(target, overwrite, suffix)

    check()
    main = targets[-1]
    try:
        if is_staging(main.parent):
            with _inner(targets, folders) as at:
                yield at
            return
        _check_space(main, nbytes)
        with _claimed(targets, remove) as own:
            try:
                at = _places(own.new, targets, folders)
                yield at
                check()  # somebody else may have been quicker
                _settle(own, at, [p.name for p in remove])
            finally:
                clear(own.place)
    except SciddmError:
        raise
    except Exception as error:
        raise OutputError(_said(main, error)) from error


def _settle(own: Claim, at: Mapping[Path, Path], remove: Sequence[str]) -> None:
    written = {t.name: place for t, place in at.items() if os.path.lexists(place)}
    record(written)
    flush([own.new])
    switch(own.place, list(written), remove)


@contextmanager
def _claimed(targets: Sequence[Path], remove: Sequence[Path]) -> Iterator[Claim]:
    names = {p.name for p in (*targets, *remove)}
    held = held_claim(targets)
    if held is not None:
        with held.lock:
            extend(held, names)
            yield held
        return
    own = take(targets[-1].parent, names)
    try:
        yield own
    finally:
        release(own)


@contextmanager
def _inner(targets: Sequence[Path], folders: Mapping[Path, str]) -> Iterator[dict[Path, Path]]:
    """Within another commit, which flushes and switches: only whole or not at all."""
    place = targets[-1].parent / secrets.token_hex(6)
    place.mkdir()
    try:
        at = _places(place, targets, folders)
        yield at
        for target, written in at.items():
            if target.is_dir():
                shutil.rmtree(target)
            if os.path.lexists(written):
                os.replace(written, target)
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _places(place: Path, targets: Sequence[Path], folders: Mapping[Path, str]) -> dict[Path, Path]:
    place.mkdir(exist_ok=True)
    at = {t: place / t.name for t in targets}
    for target in folders:
        at[target].mkdir(exist_ok=True)
    return at


def _check_space(target: Path, nbytes: int) -> None:
    free = shutil.disk_usage(target.parent).free
    if nbytes > free:
        raise OutputError(
            f"{target}: needs {nbytes / 1e6:.0f} MB, but the disk has {free / 1e6:.0f} MB left: "
            "free some space or choose another folder"
        )


def _said(target: Path, error: Exception) -> str:
    if isinstance(error, OSError) and error.errno in _FULL:
        return f"{target}: cannot be written ({error.strerror}): free some space"
    reason = getattr(error, "strerror", None) or " ".join(str(error).split())
    return f"{target}: cannot be written ({reason or type(error).__name__})"
