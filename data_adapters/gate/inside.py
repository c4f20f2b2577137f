"""Whether a path that a file names lies in the file's own folder."""

from __future__ import annotations

from pathlib import Path

from sciddm.errors import InputError

__all__ = ["inside"]


def inside(container: Path, named: str, what: str) -> Path:
    """The path of a file that a container names.

    Args:
        container: the file or store that names it.
        named: what it names, relative to the container's folder.
        what: the part of the container that names it, for messages.

    Returns:
        The path, which exists.

    Raises:
        InputError: it lies outside of the container's folder, or is not there.
    """
    folder = container.resolve().parent
    shown = container if len(named) > 200 else f"{container}: {what} names {named!r}"
    try:
        path = (folder / named).resolve()
        within = path.is_relative_to(folder)
        there = within and path.is_file()
    except (OSError, ValueError, RuntimeError):  # too long, a NUL, a loop of links
        within = there = False
    if not within:
        raise InputError(
            f"{shown}, a file outside of its folder: copy the data into one file (h5repack)"
        )
    if not there:
        raise InputError(f"{shown}, which is not there: copy all files of the data set")
    return path
