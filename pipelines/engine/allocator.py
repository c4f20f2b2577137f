"""Keeps freed memory in the process instead of giving it back to the system.

A network evaluation frees and allocates the same arrays of some ten megabytes again and again.
The GNU C library gives arrays of that size back to the system when they are freed, and the system
clears every page of the next one: up to half of the time of a small network on a CPU. The price is
that memory stays at its largest until the process ends.
"""

from __future__ import annotations

import ctypes
import os

__all__ = ["keep_freed_memory"]

# mallopt's parameters, from malloc.h.
_TRIM_THRESHOLD, _TOP_PAD, _MMAP_MAX = -1, -2, -4
_NEVER = -1  # as an unsigned size, the largest there is
_GROWTH = 64 * 2**20


def keep_freed_memory() -> bool:
    """Tells the C library's allocator to keep what is freed, for this process from now on.

    Environment variables that set the allocator (``MALLOC_TRIM_THRESHOLD_`` and its kind) have the
    last word. Does nothing where the C library is not GNU's.

    Returns:
        whether the allocator took it.
    """
    if any(name.startswith("MALLOC_") for name in os.environ):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return False
    settings = ((_MMAP_MAX, 0), (_TRIM_THRESHOLD, _NEVER), (_TOP_PAD, _GROWTH))
    return all(mallopt(parameter, value) == 1 for parameter, value in settings)
