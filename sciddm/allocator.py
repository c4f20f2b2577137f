"""Whether freed memory stays in the process or goes back to the system.

A network evaluation frees and allocates the same arrays of some ten megabytes again and again.
The GNU C library gives arrays of that size back to the system when they are freed, and the system
clears every page of the next one: up to half of the time of a small network on a CPU. So a command
keeps what is freed, at the price that memory stays at its largest. Where it works for hours on
pieces, the holes that large arrays leave would add up: it gives them back now and then. A process
that only reads files keeps little: as much as it needs for a small file, and no large array.

All of it does nothing where the C library is not GNU's.
"""

from __future__ import annotations

import ctypes
import os
from functools import cache

__all__ = ["give_back", "keep_freed_memory", "keep_little_freed_memory"]

# mallopt's parameters, from malloc.h.
_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD, _MMAP_MAX = -1, -2, -3, -4
_NEVER = -1  # as an unsigned size, the largest there is
_GROWTH = 64 * 2**20
#: Larger arrays go back to the system when they are freed; of the others so much may stay.
_LARGE, _LITTLE = 2**25, 2**26


def keep_freed_memory() -> bool:
    """Tells the allocator to keep what is freed, for this process from now on.

    Environment variables that set the allocator (``MALLOC_TRIM_THRESHOLD_`` and its kind) have the
    last word.

    Returns:
        whether the allocator took it.
    """
    if any(name.startswith("MALLOC_") for name in os.environ):
        return False
    return _set(((_MMAP_MAX, 0), (_TRIM_THRESHOLD, _NEVER), (_TOP_PAD, _GROWTH)))


def keep_little_freed_memory() -> bool:
    """Keeps up to 64 MiB of what is freed, and no array above 32 MiB.

    It takes `keep_freed_memory` back, as in a copy of a process that has done so.

    Returns:
        whether the allocator took it.
    """
    return _set(
        (
            (_MMAP_MAX, 65536),  # the C library's own value
            (_MMAP_THRESHOLD, _LARGE),
            (_TRIM_THRESHOLD, _LITTLE),
            (_TOP_PAD, 2**20),
        )
    )


def give_back() -> None:
    """Gives the memory that is free to the system, also between arrays that stay: milliseconds."""
    library = _library()
    if library is not None and hasattr(library, "malloc_trim"):
        library.malloc_trim(0)


def _set(settings: tuple[tuple[int, int], ...]) -> bool:
    library = _library()
    if library is None or not hasattr(library, "mallopt"):
        return False
    return all(library.mallopt(parameter, value) == 1 for parameter, value in settings)


@cache
def _library() -> ctypes.CDLL | None:
    try:
        return ctypes.CDLL(None)
    except (OSError, TypeError):
        return None
