"""Room for a file on its disk, which libraries in C do not ask for.

HDF5, and netCDF with it, crashes where the disk refuses what it wants to write when it closes a
file. What fits is made in memory and written by Python; for more the space is looked for first.
"""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path

__all__ = ["fits_in_memory", "look_for_space"]

_IN_MEMORY = 2**28


def fits_in_memory(nbytes: int) -> bool:
    """Whether a file of this size is made in memory first."""
    return nbytes <= _IN_MEMORY


def look_for_space(path: Path, nbytes: int, margin: int = _IN_MEMORY) -> None:
    """Room for a file that is written by its library.

    Args:
        path: of the file.
        nbytes: of what is written to it, about.
        margin: what is to be left.

    Raises:
        OSError: the disk has too little space.
    """
    if shutil.disk_usage(path.parent).free < nbytes + margin:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
