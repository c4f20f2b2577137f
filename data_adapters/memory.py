"""How much memory there is, and how much a container of a size plausibly asks for."""

from __future__ import annotations

import os

__all__ = ["available_memory", "memory_limit", "plausible_size"]

_WITHOUT_SYSCONF = 16 * 2**30
_SMALL = 2**29
_PACKED = 100  # measured data are packed less, even where most of a picture is black


def memory_limit() -> int:
    """Bytes above which an array is refused.

    Half of the memory, since work needs a copy, and no more than what is free.
    """
    try:
        half = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    except (AttributeError, OSError, ValueError):  # not a POSIX system
        half = _WITHOUT_SYSCONF
    return min(half, available_memory())


def available_memory() -> int:
    """Bytes that are free, as far as the system says."""
    try:
        with open("/proc/meminfo", encoding="ascii") as file:
            for line in file:
                if line.startswith("MemAvailable:"):
                    return int(line.split()[1]) * 1024
    except (OSError, IndexError, ValueError):  # not Linux
        pass
    return _WITHOUT_SYSCONF


def plausible_size(stored: int) -> int:
    """Bytes that a container of a size plausibly holds: 100 times as many, or half a GiB."""
    return max(_SMALL, _PACKED * stored)
