"""The exact median of many values, of which a few are sorted.

Two ranks of every 16th value enclose the median of all with near certainty. Values outside are
counted, and the median is selected among the tenth that is inside; where it is not, among all.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["median"]

_FEWEST = 4096
_STRIDE = 16
#: Ranks beside the sample's median, in standard deviations of its rank.
_REACH = 4.0


def median(values: NDArray[np.floating[Any]]) -> np.floating[Any]:
    """As ``np.median``, bit for bit, of values (n,), n > 0; not a number if any is not."""
    count = len(values)
    if count < _FEWEST:
        return _median(values)
    sample = values[::_STRIDE]
    reach = int(_REACH * 0.5 * len(sample) ** 0.5)
    ranks = (len(sample) // 2 - reach, len(sample) // 2 + reach)
    parted = np.partition(sample, ranks)
    low, high = (parted[k] for k in ranks)
    above = values >= low
    inside = values[above & (values <= high)]
    before = count - int(np.count_nonzero(above))
    first, last = (count - 1) // 2 - before, count // 2 - before
    if first < 0 or last >= len(inside) or np.isnan(values.max()):
        return _median(values)
    middle = np.partition(inside, (first, last))[first : last + 1]
    out: np.floating[Any] = middle.mean()
    return out


def _median(values: NDArray[np.floating[Any]]) -> np.floating[Any]:
    out: np.floating[Any] = np.median(values)
    return out
