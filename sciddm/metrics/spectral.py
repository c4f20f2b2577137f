"""Quality of a cube (band, y, x) against the true one, both in [0, 1]; nothing is clipped.

Bands or spectra for which a number is not defined are left out of its mean. Entries that are NaN in
the reference count nowhere in PSNR and ERGAS; SSIM needs whole bands, SAM whole spectra.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sciddm.metrics import images
from sciddm.metrics.images import psnr_of_error

__all__ = ["Running", "ergas", "evaluate_cube", "psnr", "sam", "ssim"]

Cube = NDArray[np.floating[Any]]


class Running:
    """Sums over blocks of lines from which PSNR, SAM and ERGAS of a cube follow.

    Args:
        bands: of the cube.
    """

    def __init__(self, bands: int) -> None:
        self._square, self._total = np.zeros(bands), np.zeros(bands)
        self._count = np.zeros(bands)
        self._angle, self._spectra = 0.0, 0

    def add(self, estimate: Cube, reference: Cube) -> None:
        """Takes in a block (band, y, x); what is NaN in the reference counts nowhere."""
        _check(estimate, reference)
        known = np.isfinite(reference)
        truth = np.where(known, reference, 0).astype(np.float64)
        guess = np.where(known, estimate, 0).astype(np.float64)
        self._square += ((guess - truth) ** 2).sum(axis=(1, 2))
        self._total += truth.sum(axis=(1, 2))
        self._count += known.sum(axis=(1, 2))
        x, y = truth.reshape(len(truth), -1), guess.reshape(len(truth), -1)
        size_x, size_y = np.linalg.norm(x, axis=0), np.linalg.norm(y, axis=0)
        usable = known.all(axis=0).ravel() & (size_x > 0) & (size_y > 0) & np.isfinite(size_y)
        u, v = x[:, usable] / size_x[usable], y[:, usable] / size_y[usable]
        angle = 2 * np.arctan2(np.linalg.norm(u - v, axis=0), np.linalg.norm(u + v, axis=0))
        self._angle += float(angle.sum())
        self._spectra += int(usable.sum())

    @property
    def _errors(self) -> NDArray[np.float64]:
        """Mean squared error of each band that has a finite entry."""
        seen = self._count > 0
        if not seen.any():
            raise ValueError("the reference holds no finite value")
        return np.asarray(self._square[seen] / self._count[seen])

    @property
    def psnr(self) -> float:
        """See the function."""
        return float(np.mean([psnr_of_error(float(error), 1.0) for error in self._errors]))

    @property
    def sam(self) -> float:
        """See the function; spectra of all bands that were given."""
        if not self._spectra:
            raise ValueError("no spectrum of which the angle is defined")
        return float(np.degrees(self._angle / self._spectra))

    def ergas(self, ratio: float = 1.0) -> float:
        """See the function."""
        error, seen = self._errors, self._count > 0
        mean = self._total[seen] / self._count[seen]
        usable = mean != 0
        return float(100 / ratio * np.sqrt(np.mean(error[usable] / mean[usable] ** 2)))


def psnr(estimate: Cube, reference: Cube) -> float:
    """Mean over bands of -10 log10(MSE_b), dB: peak signal-to-noise ratio of data range 1.

    Infinite where a band is exact.
    """
    return _of_all(estimate, reference).psnr


def ssim(estimate: Cube, reference: Cube) -> float:
    """Mean over bands of the structural similarity (Wang et al., 2004): Gaussian window of sigma
    1.5 pixels (11 x 11), K1 = .01, K2 = .03, data range 1.

    Raises:
        ValueError: a side is shorter than the window.
    """
    _check(estimate, reference)
    whole = np.isfinite(reference).all(axis=(1, 2))
    return images.ssim(estimate[whole], reference[whole], 1.0)


def sam(estimate: Cube, reference: Cube) -> float:
    """Mean over pixels of the angle between the spectra, degrees (Kruse et al., 1993).

    arccos(<x, y> / (|x| |y|)), computed as 2 atan2(|u - v|, |u + v|) of the unit vectors u, v,
    which stays exact for small angles. Bands that are nowhere finite in the reference are left
    out, then spectra that are not finite or zero.
    """
    _check(estimate, reference)
    known = np.isfinite(reference).any(axis=(1, 2))
    return _of_all(estimate[known], reference[known]).sam


def ergas(estimate: Cube, reference: Cube, ratio: float = 1.0) -> float:
    """100/ratio sqrt(mean_b (RMSE_b / mean_b)^2), mean_b of the reference (Wald, 2000).

    Args:
        estimate: (band, y, x).
        reference: (band, y, x).
        ratio: of the pixels' sizes in sharpening; 1 for denoising.
    """
    return _of_all(estimate, reference).ergas(ratio)


def evaluate_cube(estimate: Cube, reference: Cube) -> dict[str, float]:
    """All of them by name: psnr_db, ssim, sam_deg, ergas."""
    return {
        "psnr_db": psnr(estimate, reference),
        "ssim": ssim(estimate, reference),
        "sam_deg": sam(estimate, reference),
        "ergas": ergas(estimate, reference),
    }


def _of_all(estimate: Cube, reference: Cube) -> Running:
    _check(estimate, reference)
    if not np.isfinite(reference).any():
        raise ValueError("the reference holds no finite value")
    found = Running(len(reference))
    found.add(estimate, reference)
    return found


def _check(estimate: Cube, reference: Cube) -> None:
    if estimate.shape != reference.shape or reference.ndim != 3:
        raise ValueError(f"cubes (band, y, x) of the shapes {estimate.shape}, {reference.shape}")
