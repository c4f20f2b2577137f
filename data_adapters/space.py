"""Room on the disk, reserved before anything is written into it."""

from __future__ import annotations

import os
from typing import BinaryIO

__all__ = ["reserve"]

_BLOCK = 2**20


def reserve(file: BinaryIO, size: int) -> None:
    """Gives an empty file its size, of zeros, so that later writes find the room they need.

    Writing to a mapped file that has no room ends the process; here it is an error.

    Args:
        file: open for writing.
        size: in bytes.

    Raises:
        OSError: the disk is full.
    """
    if size == 0:
        return
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file.fileno(), 0, size)
        return
    zeros = bytes(min(size, _BLOCK))
    for start in range(0, size, _BLOCK):
        file.write(zeros[: size - start])
    file.flush()
