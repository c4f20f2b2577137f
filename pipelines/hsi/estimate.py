"""Noise of a cube from the cube alone.

A band of a scene is nearly a linear combination of the other bands, its noise is not: what the
regression of a band on all others leaves over is noise (HySime; Bioucas-Dias and Nascimento, 2008,
algorithm 1). With the centred pixels as rows of Z (N, B) and Q = (Z^T Z)^-1 the residuals of all
regressions are

    E = Z Q diag(Q)^-1,   E e_i = z_i - Z_-i beta_i,   beta_ij = -Q_ij / Q_ii

and v_i = |E e_i|^2 / (N - B) has the mean s_i^2 + sum_j beta_ij^2 s_j^2, if the signal is predicted
well: the other bands' noise comes along. The nonnegative solution of these B equations is returned.
The square of an estimated beta_ij is too large by its variance v_i (Q_jj - Q_ij^2 / Q_ii), which is
subtracted: with few pixels for the bands it is as large as beta_ij^2 itself.

Entries that do not fit are found on the way, by alternating the regression with

    stripes      a column's median residual beyond 5 of its standard errors: an offset, taken out
    dead pixels  a residual beyond 6 robust standard deviations: replaced by its prediction
    dead lines   a column with one value in all lines, where the lines are 3 or more: dead pixels

An offset of all pixels of a band, or a stripe in the same columns of all bands, looks like signal
and is not found.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

from sciddm.errors import InputError

__all__ = ["NoiseEstimate", "estimate_noise"]

_ROUNDS = 16
_DEAD, _STRIPE = 6.0, 5.0
_MEDIAN_ERROR = 1.2533  # standard error of a median in units of that of a mean
_MAD = 1.4826
_RIDGE = 1e-10  # of the correlation matrix: bands that are copies of each other


@dataclass(frozen=True)
class NoiseEstimate:
    """What is wrong with a cube.

    Attributes:
        sigma: (band,) standard deviation of the Gaussian noise, in the cube's unit; NaN for empty
            bands.
        dead: (band, y, x) bool, entries that tell nothing: dead pixels and lines, impulses, and
            those that are not finite in bands that are not empty.
        stripes: (band, x) offsets of whole columns, to be subtracted; 0 where there is none.
        empty: (band,) bool, bands with one value (or none) everywhere.
    """

    sigma: NDArray[np.float64]
    dead: NDArray[np.bool_]
    stripes: NDArray[np.float64]
    empty: NDArray[np.bool_]


def estimate_noise(
    cube: NDArray[np.floating[Any]], invalid: NDArray[np.bool_] | None = None
) -> NoiseEstimate:
    """Standard deviation per band, dead pixels and stripes; see the module for the method.

    Args:
        cube: (band, y, x), of any unit.
        invalid: (band, y, x), entries known to be useless, such as nodata; those that are not
            finite are added.

    Raises:
        InputError: fewer than 2 bands hold something, or there are too few pixels for the bands.
    """
    bands, lines, samples = cube.shape
    known = np.isfinite(cube) if invalid is None else np.isfinite(cube) & ~invalid
    empty = np.array(
        [np.ptp(c[k]) == 0 if k.any() else True for c, k in zip(cube, known, strict=True)]
    )
    used = np.flatnonzero(~empty)
    count = lines * samples
    if len(used) < 2:
        raise InputError("noise is estimated from 2 bands or more that hold something: give more")
    if count < 2 * len(used):
        raise InputError(
            f"{count} pixels are too few to tell noise from signal in {len(used)} bands: give a "
            f"part with at least {2 * len(used)}, or state the noise"
        )
    raw = cube[used].reshape(len(used), count).T.astype(np.float64)
    lost = ~known[used].reshape(len(used), count).T
    lost |= _constant_columns(cube[used], known[used]).reshape(len(used), count).T
    centre = np.array(
        [np.median(z[~m]) if (~m).any() else 0.0 for z, m in zip(raw.T, lost.T, strict=True)]
    )
    raw = np.where(lost, 0.0, raw - centre)
    scale = np.maximum(_spread(raw, lost), np.finfo(np.float64).tiny)
    raw /= scale
    offsets = np.zeros((samples, len(used)))
    bad = lost | (np.abs(raw) > 4 * _DEAD)
    filled = np.where(bad, 0.0, raw)
    for _ in range(_ROUNDS):
        predicted = filled - _residuals(filled)[0]
        sigma = _spread(raw - np.tile(offsets, (lines, 1)) - predicted, bad)
        # From the raw numbers each time: a false stripe, which another band caused, goes again.
        offsets = _stripes(raw - predicted, bad, sigma, lines)
        striped = raw - np.tile(offsets, (lines, 1))
        bad = lost | (np.abs(striped - predicted) > _DEAD * sigma)
        filled = np.where(bad, predicted, striped)
    residual, beta, precision = _residuals(filled)
    good = np.maximum((~bad).sum(axis=0), 1)
    freedom = (count - len(used)) / count
    variance = np.where(bad, 0.0, residual**2).sum(axis=0) / good / freedom
    diagonal = np.diag(precision)
    squared = beta**2 - variance[:, None] * (diagonal - precision**2 / diagonal[:, None])
    np.fill_diagonal(squared, 1.0)
    own, _ = nnls(squared, variance)
    sigma_all = np.full(bands, np.nan)
    sigma_all[used] = np.sqrt(own) * scale
    dead = np.zeros(cube.shape, bool)
    dead[used] = bad.T.reshape(len(used), lines, samples)
    stripes = np.zeros((bands, samples))
    stripes[used] = (offsets * scale).T
    return NoiseEstimate(sigma_all, dead, stripes, empty)


def _residuals(
    z: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """(E (N, B), beta (B, B) with a diagonal of 0, Q (B, B)) of the regressions on all others."""
    centred = z - z.mean(axis=0)
    size = np.maximum(np.sqrt((centred**2).sum(axis=0)), np.finfo(np.float64).tiny)
    unit = centred / size
    precision = np.linalg.inv(unit.T @ unit + _RIDGE * np.eye(z.shape[1]))
    diagonal = np.diag(precision)
    beta = -precision / diagonal[:, None] * size[:, None] / size
    np.fill_diagonal(beta, 0.0)
    return (unit @ precision) / diagonal * size, beta, precision / size[:, None] / size


def _spread(values: NDArray[np.float64], bad: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Robust standard deviation of each column's good entries."""
    return np.array(
        [
            _MAD * np.median(np.abs(v[~b] - np.median(v[~b]))) if (~b).any() else 0.0
            for v, b in zip(values.T, bad.T, strict=True)
        ]
    )


def _stripes(
    residual: NDArray[np.float64],
    bad: NDArray[np.bool_],
    sigma: NDArray[np.float64],
    lines: int,
) -> NDArray[np.float64]:
    """(x, B): medians of the columns' residuals that are beyond chance."""
    by_line = np.where(bad, np.nan, residual).reshape(lines, -1, residual.shape[1])
    seen = (~np.isnan(by_line)).sum(axis=0)
    middle = np.zeros(by_line.shape[1:])
    some = seen >= 3
    middle[some] = np.nanmedian(by_line[:, some], axis=0)
    limit = _STRIPE * _MEDIAN_ERROR * sigma / np.sqrt(np.maximum(seen, 1))
    return np.where(some & (np.abs(middle) > limit), middle, 0.0)


def _constant_columns(
    cube: NDArray[np.floating[Any]], known: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """(band, y, x) bool: columns with one value in all lines."""
    constant = (cube == cube[:, :1]).all(axis=1) & known.all(axis=1)
    if cube.shape[1] < 3:
        constant[:] = False
    return np.broadcast_to(constant[:, None], cube.shape)
