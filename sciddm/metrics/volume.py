"""Agreement of a magnitude volume with its reference, by fastMRI's definitions.

    PSNR = 10 log10(R^2 / mean (a - r)^2) dB,  R = max r over the volume
    NMSE = |a - r|^2 / |r|^2 over the volume
    SSIM = mean over slices of the structural similarity with a 7 x 7 uniform window, range R

Both depend on the background and on the aggregation: numbers with another data range or window
are not comparable. No scale is fitted.

References:
    Zbontar et al., fastMRI, arXiv 1811.08839 (2018), section 5
    Wang et al., Image quality assessment, IEEE Trans Image Process 13:600 (2004)
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sciddm.errors import InputError
from sciddm.metrics.images import SSIM_SIZE, psnr, ssim

__all__ = ["nmse_volume", "psnr_volume", "ssim_volume"]


def psnr_volume(image: NDArray[Any], reference: NDArray[Any]) -> float:
    """Peak signal-to-noise ratio in dB; infinite for equal volumes.

    Args:
        image: (slice, y, x), real.
        reference: (slice, y, x), real.
    """
    image, reference, top = _checked(image, reference)
    return psnr(image, reference, top)


def nmse_volume(image: NDArray[Any], reference: NDArray[Any]) -> float:
    """Normalised mean squared error, at least 0.

    Args:
        image: (slice, y, x), real.
        reference: (slice, y, x), real.
    """
    image, reference, _ = _checked(image, reference)
    return float(((image - reference) ** 2).sum() / (reference**2).sum())


def ssim_volume(image: NDArray[Any], reference: NDArray[Any]) -> float:
    """Structural similarity, at most 1.

    Args:
        image: (slice, y, x), real; slices of at least 7 x 7.
        reference: (slice, y, x), real.
    """
    image, reference, top = _checked(image, reference)
    if min(reference.shape[1:]) < SSIM_SIZE["uniform"]:
        raise InputError(f"SSIM needs slices of 7 x 7, not {reference.shape[1:]}")
    return ssim(image, reference, top, "uniform")


def _checked(
    image: NDArray[Any], reference: NDArray[Any]
) -> tuple[NDArray[np.float64], NDArray[np.float64], float]:
    if np.iscomplexobj(image) or np.iscomplexobj(reference):
        raise InputError("quality is measured on magnitudes: take the absolute value first")
    image, reference = np.asarray(image, np.float64), np.asarray(reference, np.float64)
    if image.shape != reference.shape or image.ndim != 3:
        raise InputError(
            f"image {image.shape} and reference {reference.shape} are to be one volume "
            "(slice, y, x) each"
        )
    top = float(reference.max())
    if not top > 0:
        raise InputError("the reference is empty: its maximum is not above 0")
    return image, reference, top
