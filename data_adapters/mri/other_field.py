"""Calibration lines of another field of view and matrix, on the grid of the scan.

Scanners measure an external reference with a field of view of its own. Its coil images are smooth
enough to be read at the scan's pixels: with k'_j samples of the reference, F' its field of view and
x_p the scan's pixels,

    f(x_p) = sum_j k'_j exp(2 pi i j x_p / F') / sqrt(N),      f = 0 for |x_p| > F' / 2,

along both axes, and back to k-space by the scan's own FFT of N samples: where the fields of view
are equal, every sample keeps its value. What lies further out in k-space than
the reference was measured stays 0.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["on_grid"]

_TOLERANCE = 1e-6


def on_grid(
    kspace: NDArray[np.complex64],
    mask: NDArray[np.bool_],
    fov: tuple[float, float],
    matrix: tuple[int, int],
    own_fov: tuple[float, float],
) -> NDArray[np.complex64]:
    """k-space of a reference as the scan would have measured it.

    Args:
        kspace: (..., ky, kx) of the reference, DC at N // 2.
        mask: (ky, kx), what was measured of it.
        fov: of the scan along (y, x), mm.
        matrix: of the scan (ky, kx).
        own_fov: of the reference, mm.

    Returns:
        (..., ky, kx) of the scan's matrix; 0 beyond what the reference has.
    """
    out = np.asarray(kspace, np.complex128)
    reach: list[NDArray[np.bool_]] = []
    for axis in (0, 1):
        n, own = matrix[axis], kspace.shape[axis - 2]
        pixels, steps = np.arange(n) - n // 2, np.arange(own) - own // 2
        x = pixels * fov[axis] / n
        read = np.exp(2j * np.pi * np.outer(x, steps) / own_fov[axis]) / np.sqrt(n)
        read[np.abs(x) > own_fov[axis] / 2 * (1 + _TOLERANCE)] = 0
        back = np.exp(-2j * np.pi * np.outer(pixels, pixels) / n) / np.sqrt(n)
        out = np.moveaxis(np.moveaxis(out, axis - 2, -1) @ (back @ read).T, -1, axis - 2)
        seen = steps[mask.any(axis=1 - axis)] / own_fov[axis]
        place, step = pixels / fov[axis], _TOLERANCE / fov[axis]
        reach.append((place >= seen.min(initial=0) - step) & (place <= seen.max(initial=0) + step))
    return np.asarray(out * np.outer(*reach), np.complex64)
