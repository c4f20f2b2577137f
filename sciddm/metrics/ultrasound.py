"""How well tissue and blood are told apart, and how close an image is to the truth.

All of images (depth, lateral) of log-compressed amplitude, 0 to 1, unless said otherwise; A and B
are the values of two regions, tissue and blood.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from sciddm.metrics.images import values_of

__all__ = ["cnr_db", "correlation", "gcnr", "ks_distance"]

_BINS = 256


def gcnr(a: ArrayLike, b: ArrayLike) -> float:
    """Generalised contrast-to-noise ratio, 1 - sum_i min(p_A(i), p_B(i)); 1 for no overlap.

    Over 256 bins of the range that both share. Rodriguez-Molares et al. 2020, eq. 21.

    Raises:
        ValueError: an empty region.
    """
    a, b = values_of(a), values_of(b)
    low, high = min(a.min(), b.min()), max(a.max(), b.max())
    if low == high:
        return 0.0
    first, second = (np.histogram(v, _BINS, (low, high))[0] / v.size for v in (a, b))
    return float(1 - np.minimum(first, second).sum())


def cnr_db(a: ArrayLike, b: ArrayLike) -> float:
    """Contrast-to-noise ratio in dB: 20 log10(|m_A - m_B| / sqrt((v_A + v_B) / 2)).

    Not the logarithm of `images.cnr`: the variances are averaged here, and summed there.
    """
    a, b = values_of(a), values_of(b)
    ratio = _ratio(abs(float(a.mean() - b.mean())), math.sqrt((a.var() + b.var()) / 2))
    return 20 * math.log10(ratio) if ratio > 0 else -math.inf


def ks_distance(a: ArrayLike, b: ArrayLike) -> float:
    """Kolmogorov and Smirnov's statistic sup |F_a - F_b|: 0 for equal distributions, at most 1."""
    a, b = values_of(a), values_of(b)
    return float(np.asarray(stats.ks_2samp(a, b))[0])


def correlation(a: ArrayLike, b: ArrayLike) -> float:
    """|<a, b>| / (|a| |b|) of two fields of echoes, real or complex, which have no mean."""
    x, y = np.asarray(a).ravel(), np.asarray(b).ravel()
    size = float(np.linalg.norm(x) * np.linalg.norm(y))
    return float(np.abs(np.vdot(x, y))) / size if size > 0 else 0.0


def _ratio(difference: float, spread: float) -> float:
    if spread > 0:
        return difference / spread
    return math.copysign(math.inf, difference) if difference else 0.0
