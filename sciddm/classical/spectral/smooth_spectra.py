"""Spectra as functions of wavelength: what chance adds to them from band to band is taken away.

The mean of a scene and its principal directions are estimated from as many pixels as there are,
and where the noise is strong, or the pixels few, an error remains in every band that is independent
of its neighbours'. Spectra are not. So a spectrum u is taken as a Gaussian process over the bands,

    y_b = u_b + e_b,    e_b ~ N(0, eps sigma_b^2),
    u ~ N(0, A [(1 - g) k(|l_b - l_b'| / L) + g delta_bb']),

and replaced by its posterior mean. k is exponential (rough: edges of absorption bands) or of
Matern's class with nu = 3/2 (smooth), and g is the share of what bands have to themselves. Kernel,
length L, share g and amplitude A are not chosen but averaged over, by their likelihood (Rasmussen
and Williams, Gaussian Processes for Machine Learning, 2006, sections 2.2, 5.2). Where the error is
small beside the spectrum's own detail, the mean is the spectrum as it was.
"""

from __future__ import annotations

from itertools import product

import numpy as np
from numpy.typing import NDArray

__all__ = ["SmoothSpectra"]

Array = NDArray[np.float64]
_LENGTHS = (2, 4, 8, 16, 32, 64, 128)  # L, in bands
_SHARES = (0.0, 1e-3, 1e-2, 1e-1)  # g
_AMPLITUDES = np.geomspace(1e-3, 10, 21)  # A, of what y has
_NEGLIGIBLE = 1e-3  # share of a prior
_LEAST_NOISE = 1e-3  # of the bands' median: below it bands are exact, and weights stay finite


class SmoothSpectra:
    """Posterior means of spectra in noise of known relative strength.

    Args:
        noise: (band,) sigma.
        position: (band,) wavelengths, in any order and unit; the bands' numbers if None, or if some
            are not known.
    """

    def __init__(self, noise: Array, position: Array | None = None) -> None:
        self._weight = 1 / np.maximum(noise, _LEAST_NOISE * np.median(noise))
        if position is None or not np.isfinite(position).all():
            position = np.arange(float(len(noise)))
        apart = _apart(position)
        same = np.eye(len(noise))
        self._priors = []
        for kernel, length, share in product((_exponential, _matern), _LENGTHS, _SHARES):
            covariance = (1 - share) * kernel(apart / length) + share * same
            value, vectors = np.linalg.eigh(self._weight[:, None] * covariance * self._weight)
            self._priors.append((np.maximum(value / value.mean(), 0), vectors))

    def __call__(self, spectrum: Array, error: float) -> Array:
        """E[u | y], averaged over the priors.

        Args:
            spectrum: (band,) y.
            error: eps.
        """
        unit = np.sqrt(error) / self._weight
        weights, gains = self._weighted(spectrum / unit)
        z = spectrum / unit
        means = [
            vectors @ (gain * (vectors.T @ z))
            for gain, (_, vectors) in zip(gains, self._priors, strict=True)
        ]
        out: Array = (weights @ np.array(means)) * unit
        return out

    def covariance(self, spectrum: Array, error: float) -> Array:
        """Cov[u | y] (band, band), averaged over the priors, with that of their means."""
        unit = np.sqrt(error) / self._weight
        z = spectrum / unit
        weights, gains = self._weighted(z)
        total = np.zeros((len(z), len(z)))
        middle = self(spectrum, error) / unit
        for weight, gain, (_, vectors) in zip(weights, gains, self._priors, strict=True):
            if weight < _NEGLIGIBLE:
                continue
            away = vectors @ (gain * (vectors.T @ z)) - middle
            total += weight * ((vectors * gain) @ vectors.T + np.outer(away, away))
        return np.asarray(total * unit[:, None] * unit)

    def prior(self, spectrum: Array, error: float) -> Array:
        """(band, band) covariance of spectra as smooth as y, in units of the noise, of mean
        variance 1."""
        weights, _ = self._weighted(spectrum / (np.sqrt(error) / self._weight))
        total = np.zeros((len(self._weight), len(self._weight)))
        for weight, (value, vectors) in zip(weights, self._priors, strict=True):
            if weight >= _NEGLIGIBLE:
                total += weight * (vectors * value) @ vectors.T
        return total

    def _weighted(self, z: Array) -> tuple[Array, list[Array]]:
        """(share of each prior, what its posterior mean keeps of each eigenvector of it).

        Args:
            z: (band,) a spectrum whose error has variance 1.
        """
        amplitude = _AMPLITUDES[:, None] * max(float((z**2).mean()), 1.0)
        evidence, gains = [], []
        for value, vectors in self._priors:
            seen = vectors.T @ z
            power = amplitude * value
            log = -0.5 * (np.log1p(power) + seen**2 / (1 + power)).sum(1)
            share, total = _shares(log)
            evidence.append(total)
            gains.append(share @ (power / (1 + power)))
        return _shares(np.array(evidence))[0], gains


def _shares(log: Array) -> tuple[Array, float]:
    """exp(log) in shares of their sum, and the logarithm of that."""
    largest = float(log.max())
    likely = np.exp(log - largest)
    return likely / likely.sum(), largest + float(np.log(likely.sum()))


def _apart(position: Array) -> Array:
    """|l_b - l_b'| in units of the usual step from band to band."""
    apart = np.abs(np.subtract.outer(position, position)).astype(float)
    steps = np.diff(np.sort(position))
    return apart / (float(np.median(steps[steps > 0])) if (steps > 0).any() else 1.0)


def _exponential(r: Array) -> Array:
    return np.exp(-r)


def _matern(r: Array) -> Array:
    return (1 + 3**0.5 * r) * np.exp(-(3**0.5) * r)
