"""Correlation of noise between neighbouring bands, from a scene's second moments.

Products that were resampled or smoothed along wavelength have noise that neighbouring bands share.
In units of each band's noise let C be the covariance of pixels and N that of neighbouring pixels
(`moments`), which holds no noise if pixels are independent. With the leading eigenvectors of N, the
scene's own spectra, projected out by P,

    P C P = P R P + what is left of the scene,

R the correlation of the noise. It is taken as a function of the distance in bands, R = sum r_l T_l
with T_l one at distance l, and r_0 ... r_8 solve the means of both sides along all diagonals. What
is left of the scene is smooth in wavelength and alike at all short distances: its level, that of
the distances 5 to 8, is taken off. Correlations below `_LEAST` are taken as none.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["noise_correlation"]

Array = NDArray[np.float64]
_LAGS, _KEPT = 8, 4  # distances that are looked at, and those that noise may be correlated over
_LEAST = 0.4  # of neighbouring bands: fine texture of real scenes reaches 0.3
_SMALL = 0.03  # correlation at which it ends
_FEW = 16  # bands that are left by the scene, at least
_GAP = 1.8  # usual steps from band to band: what is further apart are no neighbours
_MARGIN = 1.1  # on the edge of chance
_FLOOR = 0.02  # least eigenvalue of R


def noise_correlation(
    covariance: Array, neighbours: Array, pixels: int, position: Array | None = None
) -> Array:
    """R (band, band), with a diagonal of 1.

    Args:
        covariance: (band, band) C, in units of the noise.
        neighbours: (band, band) N, likewise.
        pixels: that both are of.
        position: (band,) wavelengths; neighbours are next to each other in the file if None.

    Returns:
        The identity where there is no correlation, or too little to tell.
    """
    bands = len(covariance)
    white = np.eye(bands)
    if pixels < 2 * bands or bands < _FEW + _LAGS:
        return white
    value, vectors = np.linalg.eigh(neighbours)
    edge = 2 * np.sqrt(bands / (8 * pixels))
    scene = vectors[:, value > _MARGIN * edge]
    if bands - scene.shape[1] < _FEW:
        return white
    rest = white - scene @ scene.T
    shifts = [_shift(bands, lag, position) for lag in range(_LAGS + 1)]
    left = rest @ covariance @ rest
    seen = np.array([(t * left).sum() for t in shifts])
    made = [rest @ t @ rest for t in shifts]
    system = np.array([[(t * m).sum() for m in made] for t in shifts])
    found = np.linalg.lstsq(system, seen, rcond=1e-6)[0]
    level = float(np.median(found[_KEPT + 1 :]))
    if not found[0] - level > 0:
        return white
    share = (found[: _KEPT + 1] - level) / (found[0] - level)
    if share[1] < _LEAST:
        return white
    end = next((k for k in range(1, _KEPT + 1) if share[k] < _SMALL), _KEPT + 1)
    built = sum((min(share[k], 0.95) * shifts[k] for k in range(1, end)), white)
    level_, axes = np.linalg.eigh(built)
    built = (axes * np.maximum(level_, _FLOOR)) @ axes.T
    size = np.sqrt(np.diag(built))
    return np.asarray(built / size[:, None] / size)


def _shift(bands: int, lag: int, position: Array | None) -> Array:
    """T of a distance: 1 between bands so far apart in the order of the file, without gaps."""
    if not lag:
        return np.eye(bands)
    found = np.zeros((bands, bands))
    one = np.arange(bands - lag)
    if position is not None and np.isfinite(position).all():
        step = np.abs(np.diff(position))
        usual = float(np.median(step)) if len(step) else 1.0
        whole = np.concatenate([[0], np.cumsum(step > _GAP * usual)])
        one = one[whole[one] == whole[one + lag]]
    found[one, one + lag] = found[one + lag, one] = 1.0
    return found
