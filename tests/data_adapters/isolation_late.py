"""A module that needs more address space when it is loaded than the file before it."""

from __future__ import annotations

import mmap
from pathlib import Path

from sciddm.data_adapters.isolation import isolated

ROOM = mmap.mmap(-1, 2**30)


@isolated
def size(path: Path) -> int:
    """Of a file, in bytes."""
    return path.stat().st_size
