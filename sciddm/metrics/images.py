"""The formulas that all domains share; each domain says what its data range and regions are.

    PSNR = 10 log10(R^2 / mean (a - r)^2) dB
    SSIM   Wang et al., IEEE Trans Image Process 13:600 (2004), K1 = .01, K2 = .03, data range R
    CNR  = (m_A - m_B) / sqrt(v_A + v_B)

R is the data range, m and v are mean and variance of two regions. Numbers of another data range or
window are not comparable.
"""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["SSIM_SIZE", "cnr", "psnr", "psnr_of_error", "ssim", "values_of"]

#: Width in pixels of the window of each kind of SSIM.
SSIM_SIZE = {"gaussian": 11, "uniform": 7}


def psnr_of_error(mean_square: float, data_range: float) -> float:
    """Peak signal-to-noise ratio in dB of a mean squared error; infinite for 0."""
    return 10 * math.log10(data_range**2 / mean_square) if mean_square > 0 else math.inf


def psnr(estimate: NDArray[Any], reference: NDArray[Any], data_range: float) -> float:
    """Peak signal-to-noise ratio in dB over all entries; infinite for equal arrays.

    Args:
        estimate: real, of any shape.
        reference: likewise.
        data_range: R, in the unit of both.
    """
    difference = np.asarray(estimate, np.float64) - np.asarray(reference, np.float64)
    return psnr_of_error(float(np.mean(difference**2)), data_range)


def ssim(
    estimate: NDArray[Any],
    reference: NDArray[Any],
    data_range: float,
    window: Literal["gaussian", "uniform"] = "gaussian",
) -> float:
    """Structural similarity of two planes, or its mean over planes; at most 1.

    Args:
        estimate: (y, x) or (plane, y, x), real.
        reference: likewise.
        data_range: R, in the unit of both.
        window: Gaussian weights of 1.5 pixels (11 x 11), or 7 x 7 pixels of equal weight.

    Raises:
        ValueError: a side is shorter than the window.
    """
    from skimage.metrics import structural_similarity

    size, shape = SSIM_SIZE[window], reference.shape[-2:]
    if min(shape) < size:
        raise ValueError(f"SSIM needs {size} x {size} pixels, not {shape[0]} x {shape[1]}")
    options: dict[str, Any] = {"win_size": size}
    if window == "gaussian":
        options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    planes = zip(estimate.reshape(-1, *shape), reference.reshape(-1, *shape), strict=True)
    values = [
        structural_similarity(
            r.astype(np.float64), e.astype(np.float64), data_range=data_range, **options
        )
        for e, r in planes
    ]
    return float(np.mean(values))


def cnr(a: ArrayLike, b: ArrayLike) -> float:
    """Contrast-to-noise ratio of the values of two regions, with sign.

    Infinite without noise, 0 for equal means.

    Raises:
        ValueError: an empty region.
    """
    x, y = values_of(a), values_of(b)
    contrast, noise = float(x.mean() - y.mean()), math.sqrt(x.var() + y.var())
    if noise > 0:
        return contrast / noise
    return math.copysign(math.inf, contrast) if contrast else 0.0


def values_of(region: ArrayLike) -> NDArray[np.float64]:
    """The values of a region, (n,); ValueError where it is empty."""
    values = np.asarray(region, float).ravel()
    if not values.size:
        raise ValueError("a region holds no pixel")
    return values
