"""Choosing one positive parameter by trial: a search along a geometric grid."""

from __future__ import annotations

from collections.abc import Callable


def search(
    score: Callable[[float], float], start: float, ratio: float = 2.0, limit: int = 12
) -> tuple[float, float]:
    """The best parameter found uphill from ``start``, and its score; grid start * ratio^(k/2).

    Whole steps first, in the direction that improves, until the score falls (at most ``limit`` to
    each side); then the half step on either side of the best. Finds the maximum of a function with
    one maximum.
    """
    known: dict[int, float] = {}

    def at(k: int) -> float:
        if k not in known:
            known[k] = score(start * ratio ** (k / 2))
        return known[k]

    best = 0
    for step in (2, -2):
        while abs(best + step) <= 2 * limit and at(best + step) > at(best):
            best += step
    best = max((best - 1, best, best + 1), key=at)
    return start * ratio ** (best / 2), known[best]
