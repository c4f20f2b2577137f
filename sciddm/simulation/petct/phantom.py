"""A thigh with a tumour, on CT and PET: a study that needs no patient."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy import ndimage

from sciddm.geometry.grid import DIMS, Grid

__all__ = ["Phantom", "thigh_phantom"]

_FWHM = 2.354820045
_PET_FWHM_MM = 6.5
_AIR, _FAT, _MUSCLE, _BONE, _MARROW, _TUMOUR = -1000.0, -95.0, 55.0, 900.0, 30.0, 42.0


@dataclass(frozen=True)
class Phantom:
    """CT in HU and PET in SUV on grids of their own; the tumour on the grid of CT."""

    ct: xr.DataArray
    pet: xr.DataArray
    mask: NDArray[np.bool_]


def thigh_phantom(
    seed: int = 0,
    *,
    shape: tuple[int, int, int] = (56, 110, 110),
    ct_mm: tuple[float, float, float] = (3.27, 2.0, 2.0),
    pet_mm: tuple[float, float, float] = (3.27, 4.69, 4.69),
) -> Phantom:
    """A study with a lobed tumour in the muscle, active at its rim and less in its middle.

    Args:
        seed: of the tumour's form, its place and the noise.
        shape: of CT (z, y, x).
        ct_mm, pet_mm: voxels [z, y, x].
    """
    rng = np.random.default_rng(seed)
    ct_grid = _upright(shape, ct_mm)
    size = np.asarray(shape) * ct_mm
    pet_shape = tuple(int(n) for n in np.floor(size / np.asarray(pet_mm)))
    pet_grid = _upright((pet_shape[0], pet_shape[1], pet_shape[2]), pet_mm)
    lobes = _lobes(rng)
    hu, mask, _ = _tissue(ct_grid, lobes)
    hu = ndimage.gaussian_filter(hu, 0.6) + 18 * rng.standard_normal(shape)
    hu = np.where(hu < _AIR, _AIR, hu)
    # PET is drawn on voxels of half the size, so that its blur is that of the scanner alone.
    fine_mm = tuple(s / 2 for s in pet_mm)
    fine_shape = tuple(2 * n for n in pet_grid.shape)
    fine = _upright(
        (fine_shape[0], fine_shape[1], fine_shape[2]), (fine_mm[0], fine_mm[1], fine_mm[2])
    )
    _, _, suv = _tissue(fine, lobes)
    suv = ndimage.gaussian_filter(suv, [_PET_FWHM_MM / _FWHM / s for s in fine_mm])
    nz, ny, nx = pet_grid.shape
    suv = suv.reshape(nz, 2, ny, 2, nx, 2).mean(axis=(1, 3, 5))
    grain = ndimage.gaussian_filter(rng.standard_normal(pet_grid.shape), 0.7)
    suv = np.clip(suv + 0.25 * np.sqrt(suv + 0.05) * grain / grain.std() * 0.6, 0, None)
    return Phantom(_labelled(hu, ct_grid, "HU"), _labelled(suv, pet_grid, "SUV"), mask)


def _lobes(rng: np.random.Generator) -> NDArray[np.float64]:
    """Balls (x, y, z, radius) in mm, RAS about the middle of the thigh."""
    angle = rng.uniform(0, 2 * math.pi)
    middle = np.array([38 * math.cos(angle), 38 * math.sin(angle), rng.uniform(-15, 15)])
    balls = [[*middle, rng.uniform(18, 24)]]
    for _ in range(4):
        step = rng.normal(size=3)
        step = step / np.linalg.norm(step) * rng.uniform(10, 18)
        balls.append([*(middle + step), rng.uniform(9, 15)])
    return np.array(balls)


def _tissue(
    grid: Grid, lobes: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.bool_], NDArray[np.float64]]:
    """HU, tumour and SUV at the voxels of a grid."""
    z, y, x = (np.arange(n) for n in grid.shape)
    zz, yy, xx = np.meshgrid(z, y, x, indexing="ij")
    mm = np.stack([xx, yy, zz, np.ones_like(xx)], -1) @ grid.affine[:3].T
    r = np.hypot(mm[..., 0] / 1.05, mm[..., 1] / 0.95)
    outline = 88 + 4 * np.sin(mm[..., 2] / 60)
    muscle = r < outline - 14
    skin = r < outline
    bone = np.hypot(mm[..., 0] + 6, mm[..., 1] - 4)
    distance = np.stack([np.linalg.norm(mm - ball[:3], axis=-1) / ball[3] for ball in lobes])
    tumour = (distance.min(0) < 1) & muscle & (bone > 16)
    necrotic = (distance[0] < 0.45) & tumour
    hu = np.select([bone < 7, bone < 14, muscle, skin], [_MARROW, _BONE, _MUSCLE, _FAT], _AIR)
    suv = np.select([bone < 7, bone < 14, muscle, skin], [0.9, 0.5, 0.7, 0.35], 0.0)
    hu = np.where(tumour, np.where(necrotic, 22.0, _TUMOUR), hu)
    suv = np.where(tumour, np.where(necrotic, 2.0, 7.5), suv)
    return hu, tumour, suv


def _upright(shape: tuple[int, int, int], mm: tuple[float, float, float]) -> Grid:
    """About the origin: x to the left, y to the back, z to the head."""
    affine = np.eye(4)
    affine[:3, :3] = np.diag([-mm[2], -mm[1], mm[0]])
    affine[:3, 3] = -affine[:3, :3] @ ((np.asarray(shape[::-1]) - 1) / 2)
    return Grid(affine, shape)


def _labelled(values: NDArray[np.float64], grid: Grid, units: str) -> xr.DataArray:
    attrs = {
        "affine": grid.affine.tolist(),
        "voxel_size_mm": grid.spacing_mm,
        "units": units,
        "orientation_known": True,
        "source": f"phantom {units}",
    }
    return xr.DataArray(values.astype(np.float32), dims=DIMS, attrs=attrs)
