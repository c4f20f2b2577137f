"""How long work tells how far it is."""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["Progress"]

#: Called as progress(steps completed, steps in all, what is being done).
Progress = Callable[[int, int, str], None]
