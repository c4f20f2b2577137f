"""Image metrics of the MRI benchmark, on magnitudes of one slice.

    PSNR = 10 log10( max(reference)^2 / mean (image - reference)^2 )
    SSIM = mean over 7 x 7 uniform windows, data range max(reference)

as fastMRI defines them, but with the maximum of the slice, not of the volume: every case here is
one slice. No scale is fitted with the truth. The versions "inside the head" take the mean over the
pixels of ``head_mask`` with the same data range.

Reference: Wang, Bovik, Sheikh & Simoncelli, IEEE Trans Image Process 13:600 (2004), by scikit-image
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.floating]


def psnr(image: Image, reference: Image, inside: NDArray[np.bool_] | None = None) -> float:
    """PSNR in dB of a magnitude image (y, x); over the pixels ``inside`` if given."""
    _check(image, reference)
    error = (image.astype(np.float64) - reference) ** 2
    mse = error.mean() if inside is None else error[inside].mean()
    return float(10 * np.log10(float(reference.max()) ** 2 / mse))


def ssim(image: Image, reference: Image, inside: NDArray[np.bool_] | None = None) -> float:
    """SSIM of a magnitude image (y, x); mean of its map over the pixels ``inside`` if given."""
    from skimage.metrics import structural_similarity

    _check(image, reference)
    mean, full = structural_similarity(
        reference.astype(np.float64),
        image.astype(np.float64),
        win_size=7,
        data_range=float(reference.max()),
        full=True,
    )
    return float(mean) if inside is None else float(full[inside].mean())


def head_mask(reference: Image, threshold: float = 0.06) -> NDArray[np.bool_]:
    """Pixels of the head (y, x): the largest bright object of the reference, its holes filled.

    Args:
        reference: magnitude image.
        threshold: of the smoothed image, as a fraction of the reference's 99th percentile.
    """
    from scipy import ndimage

    smooth = ndimage.gaussian_filter(reference.astype(np.float64), 1.5)
    bright = smooth > threshold * np.percentile(reference, 99)
    labels, count = ndimage.label(bright)
    if count == 0:
        return np.ones(reference.shape, dtype=bool)
    sizes = np.bincount(labels.ravel())[1:]
    return np.asarray(ndimage.binary_fill_holes(labels == 1 + int(np.argmax(sizes))))


def _check(image: Image, reference: Image) -> None:
    if image.ndim != 2 or image.shape != reference.shape:
        raise ValueError(f"metrics need two slices (y, x), got {image.shape}, {reference.shape}")
    if np.iscomplexobj(image) or np.iscomplexobj(reference):
        raise ValueError("metrics are of magnitudes: take abs() first")
