"""The texture of noise within a body: its power spectrum over patches, and how fine it is.

The noise of a denoised or low-dose image is its difference from a reference, in which the anatomy
cancels; patches lie wholly within the body. Where there is no reference, patches of uniform tissue
show an image's own noise.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from sciddm.errors import InputError
from sciddm.geometry.objects import objects
from sciddm.metrics.hounsfield import uniform_regions
from sciddm.metrics.noise_power import noise_power, radial_mean

__all__ = [
    "body_mask",
    "mean_frequency",
    "noise_texture",
    "patches",
    "texture_distance",
    "uniform_tissue",
]

Floats = NDArray[np.float64]

_TISSUE_HU = -400.0
_UNIFORM_MM = 9.0
_UNIFORM_PIXELS = (5, 9)  # the fewest and the most a side


def body_mask(hu: NDArray[Any]) -> NDArray[np.bool_]:
    """The body in every slice: the largest object denser than -400 HU, its holes filled.

    Args:
        hu: (z, y, x).
    """
    found = np.zeros(hu.shape, bool)
    for mask, image in zip(found, hu, strict=True):
        # Smoothed, so that noise neither breaks the skin nor makes specks in the air.
        labels, count = objects(ndimage.gaussian_filter(image, 1.5) > _TISSUE_HU)
        if count:
            sizes = np.bincount(labels.ravel())[1:]
            mask[:] = ndimage.binary_fill_holes(labels == 1 + int(np.argmax(sizes)))
    return found


def uniform_tissue(hu: NDArray[Any], pixel_mm: float, most_sd: float = 30.0) -> NDArray[np.bool_]:
    """Where the body is the same tissue for about 9 mm around: see `metrics.uniform_regions`.

    Args:
        hu: (z, y, x).
        pixel_mm: size of the pixels; squares of 5 to 9 of them are looked at.
        most_sd: HU, standard deviation in a square; not below the image's own noise.
    """
    few, many = _UNIFORM_PIXELS
    wanted = _UNIFORM_MM / pixel_mm if pixel_mm > 0 else many
    size = min(many, max(few, 2 * round((wanted - 1) / 2) + 1))
    return uniform_regions(hu, size, most_sd) & body_mask(hu)


def patches(values: NDArray[Any], inside: NDArray[np.bool_], size: int) -> NDArray[np.float64]:
    """Squares of the slices that lie wholly inside, half of their size apart: (n, size, size).

    Args:
        values: (z, y, x).
        inside: (z, y, x).
        size: pixels, 4 or more.
    """
    step = max(1, size // 2)
    found = []
    for image, mask in zip(values, inside, strict=True):
        for y in range(0, image.shape[0] - size + 1, step):
            for x in range(0, image.shape[1] - size + 1, step):
                square = (slice(y, y + size), slice(x, x + size))
                if mask[square].all():
                    found.append(image[square])
    return np.asarray(found, np.float64).reshape(-1, size, size)


def noise_texture(
    noise: NDArray[Any], inside: NDArray[np.bool_], pixel_mm: float, size: int = 32, trend: int = 1
) -> tuple[Floats, Floats]:
    """The radial mean of the noise power spectrum over patches inside.

    Args:
        noise: (z, y, x), HU.
        inside: (z, y, x).
        pixel_mm: size of the pixels.
        size: of the patches, pixels.
        trend: see `noise_power`.

    Returns:
        frequency (n,) in 1/mm and power (n,) in HU^2 mm^2.

    Raises:
        InputError: no patch fits.
    """
    regions = patches(noise, inside, size)
    if not len(regions):
        raise InputError(f"no {size} x {size} pixels lie wholly inside: take smaller patches")
    power, fy, fx = noise_power(regions, pixel_mm, trend)
    return radial_mean(power, fy, fx, bins=size // 2)


def mean_frequency(f: Floats, power: Floats) -> float:
    """The mean of f over the plane, weighted with the power: small for coarse noise. 1/mm."""
    weight = power * f  # the rings' areas
    return float((f * weight).sum() / weight.sum())


def texture_distance(one: Floats, other: Floats, f: Floats) -> float:
    """How much the shapes of two spectra differ: 0 for equal shapes, 1 where they share nothing.

    Half of the sum of |differences| of the powers per ring, each spectrum scaled to a sum of 1.
    """
    shares = [p * f / (p * f).sum() for p in (one, other)]
    return float(np.abs(shares[0] - shares[1]).sum() / 2)
