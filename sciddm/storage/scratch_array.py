"""Arrays on the disk that take memory only where they are being written or read.

A file that is mapped into memory counts as memory of the process once it was touched. `release`
gives the pages back; they are read from the file again when they are needed.
"""

from __future__ import annotations

import mmap
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

__all__ = ["release", "scratch_array"]


def scratch_array(path: Path, shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
    """A new array of zeros in a file."""
    return np.memmap(path, dtype, "w+", shape=shape)


def release(array: NDArray[Any]) -> None:
    """Writes what was changed, and gives the memory back; does nothing for an array in memory.

    Args:
        array: one of `scratch_array`, or a view of it.
    """
    base: object = array
    while isinstance(base, np.ndarray):
        base = base.base
    if isinstance(base, mmap.mmap):
        base.flush()
        if hasattr(mmap, "MADV_DONTNEED"):  # not on Windows, which takes pages away by itself
            base.madvise(mmap.MADV_DONTNEED)
