"""What an estimate takes away from a pixel that its noise does not explain.

    z_b = (y_b - x_b) / sigma_b

is white noise of variance 1 or less if the estimate x is right. An entry beyond `LIMIT` keeps its
measured value. A spectrum that was lost is left in z over some neighbouring bands, so sums of z
over windows of w bands are tested too,

    |sum over w bands of clip(z, -c, c)| / sqrt(w) > LIMIT

which no single entry exceeds. Where bands share their noise, the sum over a window W has a variance
of 1^T R_WW 1 in place of w, R the correlation of the noise (`shared_noise`). A pixel with such a
window is one that the estimate does not represent, and keeps its measured values in all bands.

A pixel unlike all others is fitted by whatever it is itself. Its share of the scene's variance in
the direction in which that is largest is its leverage

    h = max_a (a^T z)^2 / (N a^T C a) = z^T C^-1 z / N,    z = y - m

with the scene's mean m and covariance C of N pixels. Where it is large no other pixel says
anything of it, and an estimate would only add the error of that direction to the pixel's noise.
An estimate follows a pixel in the K directions in which the scene varies by more than noise does,
those with eigenvalues beyond (1 + sqrt(B / N))^2 in units of the noise (Marchenko and Pastur,
1967). With all B directions a pixel with more noise than most, as bright ones have, would be unlike
all others, too.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sciddm.classical.spectral.moments import Moments

__all__ = ["LIMIT", "SelfReference", "unexplained"]

#: Standard deviations of noise that no entry of a scene reaches by chance.
LIMIT = 6.0
_WIDTHS = (4, 8, 16, 32, 64)
_MOST = 4.0  # c
_OWN = 0.25  # of the variance in a direction, beyond the K / N that any pixel has
_LEAST = 1e-6  # noise of a band, in units of its standard deviation: single precision
_PIXELS = 2**14  # at a time


def unexplained(
    residual: NDArray[np.floating[Any]],
    valid: NDArray[np.bool_],
    correlation: NDArray[np.floating[Any]] | None = None,
) -> NDArray[np.bool_]:
    """(band, ...) bool: entries whose measured values noise does not lead to from the estimate.

    Args:
        residual: (band, ...) z; anything where not valid.
        valid: (band, ...) bool, entries that were measured. The others are in no window.
        correlation: (band, band) R; independent bands if None.
    """
    z = np.where(valid, residual, 0).astype(np.float32)
    found = valid & (np.abs(z) > LIMIT)
    flat, seen = z.reshape(len(z), -1), valid.reshape(len(z), -1)
    # Most pixels end here: a window beyond the limit has an entry of LIMIT / sqrt(w) at least.
    open_ = np.flatnonzero(np.abs(flat).max(axis=0) > LIMIT / np.sqrt(_WIDTHS[-1]))
    clipped, there = np.clip(flat[:, open_], -_MOST, _MOST), seen[:, open_]
    total = np.cumsum(np.pad(clipped, ((1, 0), (0, 0))), axis=0, dtype=np.float64)
    count = np.cumsum(np.pad(there, ((1, 0), (0, 0))), axis=0, dtype=np.int64)
    hit = np.zeros(len(open_), bool)
    for width in _WIDTHS:
        if width > len(z):
            break
        number = np.maximum(count[width:] - count[:-width], 1)
        limit = LIMIT * np.sqrt(number)
        if correlation is not None:
            limit *= _window_std(correlation, width)[:, None]
        hit |= (np.abs(total[width:] - total[:-width]) > limit).any(axis=0)
    found.reshape(len(z), -1)[:, open_[hit]] |= there[:, hit]
    return found


def _window_std(correlation: NDArray[np.floating[Any]], width: int) -> NDArray[np.float64]:
    """(window,) standard deviation of sums over windows, in units of that of independent bands."""
    total = np.pad(np.cumsum(np.cumsum(correlation, axis=0), axis=1), ((1, 0), (1, 0)))
    first = np.arange(len(correlation) - width + 1)
    last = first + width
    inside = total[last, last] - total[first, last] - total[last, first] + total[first, first]
    return np.asarray(np.sqrt(np.maximum(inside, 0) / width))


class SelfReference:
    """Finds the pixels that are their own reference; can be sent to another machine.

    Args:
        moments: of the scene.
        sigma: (band,) standard deviation of the noise, in the unit of the moments.
    """

    def __init__(self, moments: Moments, sigma: NDArray[np.floating[Any]]) -> None:
        covariance = moments.covariance
        size = np.sqrt(np.maximum(np.diag(covariance), np.finfo(np.float64).tiny))
        noise = np.maximum(np.asarray(sigma, np.float64), _LEAST * size)
        count = max(moments.count, 1)
        power, axes = np.linalg.eigh(covariance / noise[:, None] / noise)
        signal = power > (1 + np.sqrt(len(power) / count)) ** 2
        self._mean = moments.mean
        self._white = (axes[:, signal] / np.sqrt(power[signal] * count)).T / noise
        shared = min(1.0, signal.sum() / count)
        self._limit = shared + _OWN * (1 - shared)

    def __call__(self, values: NDArray[np.floating[Any]]) -> NDArray[np.bool_]:
        """(y, x) bool of the pixels (band, y, x), in the unit of the moments."""
        flat = values.reshape(len(values), -1)
        found = np.empty(flat.shape[1], bool)
        for start in range(0, flat.shape[1], _PIXELS):
            part = slice(start, start + _PIXELS)
            white = self._white @ (flat[:, part] - self._mean[:, None])
            found[part] = (white**2).sum(axis=0) > self._limit
        return found.reshape(values.shape[1:])
