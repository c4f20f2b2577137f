"""k-space of one point at a known place, for the tests of readers of raw data."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

VOXEL = np.array([1.5, 2.0, 3.0])  # mm, along read, phase and slice
CENTRE = np.array([11.0, -7.0, 23.0])  # of the field of view, LPS
GAP = 4.5  # mm, of 2D slices


def frame(angles: tuple[float, float]) -> NDArray[np.float64]:
    """Rows: read, phase and slice direction."""
    (a, b) = angles
    first = np.array([[np.cos(a), np.sin(a), 0], [-np.sin(a), np.cos(a), 0], [0, 0, 1]])
    second = np.array([[1, 0, 0], [0, np.cos(b), np.sin(b)], [0, -np.sin(b), np.cos(b)]])
    return second @ first


def ramp(size: int, index: int, samples: int | None = None) -> NDArray[np.complex128]:
    """k-space of a point in the pixel `index` of `size`, in a field of view of `samples` pixels."""
    n = samples or size
    return np.exp(-2j * np.pi * (np.arange(n) - n // 2) * (index - size // 2) / n)


def image_of(kspace: NDArray[np.complex64]) -> NDArray[np.float64]:
    """Magnitude of the centred inverse FFT of (slice, ky, kx)."""
    axes = (-2, -1)
    moved = np.fft.ifft2(np.fft.ifftshift(kspace, axes=axes), norm="ortho")
    return np.abs(np.fft.fftshift(moved, axes=axes))
