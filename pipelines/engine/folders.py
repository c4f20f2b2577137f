"""The files of a folder and its subfolders, those behind links too."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

__all__ = ["files_below"]


def files_below(folder: Path) -> Iterator[tuple[Path, list[str]]]:
    """Each folder with the names of its files, by name; what is hidden is left out.

    A link to a folder is followed. A folder that several links lead to comes once, so a circle of
    links has an end.

    Args:
        folder: where to begin.
    """
    seen = {os.path.realpath(folder)}
    for place, folders, files in os.walk(folder, followlinks=True):
        inner = []
        for name in sorted(n for n in folders if not n.startswith(".")):
            real = os.path.realpath(Path(place, name))
            if real not in seen:
                seen.add(real)
                inner.append(name)
        folders[:] = inner
        yield Path(place), sorted(name for name in files if not name.startswith("."))
