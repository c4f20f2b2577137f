"""Undersampled scans of validation patients, and the draws that our own method makes of them.

For what is measured on validation patients: the calibration of intervals, and what the shift score
says of them. Slices are never those of the benchmark's tests.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from benchmarks.mri import CACHE
from benchmarks.problems import Problem, simulated
from sciddm import zoo
from sciddm.denoiser import NetworkDenoiser
from sciddm.physics import Measurement
from sciddm.physics.mri.encoding import encode
from sciddm.physics.mri.noise import estimate_covariance
from sciddm.pipelines.mri.sampling import grid_of
from sciddm.pipelines.mri.settings import Settings
from sciddm.pipelines.mri.slices import reconstruct_slice
from sciddm.uncertainty.pooled_std import pooled_std

__all__ = ["FIT", "HELD_OUT", "Case", "Drawn", "cache_of", "drawn", "problems_of"]

Case = tuple[str, str, str, str, int]

#: Patient 09, of whom there is FLAIR only.
FIT: tuple[Case, ...] = tuple(("axial", "09", "FLAIR", "study2", z) for z in (6, 10, 14, 31))
#: Patient 19: three contrasts.
HELD_OUT: tuple[Case, ...] = (
    ("axial", "19", "FLAIR", "study2", 14),
    ("axial", "19", "FLAIR", "study2", 42),
    ("axial", "19", "T1W", "study2", 14),
    ("axial", "19", "T1W", "study2", 42),
    ("mni", "19", "T2", "", 8),
    ("mni", "19", "T2", "", 22),
)


@dataclass(frozen=True)
class Drawn:
    """The magnitude of the draws' mean, the magnitudes' standard deviation, and the truth.

    Attributes:
        draws: (K, 1, y, x) complex, in the prior's units.
        image, std, reference: (y, x), in the scan's units; std pooled, without any factor.
        head: (y, x) bool, pixels of the head or limb.
        measurement: what the draws are to fit, in the prior's units.
    """

    draws: torch.Tensor
    image: np.ndarray
    std: np.ndarray
    reference: np.ndarray
    head: np.ndarray
    measurement: Measurement


def problems_of(cases: tuple[Case, ...], accelerations: tuple[int, ...] = (4, 8)) -> list[Problem]:
    """Simulated scans of the cases, each with a mask and noise of its own."""
    return [
        simulated(case, "validation", r, seed=10 * number + r)
        for number, case in enumerate(cases)
        for r in accelerations
    ]


def cache_of(model: zoo.Model, settings: Settings) -> Path:
    """Folder of the draws of one set of weights with one set of settings."""
    digest = hashlib.sha256(f"{model.weights_sha256} {settings}".encode()).hexdigest()
    return CACHE / "validation" / digest[:16]


def drawn(
    denoiser: NetworkDenoiser,
    problem: Problem,
    settings: Settings,
    cache: Path | None = None,
) -> Drawn:
    """Posterior draws of a problem, as the pipeline makes them of its first slice with seed 0."""
    kspace, mask = torch.from_numpy(problem.raw), torch.from_numpy(problem.mask)
    covariance = torch.from_numpy(estimate_covariance(problem.raw, problem.mask))
    encoded = encode(
        kspace,
        mask,
        covariance.to(torch.complex64),
        iterations=settings.iterations,
        grid=grid_of(problem.mask.shape, settings.finer),
    )
    path = None if cache is None else cache / f"{problem.info['name']}-{problem.digest()}.npy"
    if path is not None and path.exists():
        draws = torch.from_numpy(np.load(path))
    else:
        draws = reconstruct_slice(denoiser, encoded, settings, 0, 0).samples[:, 0]
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            np.save(path, draws.numpy())
    images = encoded.frame.to_scan(draws)
    return Drawn(
        draws=draws,
        image=images.mean(0).abs().numpy(),
        std=pooled_std(images.abs().std(0).numpy()),
        reference=problem.reference,
        head=problem.head,
        measurement=encoded.measurement,
    )
