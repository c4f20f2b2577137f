"""Values that too many entries of a band share: those of impulses and of dead detector elements.

An impulse or a dead pixel has the same value wherever it occurs, such as 0, white, or the largest
that can be stored; noise makes such coincidences rare. Where noise is strong this tells them from
other entries when their distance from what the other bands predict does not.

A homogeneous surface of quantised data repeats values too, but in one place. Defects have nothing
to do with the columns beside them: of the entries at a stuck value, the share whose neighbours to
the left and right (in this line and the next ones) are at it too is that of all entries of the
band. Lines above and below do not count: a detector element that fails for a while makes a piece of
a column.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["at_values", "frequent_values"]

_LEAST, _SHARE = 10, 0.002  # entries, share of a band
_EXCESS = 12.0  # times as many as there are of other values nearby
_PEAK = 3.0  # times as many as there are of the next values: no hump of a homogeneous surface
_NEARBY = 8  # distinct values on either side
_MOST = 4  # values of a band
_OFTEN = 0.5  # of a pixel's bands
_SIGMAS = 4.0  # standard errors by which neighbours may agree by chance
_LOOSE = 1.1  # times as often as by chance, which is no surface either


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
        chosen: list[int] = []
        for i in map(int, many):
            around = counts[max(0, i - _NEARBY) : i + _NEARBY + 1]
            nearby = np.delete(around, min(int(i), _NEARBY))
            beside = counts[max(0, i - 1)] if i else 0, counts[i + 1] if i + 1 < len(counts) else 0
            peak = counts[i] > _PEAK * max(beside)
            if len(nearby) >= _NEARBY and peak and counts[i] > _EXCESS * np.median(nearby):
                chosen.append(i)
        chosen.sort(key=lambda i: -int(counts[i]))
        scattered = [i for i in chosen if _scattered((band == values[i]) & there, there)]
        for k, i in enumerate(scattered[:_MOST]):
            out[k] = values[i]
    return found


def _scattered(mine: NDArray[np.bool_], known: NDArray[np.bool_]) -> bool:
    """Whether entries lie in a band as if each had been drawn for itself."""
    share = mine.sum() / max(1, known.sum())
    pairs = together = 0
    for down in (-1, 0, 1):
        rows = slice(max(0, down), len(mine) + min(0, down))
        shifted = slice(max(0, -down), len(mine) - max(0, down))
        one, other = mine[rows, 1:], mine[shifted, :-1]
        both = known[rows, 1:] & known[shifted, :-1]
        pairs += int((one & both).sum()) + int((other & both).sum())
        together += 2 * int((one & other).sum())
    if not pairs:
        return True
    error = np.sqrt(2 * share * (1 - share) / pairs)
    return bool(together / pairs <= _LOOSE * share + _SIGMAS * error)


def at_values(cube: NDArray[np.floating[Any]], values: NDArray[np.float32]) -> NDArray[np.bool_]:
    """(band, y, x) bool, entries that have one of their band's values (band, n).

    Pixels with such values in half of their bands or more are left out: a cloud that is brighter
    than what can be stored is one in all of them, which impulses are not.
    """
    found = np.zeros(cube.shape, bool)
    for b in np.flatnonzero(np.isfinite(values).any(axis=1)):
        # In single precision, in which scenes are read part by part.
        found[b] = np.isin(cube[b].astype(np.float32), values[b][np.isfinite(values[b])])
    out: NDArray[np.bool_] = found & (found.mean(axis=0) < _OFTEN)
    return out
