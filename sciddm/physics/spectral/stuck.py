"""Values that too many entries of a band share: those of impulses and of dead detector elements.

An impulse or a dead pixel has the same value wherever it occurs, such as 0, white, or the largest
that can be stored; noise makes such coincidences rare. Where noise is strong this tells them from
other entries when their distance from what the other bands predict does not.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["at_values", "frequent_values"]

_LEAST, _SHARE = 10, 0.002  # entries, share of a band
_EXCESS = 12.0  # times as many as there are of other values nearby
_NEARBY = 8  # distinct values on either side
_MOST = 4  # values of a band
_OFTEN = 0.5  # of a pixel's bands


def frequent_values(
    cube: NDArray[np.floating[Any]], known: NDArray[np.bool_]
) -> NDArray[np.float32]:
    """(band, 4) values that occur far more often in a band than those next to them do; else NaN.

    Integers repeat anyhow: what counts is the number of entries, compared to the median of the
    values around.

    Args:
        cube: (band, line, x).
        known: (band, line, x) bool.
    """
    found = np.full((len(cube), _MOST), np.nan, np.float32)
    for band, there, out in zip(cube, known, found, strict=True):
        values, counts = np.unique(band[there], return_counts=True)
        many = np.flatnonzero(counts >= max(_LEAST, _SHARE * there.sum()))
        chosen = []
        for i in many:
            around = counts[max(0, i - _NEARBY) : i + _NEARBY + 1]
            nearby = np.delete(around, min(int(i), _NEARBY))
            if len(nearby) >= _NEARBY and counts[i] > _EXCESS * np.median(nearby):
                chosen.append(i)
        chosen.sort(key=lambda i: -counts[i])
        for k, i in enumerate(chosen[:_MOST]):
            out[k] = values[i]
    return found


def at_values(cube: NDArray[np.floating[Any]], values: NDArray[np.float32]) -> NDArray[np.bool_]:
    """(band, y, x) bool, entries that have one of their band's values (band, n).

    Pixels with such values in half of their bands or more are left out: a cloud that is brighter
    than what can be stored is one in all of them, which impulses are not.
    """
    found = np.zeros(cube.shape, bool)
    for b in np.flatnonzero(np.isfinite(values).any(axis=1)):
        # In single precision, in which scenes are read part by part.
        found[b] = np.isin(cube[b].astype(np.float32), values[b][np.isfinite(values[b])])
    return found & (found.mean(axis=0) < _OFTEN)
