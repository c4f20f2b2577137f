"""How strong the noise of an image is, from the image alone."""

from __future__ import annotations

from torch import Tensor

__all__ = ["noise_level"]

_MAD = 0.6745  # of a unit normal variable


def noise_level(image: Tensor) -> float:
    """Standard deviation of the noise of an image (y, x), from its finest diagonal detail.

    The median of |a - b - c + d| / 2 over all 2 x 2 pixels, over .6745 (Donoho and Johnstone, 1994,
    with Haar's wavelet); exact for white noise.
    """
    detail = (image[:-1, :-1] - image[:-1, 1:] - image[1:, :-1] + image[1:, 1:]) / 2
    moving = detail[detail != 0]  # padding outside of the scan's circle is constant
    return float(moving.abs().median() / _MAD) if moving.numel() else 0.0
