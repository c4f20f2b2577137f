"""Keeps Python's garbage collector out of the way of a command.

Loading torch and MONAI makes several hundred thousand objects that stay to the end. The collector
walks through all of them again and again while they are made, and at the end, when the process
gives everything back anyway: together a third of the time of a short command.
"""

from __future__ import annotations

import atexit
import gc

__all__ = ["collect_seldom"]

_ALLOCATIONS = 50_000  # Python's own: 700 or 2000


def collect_seldom() -> None:
    """Looks for cycles less often in this process from now on, and not at its end.

    Everything else is freed as ever, when the last reference to it goes.
    """
    gc.set_threshold(_ALLOCATIONS, *gc.get_threshold()[1:])
    atexit.register(gc.freeze)
