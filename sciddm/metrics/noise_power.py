"""Noise power spectrum: how strong the noise is at every spatial frequency (ICRU Report 87).

    NPS(fx, fy) = (h^2 / (nx ny)) mean over the regions of |DFT(region - trend)|^2,   HU^2 mm^2

Its integral over all frequencies is the variance of the detrended noise.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sciddm.errors import InputError

__all__ = ["noise_power", "radial_mean"]

Floats = NDArray[np.float64]


def noise_power(
    regions: NDArray[Any], pixel_mm: float, trend: int = 0
) -> tuple[Floats, Floats, Floats]:
    """The two-dimensional spectrum of regions with noise.

    Args:
        regions: (n, ny, nx), HU, of uniform tissue; or differences of two scans, whose spectrum is
            twice that of one.
        pixel_mm: size of the pixels.
        trend: degree of the polynomial in x and y that is taken off every region: 0 its mean, 1 a
            plane, 2 also cupping. It also takes what noise there is at the lowest frequencies.

    Returns:
        NPS (ny, nx) in HU^2 mm^2; fy (ny,) and fx (nx,) in 1/mm, ascending, 0 at n // 2.

    Raises:
        InputError: other shapes, or regions too small for the trend.
    """
    regions = np.asarray(regions, np.float64)
    if regions.ndim != 3 or min(regions.shape[1:]) <= trend + 1 or regions.shape[0] < 1:
        raise InputError(
            f"regions (n, ny, nx) of more than {trend + 1} pixels, not {regions.shape}"
        )
    if not (pixel_mm > 0 and trend in (0, 1, 2)):
        raise InputError(f"pixels above 0 mm and a trend of 0, 1 or 2, not {pixel_mm}, {trend}")
    _, ny, nx = regions.shape
    y, x = np.meshgrid(np.linspace(-1, 1, ny), np.linspace(-1, 1, nx), indexing="ij")
    terms = [x**i * y**j for i in range(trend + 1) for j in range(trend + 1 - i)]
    basis, _ = np.linalg.qr(np.stack([t.ravel() for t in terms], axis=1))
    flat = regions.reshape(len(regions), -1)
    noise = (flat - flat @ basis @ basis.T).reshape(regions.shape)
    power = (np.abs(np.fft.fft2(noise)) ** 2).mean(0) * pixel_mm**2 / (ny * nx)
    fy, fx = (
        np.asarray(np.fft.fftshift(np.fft.fftfreq(n, pixel_mm)), np.float64) for n in (ny, nx)
    )
    return np.fft.fftshift(power), fy, fx


def radial_mean(power: Floats, fy: Floats, fx: Floats, bins: int = 32) -> tuple[Floats, Floats]:
    """The spectrum against the distance from 0, up to the Nyquist frequency.

    Args:
        power: (ny, nx), from `noise_power`.
        fy: (ny,), 1/mm.
        fx: (nx,), 1/mm.
        bins: number of rings; those without a sample are left out.

    Returns:
        mean frequency and mean power of every ring; the frequency 0 itself is left out.
    """
    radius = np.hypot(fy[:, None], fx)
    top = min(np.abs(fy).max(), np.abs(fx).max())
    ring = np.minimum((radius / top * bins).astype(int), bins)
    ring[radius == 0] = bins
    ring[radius > top] = bins
    total = np.bincount(ring.ravel(), minlength=bins + 1)[:bins]
    sums = [
        np.bincount(ring.ravel(), weights=v.ravel(), minlength=bins + 1)[:bins]
        for v in (radius, power)
    ]
    filled = total > 0
    return sums[0][filled] / total[filled], sums[1][filled] / total[filled]
