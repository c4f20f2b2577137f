"""The noise of an image, measured where tissue is flat: its level by place and its texture.

    n(q) = s(q) (h * w)(q),    w white noise,

    R(d) = sum_q m(q) m(q + d) u(q) u(q + d) / sum_q m(q) m(q + d),    u = r / s

r is a residual that holds noise, as an image less a strongly smoothed estimate, m where tissue is
flat. The Fourier transform of R is the power spectrum |H|^2, whatever its directions: noise of a
reconstruction has streaks. s follows the power of r at the highest frequencies, of which anatomy
has least, smoothed over some pixels. Values far beyond the noise are edges, and are clipped.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

__all__ = ["NoiseTexture", "noise_texture"]

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

_MOST_HU = 500.0
_FINE = 0.6  # pixels: what a Gaussian of this width takes away is the highest frequencies
_PLACE = 8.0  # pixels, over which the level is smoothed
_CLIP = 3.5  # standard deviations
_REACH = 12  # pixels: noise further apart is independent
_FEWEST = 50  # pairs of pixels that a lag needs
_NORMAL = 0.6745  # the median of |w|


@dataclass(frozen=True)
class NoiseTexture:
    """Noise of an image (y, x).

    Attributes:
        level: s (y, x), 1 in the mean square over the body.
        covariance: R by lag (2 y, 2 x), HU^2, periodic: lag 0 at [0, 0].
    """

    level: Floats
    covariance: Floats

    @property
    def shape(self) -> tuple[int, int]:
        """Of the white noise that a draw is made of."""
        ny, nx = self.covariance.shape
        return ny, nx

    def draw(self, white: Floats) -> Floats:
        """Noise (y, x), HU, of white noise (2 y, 2 x)."""
        gain = np.sqrt(np.maximum(np.fft.fft2(self.covariance).real, 0))
        ny, nx = self.level.shape
        return np.asarray(np.fft.ifft2(np.fft.fft2(white) * gain).real[:ny, :nx] * self.level)


def noise_texture(residual: Floats, flat: Bools, body: Bools) -> NoiseTexture:
    """The noise in a residual.

    Args:
        residual: r (y, x), HU.
        flat: m (y, x), where r is noise alone.
        body: where the level is measured; wider than m.
    """
    r = np.clip(residual, -_MOST_HU, _MOST_HU).astype(np.float64)
    level = _level(r - ndimage.gaussian_filter(r, _FINE), flat, body)
    u = np.where(flat, r / level, 0.0)
    most = _CLIP * _deviation(u[flat])
    u = np.clip(u, -most, most)
    shape = (2 * u.shape[0], 2 * u.shape[1])
    pairs = _correlation(flat.astype(np.float64), shape)
    products = np.where(pairs > _FEWEST, _correlation(u, shape) / np.maximum(pairs, 1), 0.0)
    lags = np.hypot(*np.meshgrid(*(np.fft.fftfreq(n) * n for n in shape), indexing="ij"))
    taper = np.where(lags < _REACH, 0.5 + 0.5 * np.cos(np.pi * lags / _REACH), 0.0)
    return NoiseTexture(level, products * taper)


def _level(fine: Floats, flat: Bools, body: Bools) -> Floats:
    """Standard deviation by place over that of the whole body."""
    usual = _deviation(fine[flat])
    power = np.where(body, np.minimum(fine**2, (_CLIP * usual) ** 2), 0.0)
    inside = ndimage.gaussian_filter(body.astype(np.float64), _PLACE)
    floor = 0.01  # of the weight, far from the body: the usual level
    local = ndimage.gaussian_filter(power, _PLACE) + floor * max(usual, 1e-3) ** 2
    level = np.sqrt(local / (inside + floor))
    return np.asarray(level / np.sqrt((level[body] ** 2).mean()))


def _deviation(values: Floats) -> float:
    return float(np.median(np.abs(values))) / _NORMAL


def _correlation(values: Floats, shape: tuple[int, int]) -> Floats:
    return np.asarray(np.fft.irfft2(np.abs(np.fft.rfft2(values, shape)) ** 2, shape))
