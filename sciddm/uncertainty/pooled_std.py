"""The standard deviation of few samples, pooled over neighbours.

A variance from K samples scatters by sqrt(2 / (K - 1)) of itself: with K = 4 some pixels get next
to none, and a small error there is many of their half widths. Neighbours have nearly the same
variance, so it is averaged over them,

    s^2(q) = sum_p w(q - p) s_K^2(p) / sum_p w(q - p),    w a Gaussian,

within the image: its edge gets no less. The mean variance stays the same.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

__all__ = ["POOLING_PIXELS", "pooled_std"]

#: Standard deviation of w. With four draws of heads it took the factor that 90 % coverage needs
#: from 2.3 to 1.4 at R = 4, and raised the rank correlation with |error| from .07 to .16.
POOLING_PIXELS = 2.0


def pooled_std(std: NDArray[np.floating], pixels: float = POOLING_PIXELS) -> NDArray[np.float32]:
    """The square root of the variance averaged over neighbours.

    Args:
        std: (..., y, x), of few samples, at least 0.
        pixels: standard deviation of the Gaussian along y and x; 0 for none.
    """
    if pixels == 0:
        return np.asarray(std, np.float32)
    widths = (0.0,) * (std.ndim - 2) + (pixels, pixels)
    variance = np.asarray(std, np.float64) ** 2
    return np.asarray(np.sqrt(gaussian_filter(variance, widths, mode="reflect")), np.float32)
