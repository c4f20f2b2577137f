"""Names that are neither files nor folders: pipes, sockets, devices.

Opening a pipe waits for somebody who writes, which may be for ever, and a device has no end. An
archive (.tar) can hold both under any name.
"""

from __future__ import annotations

import stat
from pathlib import Path

from sciddm.errors import InputError

__all__ = ["check_regular", "is_regular"]

_KINDS = (
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


def check_regular(path: Path) -> None:
    """Refuses a pipe, a socket and a device; says nothing of what is not there.

    Args:
        path: a name; a link counts as what it leads to.

    Raises:
        InputError: says which of them it is.
    """
    kind = _kind(path)
    if kind:
        raise InputError(f"{path}: is {kind}, not a file: write its data to a file first")


def is_regular(path: Path) -> bool:
    """Whether a name is no pipe, no socket and no device."""
    return not _kind(path)


def _kind(path: Path) -> str:
    """What a name is in words; empty for a file, a folder, and what is not there."""
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError):  # not there, a circle of links, a name that can be no name
        return ""
    return next((name for is_kind, name in _KINDS if is_kind(mode)), "")
