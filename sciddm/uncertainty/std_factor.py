"""The factor on the samples' standard deviation that a model's card gives a quality.

Few samples of a short chain spread too little, and the more so the less was measured: at R = 8 by
half as much again as at R = 4. A card holds the factors at some accelerations, {"4": 1.75, "8":
2.58}, between which they are interpolated; beyond them the nearest is taken. One number is a factor
for all.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from sciddm.errors import ModelError

__all__ = ["spread_at"]


def spread_at(entry: object, acceleration: float) -> float:
    """The factor of a card's entry at an acceleration.

    Raises:
        ModelError: the entry is neither a positive number nor a table of them.
    """
    table: Mapping[Any, Any] = entry if isinstance(entry, Mapping) else {1: entry}
    try:
        known = sorted((float(at), _positive(factor)) for at, factor in table.items())
        at, factors = zip(*known, strict=True)
    except (TypeError, ValueError) as error:
        raise ModelError(f"the spread {entry!r} is no factor, nor one by acceleration") from error
    return float(np.interp(acceleration, at, factors))


def _positive(factor: object) -> float:
    if not isinstance(factor, int | float) or not 0 < factor < math.inf:
        raise ValueError(factor)
    return float(factor)
