"""Reflectances of soil, crop residue and green vegetation made from what shapes them.

    r(l) = C(l) exp( - sum_k d_k exp( -(l - l_k)^2 / (2 w_k^2) ) )

a continuum C and the absorption bands that name the material: chlorophyll in the visible (430,
470, 640, 680 nm) and liquid water (970, 1190, 1450, 1940 nm) in leaves; cellulose and lignin (1490,
1730, 2100, 2270, 2340 nm) in dry residue; hydroxyl and clay (1410, 1915, 2205 nm) and ferric iron
(490, 870 nm) in soils. Depths d_k, brightness and slope vary from spectrum to spectrum within what
is seen outdoors. They stand in for measured libraries where none is at hand, as in the
demonstration; they are no measurements.

Positions of the bands: Curran, "Remote sensing of foliar chemistry", 1989, table 1 (leaves and
residue); Clark et al., "High spectral resolution reflectance spectroscopy of minerals", 1990.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["procedural_spectra"]

Array = NDArray[np.float64]
#: (centre nm, width nm, smallest depth, largest depth) of each band.
_Bands = Sequence[tuple[float, float, float, float]]
_CHLOROPHYLL: _Bands = (
    (430.0, 40.0, 1.6, 2.4),
    (470.0, 35.0, 1.0, 1.6),
    (640.0, 35.0, 0.9, 1.5),
    (680.0, 16.0, 1.3, 2.2),
)
_WATER: _Bands = (
    (970.0, 25.0, 0.03, 0.12),
    (1190.0, 35.0, 0.08, 0.25),
    (1450.0, 55.0, 0.6, 1.6),
    (1940.0, 75.0, 1.2, 2.5),
)
_DRY: _Bands = (
    (1490.0, 60.0, 0.05, 0.2),
    (1730.0, 30.0, 0.02, 0.08),
    (1930.0, 45.0, 0.1, 0.35),
    (2100.0, 60.0, 0.08, 0.3),
    (2270.0, 30.0, 0.05, 0.15),
    (2340.0, 30.0, 0.05, 0.2),
)
_MINERAL: _Bands = (
    (490.0, 60.0, 0.1, 0.5),
    (870.0, 70.0, 0.0, 0.15),
    (1410.0, 18.0, 0.02, 0.2),
    (1915.0, 30.0, 0.05, 0.35),
    (2205.0, 22.0, 0.02, 0.25),
)


def procedural_spectra(wavelength_nm: Array, count: int = 32, seed: int = 0) -> dict[str, Array]:
    """So many spectra of each class.

    Args:
        wavelength_nm: (l,), within 400 to 2500.
        count: spectra of each class.
        seed: of their random depths, brightness and slopes.

    Returns:
        From soil, residue and green to reflectances (count, l) between 0 and 1.
    """
    rng = np.random.default_rng(seed)
    makers = {"soil": _soil, "residue": _residue, "green": _green}
    return {
        name: np.stack([maker(wavelength_nm, rng) for _ in range(count)])
        for name, maker in makers.items()
    }


def _soil(wavelength: Array, rng: np.random.Generator) -> Array:
    # Bright towards the infrared, and level from about a micrometre on.
    rise = 1 - np.exp(-(wavelength - 300) / rng.uniform(250, 600))
    return rng.uniform(0.15, 0.5) * rise * _bands(wavelength, _MINERAL, rng)


def _residue(wavelength: Array, rng: np.random.Generator) -> Array:
    rise = 1 - np.exp(-(wavelength - 320) / rng.uniform(200, 450))
    fall = np.exp(-np.clip(wavelength - 1300, 0, None) / rng.uniform(2500, 6000))
    return rng.uniform(0.25, 0.55) * rise * fall * _bands(wavelength, _DRY, rng)


def _green(wavelength: Array, rng: np.random.Generator) -> Array:
    edge = rng.uniform(710, 728)  # the red edge: scattering without pigment on its far side
    plateau = 0.12 + 0.88 / (1 + np.exp(-(wavelength - edge) / 12))
    fall = np.exp(-np.clip(wavelength - 1100, 0, None) / rng.uniform(1500, 3000))
    pigment, water = (_bands(wavelength, bands, rng) for bands in (_CHLOROPHYLL, _WATER))
    return rng.uniform(0.35, 0.6) * plateau * fall * pigment * water


def _bands(wavelength: Array, bands: _Bands, rng: np.random.Generator) -> Array:
    # One moisture or pigment content deepens all bands of a material together.
    content = rng.random()
    depth = sum(
        (low + (high - low) * content) * np.exp(-0.5 * ((wavelength - centre) / width) ** 2)
        for centre, width, low, high in bands
    )
    out: Array = np.exp(-np.asarray(depth))
    return out
