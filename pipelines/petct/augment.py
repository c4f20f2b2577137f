"""Patches of a study at random places, turned, stretched and with other intensities."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from sciddm.pipelines.petct.representation import AIR_HU
from sciddm.pipelines.petct.study import Study

__all__ = ["Augmentation", "cut_patch"]


@dataclass(frozen=True)
class Augmentation:
    """How far patches are changed.

    Attributes:
        turn_deg: standard deviation of the angles about the three axes.
        stretch: standard deviation of the logarithm of the size, of each axis on its own by half.
        suv: standard deviation of the logarithm of the SUV's scale: weights, doses and times are
            wrong by so much, scanners and uptake differ by more.
        hu: standard deviation of a shift of all HU.
        noise_suv: largest relative noise added to PET, coarse as its grain.
        noise_hu: largest noise added to CT, HU.
    """

    turn_deg: float = 12.0
    stretch: float = 0.15
    suv: float = 0.25
    hu: float = 15.0
    noise_suv: float = 0.2
    noise_hu: float = 30.0


def cut_patch(
    study: Study,
    patch: tuple[int, int, int],
    centre: tuple[float, float, float],
    rng: np.random.Generator,
    augmentation: Augmentation | None,
) -> tuple[Tensor, Tensor, Tensor]:
    """SUV, HU and mask in -1, 1 of a patch, (z, y, x) each.

    Beyond the study there is air without activity.

    Args:
        study: the volumes.
        patch: its voxels (z, y, x).
        centre: index of its middle in the study (z, y, x).
        rng: of all that is random.
        augmentation: None for the study as it is.
    """
    spacing = np.asarray(study.grid.spacing_mm)
    matrix = np.eye(3) if augmentation is None else _distortion(augmentation, rng)
    # Index in the study of the patch's voxel i: centre + matrix' (i - middle), isotropic in mm.
    matrix = matrix * spacing / spacing[:, None]
    axes = [torch.arange(n, dtype=torch.float32) - (n - 1) / 2 for n in patch]
    offsets = torch.stack(torch.meshgrid(*axes, indexing="ij"), -1)
    places = offsets @ torch.from_numpy(matrix.T.astype(np.float32))
    places = places + torch.tensor(centre, dtype=torch.float32)
    volumes, first = _around(study, places)
    places = places - torch.from_numpy(first.astype(np.float32))
    size = np.asarray(volumes.shape[1:])
    # grid_sample: -1 and 1 are the outer faces of the first and the last voxel; order x, y, z.
    scaled = (2 * places + 1) / torch.from_numpy(size.astype(np.float32)) - 1
    sampled = functional.grid_sample(
        torch.from_numpy(volumes)[None],
        scaled.flip(-1)[None],
        mode="bilinear",
        padding_mode="zeros",
        align_corners=False,
    )[0]
    suv, hu, mask = sampled[0], sampled[1] + AIR_HU, 2 * (sampled[2] > 0.5).float() - 1
    if augmentation is not None:
        suv, hu = _intensities(suv, hu, augmentation, rng)
    return suv, hu, mask


def _around(study: Study, places: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """SUV, HU above air and mask (3, z, y, x) where they are needed, and the first index of it.

    Above air, so that what lies beyond the study can be 0.
    """
    flat = places.reshape(-1, 3)
    last = np.asarray(study.mask.shape) - 1
    first = np.clip(np.floor(flat.amin(0).numpy()).astype(int) - 1, 0, last)
    stop = np.clip(np.ceil(flat.amax(0).numpy()).astype(int) + 2, first + 1, last + 1)
    part = tuple(slice(a, b) for a, b in zip(first, stop, strict=True))
    hu = study.hu[part].astype(np.float32) - AIR_HU
    return np.stack([study.suv[part].astype(np.float32), hu, study.mask[part]]), first


def _distortion(a: Augmentation, rng: np.random.Generator) -> np.ndarray:
    """A linear map (z, y, x): mirrored at random, turned about the three axes, stretched."""
    out = np.diag(rng.choice([-1.0, 1.0], size=3))
    for i, j in ((0, 1), (0, 2), (1, 2)):
        angle = math.radians(rng.normal(0, a.turn_deg))
        turn = np.eye(3)
        turn[i, i] = turn[j, j] = math.cos(angle)
        turn[i, j], turn[j, i] = -math.sin(angle), math.sin(angle)
        out = turn @ out
    size = rng.normal(0, a.stretch) + rng.normal(0, a.stretch / 2, size=3)
    return out * np.exp(size)


def _intensities(
    suv: Tensor, hu: Tensor, a: Augmentation, rng: np.random.Generator
) -> tuple[Tensor, Tensor]:
    suv = suv * math.exp(rng.normal(0, a.suv))
    if rng.random() < 0.5:  # grain of about two voxels of PET, stronger where there is more uptake
        coarse = torch.from_numpy(
            rng.standard_normal([max(2, n // 2) for n in suv.shape], dtype=np.float32)
        )
        grain = functional.interpolate(
            coarse[None, None], size=tuple(suv.shape), mode="trilinear", align_corners=False
        )[0, 0]
        suv = (suv * (1 + rng.uniform(0, a.noise_suv) * grain)).clamp_min(0)
    inside = hu > AIR_HU
    hu = hu + rng.normal(0, a.hu) * inside
    if rng.random() < 0.5:
        noise = torch.from_numpy(rng.standard_normal(tuple(hu.shape), dtype=np.float32))
        hu = hu + rng.uniform(0, a.noise_hu) * noise * inside
    return suv, hu
