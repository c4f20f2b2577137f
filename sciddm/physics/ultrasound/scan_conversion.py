"""Lines at angles to a picture with square pixels, and back.

A line at angle a from the vertical holds samples at radius r = r0 + n dr from the apex, at

    x = r sin a,   z = r cos a - r0

with the first sample of the middle line at z = 0. Both directions interpolate linearly, so a smooth
image survives the round trip to second order in the step.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

__all__ = ["from_picture", "picture_grid", "to_picture"]

Image = NDArray[np.floating]


def picture_grid(
    depth: NDArray[np.floating], angles: NDArray[np.floating], apex_m: float, step: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(z, x): the axes of a picture that holds the whole sector, in m.

    Args:
        depth: (n,), m, from the first sample.
        angles: (m,), rad, increasing.
        apex_m: radius of the first sample.
        step: of the picture, m.
    """
    r = apex_m + depth - depth[0]
    corners = np.array(
        [[q * np.cos(a) - apex_m, q * np.sin(a)] for q in (r[0], r[-1]) for a in angles]
    )
    low, high = corners.min(axis=0), corners.max(axis=0)
    if angles[0] < 0 < angles[-1]:
        high[0] = r[-1] - apex_m
    z, x = (np.arange(a, b + step / 2, step) for a, b in zip(low, high, strict=True))
    return z, x


def to_picture(
    image: Image,
    depth: NDArray[np.floating],
    angles: NDArray[np.floating],
    apex_m: float,
    z: NDArray[np.floating],
    x: NDArray[np.floating],
) -> Image:
    """The image (depth, line) at the pixels (z, x); NaN outside of the sector."""
    zz, xx = np.meshgrid(z + apex_m, x, indexing="ij")
    r, a = np.hypot(zz, xx), np.arctan2(xx, zz)
    row = (r - apex_m) / (depth[1] - depth[0])
    column = np.interp(a, angles, np.arange(len(angles)), left=-9, right=len(angles) + 9)
    outside = (row < 0) | (row > len(depth) - 1) | (column < 0) | (column > len(angles) - 1)
    out = ndimage.map_coordinates(image, [row, column], order=1, mode="nearest")
    return np.where(outside, np.nan, out)


def from_picture(
    picture: Image,
    z: NDArray[np.floating],
    x: NDArray[np.floating],
    depth: NDArray[np.floating],
    angles: NDArray[np.floating],
    apex_m: float,
) -> Image:
    """The picture (z, x) at the samples of lines; its NaN count as 0."""
    r, a = np.meshgrid(apex_m + depth - depth[0], angles, indexing="ij")
    row = (r * np.cos(a) - apex_m - z[0]) / (z[1] - z[0])
    column = (r * np.sin(a) - x[0]) / (x[1] - x[0])
    out: Image = ndimage.map_coordinates(
        np.nan_to_num(picture), [row, column], order=1, mode="nearest"
    )
    return out
