"""Projection on the spectral subspace of the signal, pixel by pixel."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sciddm.classical.spectral.interface import (
    Attributes,
    Estimate,
    Fitted,
    Method,
    SceneStatistics,
    Tile,
    chi2,
)
from sciddm.progress import Progress

__all__ = ["LowRank", "signal_subspace"]

Array = NDArray[np.float64]


def signal_subspace(covariance: Array, mean: Array, pixels: int) -> Array:
    """An orthonormal basis (band, k) of the signal in noise of variance 1.

    HySime's criterion (Bioucas-Dias and Nascimento, 2008) in whitened coordinates: an eigenvector
    of the signal's correlation matrix R_y - I, R_y = C + m m^T, belongs to the signal if leaving it
    out costs more signal than keeping it costs noise, e^T R_y e > 2. Where pixels are few, noise
    alone has eigenvalues of up to (1 + sqrt(bands/pixels))^2 (Marchenko and Pastur, 1967), which is
    then the limit. At least one is kept.

    Args:
        covariance: (band, band) of the whitened pixels.
        mean: (band,).
        pixels: how many there were.
    """
    power, vectors = np.linalg.eigh(covariance + np.outer(mean, mean))
    limit = max(2.0, (1 + np.sqrt(len(mean) / max(pixels, 1))) ** 2)
    count = max(1, int((power > limit).sum()))
    return np.asarray(vectors[:, ::-1][:, :count])


class LowRank(Method):
    """x = m + S E (E_o^T E_o)^-1 E_o^T S^-1 (y - m): least squares in the subspace about the mean.

    S holds the standard deviations of the noise, E the basis, E_o its rows of the valid bands; with
    few of them the mean of the scene decides, as far as the data do not.
    """

    name = "lowrank"

    def fit(self, statistics: SceneStatistics) -> Fitted:
        """See `Method`."""
        noise, moments = statistics.noise, statistics.moments
        if not statistics.sigma.max() > 0:
            return _Projection(np.eye(len(noise)), noise, moments.mean)
        white = moments.covariance / noise[:, None] / noise
        basis = signal_subspace(white, moments.mean / noise, moments.count)
        return _Projection(basis, noise, moments.mean)


class _Projection(Fitted):
    halo = 0

    def __init__(self, basis: Array, noise: Array, mean: Array) -> None:
        self._basis, self._noise, self._mean = basis, noise, mean
        self.attributes: Attributes = {"method": LowRank.name, "rank": basis.shape[1]}

    def apply(self, tile: Tile, seed: int = 0, progress: Progress | None = None) -> Estimate:
        mean = self._mean.astype(np.float32)[:, None, None]
        noise = self._noise.astype(np.float32)[:, None, None]
        coefficients = project((tile.values - mean) / noise, tile.valid, self._basis)
        found = np.tensordot(self._basis.astype(np.float32), tile.inner(coefficients), 1)
        found = found * noise + mean
        return Estimate(found, None, {"nfe": 0, "nvjp": 0, "chi2": chi2(tile, found, self._noise)})


def project(
    white: NDArray[np.floating[Any]],
    valid: NDArray[np.bool_],
    basis: Array,
    precision: NDArray[np.floating[Any]] | None = None,
    expected: NDArray[np.floating[Any]] | None = None,
) -> NDArray[np.float32]:
    """Coefficients (k, y, x) of a tile, from the valid entries of each pixel.

    Where all are valid c = E^T y. Elsewhere, with the prior N(m, P^-1) of the coefficients,

        c = m + (E_o^T E_o + P)^-1 E_o^T (y_o - E_o m)

    Args:
        white: (band, y, x) about the scene's mean, noise of variance 1.
        valid: (band, y, x) bool.
        basis: (band, k).
        precision: (k,) P; if None so small (1e-4, in units of the noise) that it decides only what
            the data leave open.
        expected: (k, y, x) m; 0 if None.
    """
    e = basis.astype(np.float32)
    k = e.shape[1]
    found = np.tensordot(e.T, np.where(valid, white, np.float32(0)), 1).reshape(k, -1)
    gaps = np.flatnonzero(~valid.all(axis=0).ravel())
    weight = np.full(k, 1e-4) if precision is None else precision
    flat, known = white.reshape(len(white), -1), valid.reshape(len(valid), -1)
    middle = None if expected is None else expected.reshape(k, -1)
    for start in range(0, len(gaps), _PIXELS):
        some = gaps[start : start + _PIXELS]
        seen = known[:, some].astype(np.float32)
        left = np.where(seen > 0, flat[:, some], 0)
        first = np.zeros((k, len(some)), np.float32) if middle is None else middle[:, some]
        left = left - seen * (e @ first)
        gram = np.einsum("bi,bp,bj->pij", e, seen, e, optimize=True).astype(np.float64)
        gram += np.diag(weight)
        moved = np.linalg.solve(gram, (e.T @ left).T.astype(np.float64)[..., None])[..., 0]
        found[:, some] = first + moved.T
    return np.asarray(found, np.float32).reshape(k, *white.shape[1:])


_PIXELS = 4096  # whose systems are solved at a time
