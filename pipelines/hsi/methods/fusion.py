"""A prior's estimate and the scene's own statistics: what it cannot hold, and what it misses.

An estimate's spectra that lie outside the scene's subspace (`components`) are its errors, in all
bands but those of which the components leave something out (`Components.rest`):

    d <- m + W (d - m),   W = S (E E^T + K (I - E E^T)) S^-1,   K = diag(rest_b > 0)

What it misses of the data is added back as far as they can tell.

The estimate d may lack what the prior has never seen. The whitened residual has the coefficients

    a = E_o^T S^-1 (y_o - d_o) = G e + n,   Cov n = G = E_o^T E_o (valid bands o)

where e is what d misses. If d misses nothing, a has the noise's power, or less, as d follows some
of it; the excess of the mean of a_k^2 over windows about a pixel is the power q_k of e_k there, and

    e^ = (G + Q^-1)^-1 a,   posterior covariance (G + Q^-1)^-1,   Q = diag(q_k)

its best estimate: nothing where the residual is noise, all of the datum where it is far
beyond it. So the result is no worse than the data, whatever d is, but for the error of q_k, from
which 2 standard errors are taken. What the components leave out is treated alike, band by band,
with its power in the scene (`Components.rest`).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from sciddm.classical.spectral.components import Components
from sciddm.classical.spectral.interface import Tile

__all__ = ["REACH", "fused", "within"]

Array = NDArray[np.float32]
_WINDOWS = (1.5, 5.0)  # pixels, widths of Gaussian windows: texture, and weak but wide errors
_TRUNCATE = 3.0
#: Pixels around a pixel that can influence what is added to it.
REACH = round(_TRUNCATE * max(_WINDOWS))
_PIXELS = 4096  # whose systems are solved at a time
_ERRORS = 2.0  # standard errors that are taken from an excess


def within(known: Components) -> NDArray[np.float64]:
    """W (band, band)."""
    inside = known.basis @ known.basis.T
    kept = (known.rest > 0)[:, None] * (np.eye(len(inside)) - inside)
    return np.asarray(known.noise[:, None] * (inside + kept) / known.noise)


def fused(tile: Tile, estimate: Array, known: Components) -> tuple[Array, Array]:
    """(estimate with what it misses, variance of what was added): (band, y, x).

    Args:
        tile: the data.
        estimate: d, of all bands of the tile.
        known: components of the scene.
    """
    noise = known.noise.astype(np.float32)[:, None, None]
    basis = known.basis.astype(np.float32)
    left = np.where(tile.valid, (tile.values - estimate) / noise, np.float32(0))
    some = np.tensordot(basis.T, left, 1)
    share = np.tensordot(basis.T**2, tile.valid.astype(np.float32), 1)
    power = np.zeros_like(some)
    for i in range(len(some)):
        for width in _WINDOWS:
            square = _mean(some[i] ** 2, width)
            seen = np.maximum(_mean(share[i], width), np.float32(1e-3))
            pixels = 4 * np.pi * width**2  # that the window's mean is worth
            excess = square / seen - 1 - _ERRORS * np.sqrt(2 / pixels)
            np.maximum(power[i], excess / seen, out=power[i])
    gain = power / (power + 1)
    found = gain * some
    _solve_gaps(found, gain, some, power, tile.valid, basis)
    added = np.tensordot(basis, found, 1)
    variance = np.tensordot(basis**2, gain, 1)
    if known.rest.any():
        rest = (known.rest / (known.rest + 1)).astype(np.float32)[:, None, None]
        added += rest * np.where(tile.valid, left - np.tensordot(basis, some, 1), np.float32(0))
        variance += rest
    mean = np.asarray(estimate + noise * added, np.float32)
    return mean, np.asarray(noise**2 * variance, np.float32)


def _solve_gaps(
    found: Array,
    gain: Array,
    some: Array,
    power: Array,
    valid: NDArray[np.bool_],
    basis: Array,
) -> None:
    """e^ and its variances where bands are missing, in place of those of whole pixels.

    As Q^1/2 (Q^1/2 G Q^1/2 + I)^-1 Q^1/2: most powers are 0.
    """
    k = len(found)
    flat, spread = found.reshape(k, -1), gain.reshape(k, -1)
    gaps = np.flatnonzero(~valid.all(axis=0).ravel())
    for start in range(0, len(gaps), _PIXELS):
        mine = gaps[start : start + _PIXELS]
        seen = valid.reshape(len(valid), -1)[:, mine].astype(np.float32)
        root = np.sqrt(power.reshape(k, -1)[:, mine].T)
        gram = np.einsum("bi,bp,bj->pij", basis, seen, basis, optimize=True)
        system = root[:, :, None] * gram * root[:, None] + np.eye(k, dtype=np.float32)
        inverse = np.linalg.inv(system)
        half = root * some.reshape(k, -1)[:, mine].T
        flat[:, mine] = (root * np.einsum("pij,pj->pi", inverse, half)).T
        spread[:, mine] = (root**2 * np.einsum("pii->pi", inverse)).T


def _mean(image: Array, width: float) -> Array:
    smooth = gaussian_filter(image, width, mode="nearest", truncate=_TRUNCATE)
    return np.asarray(smooth, np.float32)
