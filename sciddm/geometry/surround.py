"""The constant surround of a slice: one value that fills its corners."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sciddm.geometry.objects import objects

__all__ = ["constant_surround"]

_LEAST_SHARE = 0.005  # of a slice's pixels: less is chance


def constant_surround(values: NDArray[Any]) -> NDArray[np.bool_] | None:
    """Where one value fills the corners of a slice (y, x), or None where none does.

    The value of the corner that has the most of it; the region hangs together with a corner.
    """
    corners = values[[0, 0, -1, -1], [0, -1, 0, -1]]
    best: NDArray[np.bool_] | None = None
    for value in np.unique(corners):
        if (corners == value).sum() < 2:
            continue
        parts, _ = objects(values == value)
        touching = {int(n) for n in parts[[0, 0, -1, -1], [0, -1, 0, -1]]} - {0}
        region = np.isin(parts, list(touching))
        if best is None or region.sum() > best.sum():
            best = region
    if best is None or best.mean() < _LEAST_SHARE:
        return None
    return best
