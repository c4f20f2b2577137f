"""Writing all outputs of an item as one transaction."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from sciddm.storage.claims import Claim, extend, held_claim, is_staging, release, take
from sciddm.storage.durable import flush
from sciddm.storage.switch import clear, switch

__all__ = ["transaction"]


@contextmanager
def transaction(
    targets: Sequence[Path],
    *,
    remove: Sequence[Path] = (),
    folders: Sequence[Path] = (),
    before: Callable[[Mapping[str, Path]], None] = lambda written: None,
) -> Iterator[dict[Path, Path]]:
    """Places to write to, which become the targets together when the block ends well.

    Args:
        targets: files and folders, all in one folder, in the order in which they appear.
        remove: outputs of an earlier run that go with the switch.
        folders: of the targets, those that are folders to be made.
        before: called when the block has ended well, before anything is switched, with the names
            of what was written and where it is.

    Yields:
        From each target to where it is written, under the target's own name. A target that is not
        written is left out.

    Raises:
        BusyError: another process writes one of them.
        OSError: the disk refuses; the old outputs are there as before.
    """
    if is_staging(targets[-1].parent):
        with _inner(targets, folders) as at:
            yield at
        return
    with _claimed(targets, remove) as own:
        try:
            at = _places(own.new, targets, folders)
            yield at
            written = {t.name: place for t, place in at.items() if os.path.lexists(place)}
            before(written)
            flush([own.new])
            switch(own.place, list(written), [p.name for p in remove])
        finally:
            clear(own.place)


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
def _inner(targets: Sequence[Path], folders: Sequence[Path]) -> Iterator[dict[Path, Path]]:
    """Within another transaction, which flushes and switches: only whole or not at all."""
    place = targets[-1].parent / secrets.token_hex(6)
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


def _places(place: Path, targets: Sequence[Path], folders: Sequence[Path]) -> dict[Path, Path]:
    place.mkdir(exist_ok=True)
    at = {t: place / t.name for t in targets}
    for target in folders:
        at[target].mkdir(exist_ok=True)
    return at
