"""The switch from old outputs to new ones, which a kill at any moment cannot tear apart.

The journal holds the names in their order. ``forward`` moves each new output to its target, the
old one aside first. Every step looks at what is there before it acts, so a switch that was stopped
anywhere is finished by starting it again. ``back`` undoes it where the disk refuses a step.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from sciddm.errors import OutputError
from sciddm.storage.durable import flush_folder, write_durably

__all__ = ["NEW", "clear", "settle", "switch"]

NEW, OLD, JOURNAL = "new", "old", "journal"


def switch(place: Path, names: Sequence[str], remove: Sequence[str]) -> None:
    """Replaces old outputs by new ones, all or none.

    Args:
        place: folder of the claim; its ``new/`` holds what ``names`` says, flushed.
        names: outputs in the order in which they appear.
        remove: outputs of an earlier run that go.

    Raises:
        OSError: the disk refuses; the old outputs are there as before, unless it refuses that
            too: then the journal is left, and the next start finishes the switch.
    """
    folder = place.parent.parent
    gone = [n for n in remove if _exists(folder / n)]
    (place / OLD).mkdir(exist_ok=True)
    journal: dict[str, list[str]] = {"names": list(names), "remove": gone}
    try:
        write_durably(place / JOURNAL, json.dumps(journal).encode())
    except OSError:  # nothing is switched yet
        (place / JOURNAL).unlink(missing_ok=True)
        raise
    try:
        _forward(place, journal)
    except OSError:
        _back(place, journal)
        _end(place)
        raise
    except BaseException:  # an interruption comes too late: all is decided
        _forward(place, journal)
        _end(place)
        raise
    _end(place)


def settle(place: Path) -> str | None:
    """Finishes or takes back what a claim left, and removes its folder.

    Args:
        place: folder of a claim whose process is dead or has given it up.

    Returns:
        What was done, in a sentence; None where nothing had been switched.

    Raises:
        OutputError: the disk refuses.
    """
    told = None
    try:
        journal = json.loads((place / JOURNAL).read_bytes())
    except FileNotFoundError:
        journal = None
    except ValueError:  # written durably: damaged only by somebody else
        raise OutputError(f"{place / JOURNAL}: damaged: move the files in it by hand") from None
    if journal is not None:
        first = place.parent.parent / journal["names"][-1]
        try:
            _forward(place, journal)
            _end(place)
        except OSError as error:
            raise OutputError(
                f"{first}: an interrupted commit cannot be settled ({error.strerror}): repair "
                f"the disk, {place} holds the files"
            ) from error
        told = f"{first}: an interrupted commit was finished"
    shutil.rmtree(place, ignore_errors=True)
    return told


def clear(place: Path) -> None:
    """Removes what a commit has written or replaced, unless its switch is not complete."""
    if not _exists(place / JOURNAL):
        for folder in (place / NEW, place / OLD):
            shutil.rmtree(folder, ignore_errors=True)


def _forward(place: Path, journal: dict[str, list[str]]) -> None:
    folder = place.parent.parent
    for name in journal["names"]:
        target, new, old = folder / name, place / NEW / name, place / OLD / name
        if not _exists(new):  # done before
            continue
        if not _exists(old) and _exists(target):
            _set_aside(target, old)
        if target.is_dir() and not target.is_symlink():  # made by somebody in the meantime
            raise FileExistsError(17, "a folder of this name is in the way", str(target))
        os.replace(new, target)
    for name in journal["remove"]:
        target, old = folder / name, place / OLD / name
        if _exists(target) and not _exists(old):
            os.replace(target, old)
    flush_folder(folder)


def _back(place: Path, journal: dict[str, list[str]]) -> None:
    """Undoes ``forward``; stopped anywhere, it leaves what ``forward`` can finish."""
    folder = place.parent.parent
    for name in journal["names"]:
        target, new, old = folder / name, place / NEW / name, place / OLD / name
        if not _exists(new) and _exists(target):
            os.replace(target, new)
        if _exists(old) and not _exists(target):
            os.replace(old, target)
    for name in journal["remove"]:
        if _exists(place / OLD / name) and not _exists(folder / name):
            os.replace(place / OLD / name, folder / name)
    flush_folder(folder)


def _set_aside(target: Path, old: Path) -> None:
    """Keeps what is replaced; a file stays under its name until the new one is there."""
    if not target.is_dir() or target.is_symlink():
        try:
            os.link(target, old, follow_symlinks=False)
        except (OSError, NotImplementedError):  # a file system without hard links
            pass
        else:
            return
    os.replace(target, old)


def _end(place: Path) -> None:
    """The switch is complete: from here on what lies in the claim's folder is rubbish."""
    with contextlib.suppress(OSError):  # the next start repeats a switch that is complete
        os.unlink(place / JOURNAL)


def _exists(path: Path) -> bool:
    return os.path.lexists(path)
