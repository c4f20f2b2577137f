"""Where groups of bands lie in the spectrum, as numbers that a network can be told."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["POSITIONS", "band_positions"]

_WAVES_NM = (2400.0, 1200.0, 600.0)
#: Numbers that tell where a group lies.
POSITIONS = 2 + 2 * len(_WAVES_NM)


def band_positions(
    wavelength_nm: NDArray[np.float64] | None, bands: int, each: int
) -> NDArray[np.float32]:
    """(POSITIONS, groups) of groups of `each` bands, the last of which may have fewer.

    With l the mean wavelength of a group and d the distance of neighbouring bands in it: 1, d / 10
    nm - 1, and sine and cosine of 2 pi l / w for w = 2400, 1200 and 600 nm. All 0 where wavelengths
    are not known: bands are then only known by their order.

    Args:
        wavelength_nm: (band,) or None.
        bands: how many.
        each: bands of a group.
    """
    groups = -(-bands // each)
    found = np.zeros((POSITIONS, groups), np.float32)
    if wavelength_nm is None:
        return found
    step = np.abs(np.gradient(wavelength_nm)) if bands > 1 else np.full(1, 10.0)
    for i in range(groups):
        mine = slice(i * each, (i + 1) * each)
        angle = 2 * np.pi * wavelength_nm[mine].mean() / np.array(_WAVES_NM)
        # The median: a gap where bad bands were left out says nothing of the others.
        distance = min(np.median(step[mine]) / 10 - 1, 5.0)
        found[:, i] = [1.0, distance, *np.sin(angle), *np.cos(angle)]
    return found
