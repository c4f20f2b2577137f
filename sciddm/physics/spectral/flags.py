"""The quality layer of a cube: one uint8 per entry, whose bits say what it is.

An entry without a bit is a measurement that a method saw and denoised as any other.
"""

from __future__ import annotations

from enum import IntFlag
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["MEANINGS", "NO_DATUM", "REPLACED", "Flag", "counts"]


class Flag(IntFlag):
    """Bits of an entry's flag."""

    DEAD = 1
    STUCK = 2
    STRIPED = 4
    FILLED = 8
    SATURATED = 16
    GAP = 32
    OUTLIER = 64
    OUTSIDE = 128


#: What each bit says, for tables and file attributes.
MEANINGS = {
    Flag.DEAD: "a defect of the sensor: replaced by the estimate",
    Flag.STUCK: "at a value that its detector repeats: replaced by the estimate",
    Flag.STRIPED: "an offset of its column or line was subtracted",
    Flag.FILLED: "without a value in the input: filled by the estimate",
    Flag.SATURATED: "at the largest value that the band can hold: a lower bound",
    Flag.GAP: "without a value in the input: left so",
    Flag.OUTLIER: "neither noise nor a likely defect: the measured value was kept",
    Flag.OUTSIDE: "outside of the scene: its pixel or its band holds no value",
}

#: Entries whose value in the output is an estimate from other entries only.
REPLACED = Flag.DEAD | Flag.STUCK | Flag.FILLED
#: Entries that a method gets no datum for.
NO_DATUM = REPLACED | Flag.GAP | Flag.OUTLIER | Flag.OUTSIDE


def counts(flags: NDArray[np.uint8]) -> dict[str, NDArray[np.int64]]:
    """Entries of each band that carry a bit, by the bit's name in lower case.

    Args:
        flags: (band, ...) uint8.

    Returns:
        Names to (band,) counts.
    """
    axes: tuple[Any, ...] = tuple(range(1, flags.ndim))
    return {
        str(flag.name).lower(): ((flags & flag.value) != 0).sum(axis=axes, dtype=np.int64)
        for flag in Flag
    }
