"""Gives memory that is free, but still the process's, back to the system.

Large arrays that come and go leave holes in the heap of the C library. A process that works for
hours grows by them, though it holds nothing.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable
from functools import cache

__all__ = ["give_back"]


def give_back() -> None:
    """Takes milliseconds; does nothing where the C library is not GNU's."""
    trim = _trim()
    if trim is not None:
        trim(0)


@cache
def _trim() -> Callable[[int], int] | None:
    if not sys.platform.startswith("linux"):
        return None
    return getattr(ctypes.CDLL(None), "malloc_trim", None)
