"""Spectra of pixels drawn from their posterior, with errors that bands share.

The estimate of a pixel is m + S E c (`components`). Its error has four parts,

    e_p = S E dc_p + dm + S dE c_p + u_p

of the pixel's coefficients; of the scene's mean and directions, which all pixels share; and of
signal in directions too weak to be seen. A standard deviation of single entries holds their size.
What is computed of a whole spectrum, such as an unmixing, needs their correlation over the bands
as well: spectra are smooth, so are errors that smoothing leaves (`smooth_spectra`), and a smooth
error moves abundances as white ones never do. dm and dE are drawn from the posterior covariance of
smoothed spectra, u_p from a Gaussian as smooth as the scene's mean, outside of E.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sciddm.classical.spectral.components import Components
from sciddm.classical.spectral.smooth_spectra import SmoothSpectra

__all__ = ["SpectrumDraws"]

Array = NDArray[np.float64]


class SpectrumDraws:
    """Draws of the spectra of a scene's pixels.

    Args:
        components: of the scene.
    """

    def __init__(self, components: Components) -> None:
        known = self._components = components
        smooth = SmoothSpectra(known.noise, known.wavelength_nm)
        level = float(known.mean.mean())
        about = known.mean - level
        white = 1 / known.noise
        self._mean = _root(white[:, None] * smooth.covariance(about, known.mean_error) * white)
        self._directions = [
            _root(white[:, None] * smooth.covariance(e * known.noise, error) * white)
            for e, error in zip(known.basis.T, known.errors, strict=True)
        ]
        outside = np.eye(len(known.noise)) - known.basis @ known.dual.T
        prior = smooth.prior(about, known.mean_error)
        hidden = outside @ prior @ outside.T
        size = float(np.trace(hidden)) / len(known.noise)
        self._hidden = _root(hidden * (known.unseen / size if size > 0 else 0.0))

    def __call__(self, mean: Array, variance: Array, rng: np.random.Generator) -> Array:
        """(band, pixel) one draw, in the unit of the scene's statistics.

        Args:
            mean, variance: (k, pixel) of the coefficients.
            rng: source of the noise.
        """
        known = self._components
        pixels = mean.shape[1]
        c = mean + np.sqrt(variance) * rng.standard_normal(mean.shape)
        white = known.basis @ c
        white += self._hidden @ rng.standard_normal((self._hidden.shape[1], pixels))
        white += np.sqrt(known.rest)[:, None] * rng.standard_normal((len(white), pixels))
        white += (self._mean @ rng.standard_normal(self._mean.shape[1]))[:, None]
        for k, root in enumerate(self._directions):
            white += np.outer(root @ rng.standard_normal(root.shape[1]), c[k])
        return np.asarray(known.mean[:, None] + known.noise[:, None] * white)


def _root(covariance: Array) -> Array:
    """F with F F^T = covariance."""
    value, vectors = np.linalg.eigh((covariance + covariance.T) / 2)
    return np.asarray(vectors * np.sqrt(np.clip(value, 0, None)))
