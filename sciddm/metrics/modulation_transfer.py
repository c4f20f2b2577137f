"""Modulation transfer function from an edge.

Every pixel near a straight or a round edge is a sample of the edge spread function at its distance
from the edge; in bins finer than a pixel they give it oversampled (slanted edge, ISO 12233; round
edge, Richard et al., 2012). Its derivative is the line spread function, whose Fourier transform,
divided by its value at 0, is the MTF. The averaging within a bin and the difference of bins are
divided out, each sinc(f bin).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sciddm.errors import InputError

__all__ = ["distance_to_disk", "distance_to_line", "edge_mtf"]

Floats = NDArray[np.float64]


def distance_to_disk(
    shape: tuple[int, int], centre: tuple[float, float], radius_mm: float, pixel_mm: float
) -> Floats:
    """Signed distance of every pixel from a circle, in mm, negative inside.

    Args:
        shape: (ny, nx).
        centre: (y, x) in pixels.
        radius_mm: of the circle.
        pixel_mm: size of the pixels.
    """
    y, x = np.indices(shape, dtype=np.float64)
    return np.hypot(y - centre[0], x - centre[1]) * pixel_mm - radius_mm


def distance_to_line(
    shape: tuple[int, int], point: tuple[float, float], angle: float, pixel_mm: float
) -> Floats:
    """Signed distance of every pixel from a line, in mm.

    Args:
        shape: (ny, nx).
        point: (y, x) in pixels, on the line.
        angle: of the line's normal from the x axis towards increasing y, radians. An edge along the
            pixels' rows or columns gives no samples between them: slant it by a few degrees.
        pixel_mm: size of the pixels.
    """
    y, x = np.indices(shape, dtype=np.float64)
    across = (x - point[1]) * np.cos(angle) + (y - point[0]) * np.sin(angle)
    out: Floats = across * pixel_mm
    return out


def edge_mtf(
    image: NDArray[Any], distance: Floats, pixel_mm: float, reach_mm: float, oversampling: int = 4
) -> tuple[Floats, Floats]:
    """The MTF across an edge.

    Args:
        image: (y, x) or, for less noise, (n, y, x), HU.
        distance: (y, x) mm, signed, from the edge.
        pixel_mm: size of the pixels.
        reach_mm: how far to either side the edge is the only structure; several times as wide as
            the blur, since what lies beyond is cut off.
        oversampling: bins per pixel.

    Returns:
        frequency in 1/mm, up to twice the pixels' Nyquist frequency, and MTF; 1 at 0.

    Raises:
        InputError: bins without a pixel, or no edge.
    """
    image = np.asarray(image, np.float64)
    if image.ndim not in (2, 3) or image.shape[-2:] != distance.shape:
        raise InputError(f"an image {image.shape} and distances {distance.shape} do not fit")
    mean = image if image.ndim == 2 else image.mean(0)
    step = pixel_mm / oversampling
    half = int(reach_mm / step)
    index = np.floor(distance / step).astype(int) + half
    near = (index >= 0) & (index < 2 * half)
    total = np.bincount(index[near], minlength=2 * half)
    if half < 2 or (total == 0).any():
        raise InputError(
            "an edge needs pixels at every distance from it: reach further, slant the edge, or "
            "oversample less"
        )
    profile = np.bincount(index[near], weights=mean[near], minlength=2 * half) / total
    # Each bin's mean stands for the mean distance of its pixels, the grid for the bins' middles.
    middles = (np.arange(2 * half) + 0.5) * step
    placed = np.bincount(index[near], weights=distance[near], minlength=2 * half) / total
    profile = np.interp(middles, placed + half * step, profile)
    spread = np.diff(profile)
    if abs(spread.sum()) < 1e-12 * max(1.0, float(np.abs(profile).max())):
        raise InputError("no edge: the image has the same value on both sides")
    size = 8 * len(spread)
    f = np.asarray(np.fft.rfftfreq(size, step), np.float64)
    correction = np.sinc(f * step) ** 2
    keep = f <= 1 / pixel_mm
    mtf = np.abs(np.fft.rfft(spread, size))[keep] / correction[keep]
    return f[keep], mtf / mtf[0]
