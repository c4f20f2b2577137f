"""Conformal calibration of intervals: the factor that makes them hold what they promise.

A method gives an estimate m_i and a half width h_i > 0 for each truth x_i. On calibration cases the
score r_i = |x_i - m_i| / h_i says by how much the interval would have had to be wider. The interval
m +- q h with

    q = the k-th smallest of r_1, ..., r_n,   k = ceil((n + 1) level)

holds a further truth with probability k / (n + 1) >= level, whatever the method and the law of the
data are, as long as the n + 1 scores are exchangeable (split conformal prediction: Papadopoulos et
al., 2002; Lei et al., J Am Stat Assoc 113:1094, 2018, theorem 2.2).

Pixels of one image are exchangeable only in so far as the image is one of many: what holds of a new
pixel on average over images need not hold of the pixels of one.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["conformal_factor", "coverage", "scores_of"]


def scores_of(error: ArrayLike, half_width: ArrayLike) -> NDArray[np.float64]:
    """|error| / half width, flat; infinite where a width of 0 misses, 0 where it hits.

    Args:
        error: truth minus estimate, real or complex.
        half_width: >= 0, of the same shape.
    """
    missed_by = np.abs(np.asarray(error)).ravel()
    half = np.asarray(half_width).ravel()
    if missed_by.shape != half.shape:
        raise ValueError(f"{missed_by.size} errors but {half.size} half widths")
    if not np.isfinite(missed_by).all() or not (half >= 0).all():
        raise ValueError("errors must be finite and half widths at least 0")
    scores = np.where(missed_by > 0, np.inf, 0.0)
    out: NDArray[np.float64] = np.divide(missed_by, half, out=scores, where=half > 0)
    return out


def conformal_factor(scores: ArrayLike, level: float) -> float:
    """q, by which half widths are to be multiplied; infinite if n < level / (1 - level).

    Args:
        scores: r_1, ..., r_n, of the calibration cases.
        level: share of truths that the intervals are to hold, in (0, 1).
    """
    values = np.asarray(scores, dtype=np.float64).ravel()
    if not 0 < level < 1:
        raise ValueError(f"a level lies between 0 and 1, not {level}")
    if not values.size or np.isnan(values).any():
        raise ValueError("calibration needs scores, none of them NaN")
    k = math.ceil((values.size + 1) * level - 1e-9)  # 0.9 * 10 is 9, in decimals
    if k > values.size:
        return math.inf
    return float(np.partition(values, k - 1)[k - 1])


def coverage(scores: ArrayLike, factor: float = 1.0) -> float:
    """Share of the scores that intervals ``factor`` times as wide hold."""
    return float((np.asarray(scores) <= factor).mean())
