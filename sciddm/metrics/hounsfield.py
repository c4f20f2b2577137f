"""How near an image is to another, in HU, and whether uniform tissue keeps its value.

PSNR, RMSE and SSIM are taken after both images are clipped to a window [low, high] in HU, whose
width is the data range: without the window the numbers of two papers cannot be compared.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from sciddm.errors import InputError
from sciddm.metrics import images

__all__ = ["SOFT_TISSUE", "cnr", "hu_bias", "psnr", "rmse", "ssim", "uniform_regions"]

Array = NDArray[Any]

#: The window of soft tissue, width 400 HU about 40 HU rounded to what the literature uses.
SOFT_TISSUE = (-160.0, 240.0)


def rmse(image: Array, reference: Array, window: tuple[float, float] = SOFT_TISSUE) -> float:
    """sqrt(mean (image - reference)^2) in HU over all pixels, both clipped to the window."""
    image, reference = _windowed(image, reference, window)
    return float(np.sqrt(np.mean((image - reference) ** 2)))


def psnr(image: Array, reference: Array, window: tuple[float, float] = SOFT_TISSUE) -> float:
    """20 log10((high - low) / RMSE) in dB; infinite for equal images."""
    return images.psnr(*_windowed(image, reference, window), window[1] - window[0])


def ssim(image: Array, reference: Array, window: tuple[float, float] = SOFT_TISSUE) -> float:
    """Structural similarity (Wang et al., 2004): Gaussian weights of 1.5 pixels, mean of slices.

    Args:
        image: (y, x) or (z, y, x), HU; slices of at least 11 x 11.
        reference: as image.
        window: [low, high], HU; its width is the data range.
    """
    image, reference = _windowed(image, reference, window)
    if min(image.shape[-2:]) < images.SSIM_SIZE["gaussian"]:
        raise InputError(f"SSIM needs slices of 11 x 11, not {image.shape}")
    return images.ssim(image, reference, window[1] - window[0])


def hu_bias(image: Array, reference: Array, regions: NDArray[np.bool_]) -> float:
    """mean(image - reference) over the regions, in HU; not clipped.

    Raises:
        InputError: the regions are empty, or of another shape.
    """
    image, reference = _pair(image, reference)
    _check_regions(image, regions)
    return float((image - reference)[regions].mean())


def uniform_regions(
    reference: Array, size: int = 9, most_sd: float = 15.0, spread: float = 20.0
) -> NDArray[np.bool_]:
    """Where a reference is the same tissue all around: for ``hu_bias``.

    A pixel counts if, in the size x size pixels about it, the standard deviation is at most
    most_sd, and what remains after averaging over half of that size spans at most spread. Found in
    the reference alone, never in what is judged. The border, size // 2 wide, does not count.

    Args:
        reference: (y, x) or (z, y, x), HU.
        size: odd, pixels.
        most_sd: HU; not below the reference's own noise.
        spread: HU.

    Returns:
        bool, in the shape of the reference.
    """
    reference = np.asarray(reference, np.float64)
    if reference.ndim not in (2, 3) or size < 3 or size % 2 == 0:
        raise InputError(
            f"images (z, y, x) or (y, x) and an odd size, not {reference.shape}, {size}"
        )
    half = size // 2
    plane = (-2, -1)
    centred = reference - reference.mean()  # keeps the difference of squares exact enough
    mean = ndimage.uniform_filter(centred, size, axes=plane, mode="nearest")
    square = ndimage.uniform_filter(centred**2, size, axes=plane, mode="nearest")
    smooth = ndimage.uniform_filter(centred, half | 1, axes=plane, mode="nearest")
    highest = ndimage.maximum_filter(smooth, size, axes=plane, mode="nearest")
    lowest = ndimage.minimum_filter(smooth, size, axes=plane, mode="nearest")
    keep = (square - mean**2 <= most_sd**2) & (highest - lowest <= spread)
    inner = np.zeros_like(keep)
    inner[..., half : keep.shape[-2] - half, half : keep.shape[-1] - half] = True
    out: NDArray[np.bool_] = keep & inner
    return out


def cnr(image: Array, inside: NDArray[np.bool_], background: NDArray[np.bool_]) -> float:
    """Contrast-to-noise ratio of two regions of an image, with sign; see ``images.cnr``.

    Raises:
        InputError: a region is empty or of another shape.
    """
    image = np.asarray(image, np.float64)
    _check_regions(image, inside)
    _check_regions(image, background)
    return images.cnr(image[inside], image[background])


def _check_regions(image: Array, regions: NDArray[np.bool_]) -> None:
    if regions.dtype != bool or regions.shape != image.shape or not regions.any():
        raise InputError(
            f"a region is a mask (bool) of the image's shape {image.shape} that is not empty, not "
            f"{regions.dtype} {regions.shape} with {int(np.count_nonzero(regions))} pixels"
        )


def _pair(image: Array, reference: Array) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    image, reference = np.asarray(image, np.float64), np.asarray(reference, np.float64)
    if image.shape != reference.shape or image.ndim not in (2, 3):
        raise InputError(
            f"image {image.shape} and reference {reference.shape} are to have the same shape, "
            "(y, x) or (z, y, x)"
        )
    return image, reference


def _windowed(
    image: Array, reference: Array, window: tuple[float, float]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    low, high = window
    if not low < high:
        raise InputError(f"a window is [low, high] in HU with low below high, not {window}")
    image, reference = _pair(image, reference)
    return np.clip(image, low, high), np.clip(reference, low, high)
