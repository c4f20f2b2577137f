"""A body with organs that take up tracer, about a study that shows no more than a tumour.

What a model of tumours meets in a clinic, and what a crop round a tumour does not show: brain,
heart, liver, kidneys and bladder, each hotter than many tumours.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy import ndimage

from sciddm.geometry.grid import DIMS, Grid, grid_of

__all__ = ["Body", "body_about"]

_FWHM = 2.354820045
_PET_FWHM_MM = 6.5
_AIR, _FAT, _MUSCLE = (-1000.0, 0.0), (-95.0, 0.3), (50.0, 0.6)  # HU, SUV
_NOISE_HU, _NOISE_SUV = 18.0, 0.12
_FOOT, _SHOULDER, _HEAD = -780.0, 300.0, 480.0  # mm along the body, from the navel
_SKIN = 20.0  # mm of fat


@dataclass(frozen=True)
class Body:
    """CT in HU and PET in SUV of a body; tumour and organs on the grid of CT.

    Attributes:
        box: ends of what the study shows along R, A, S, mm, (2, 3).
        organs: where tracer is taken up without a tumour.
    """

    ct: xr.DataArray
    pet: xr.DataArray
    tumour: NDArray[np.bool_]
    organs: NDArray[np.bool_]
    box: NDArray[np.float64]


@dataclass(frozen=True)
class _Organ:
    """An ellipsoid: its middle and semi-axes (R, A, S, mm, from the navel), HU and SUV."""

    middle: tuple[float, float, float]
    axes: tuple[float, float, float]
    hu: float
    suv: float
    hot: bool = True


def body_about(
    pet: xr.DataArray, ct: xr.DataArray, tumour: NDArray[np.bool_], seed: int = 0
) -> Body:
    """The study pasted into the thigh of a body, voxel for voxel as it is.

    Args:
        pet, ct: (z, y, x) in SUV and HU, on grids along the axes of the patient.
        tumour: (z, y, x), on the grid of CT.
        seed: of the place, the organs' sizes and uptakes, and the noise.

    Raises:
        ValueError: a grid that is turned.
    """
    rng = np.random.default_rng(seed)
    box = np.stack(grid_of(ct).box())
    organs = _organs(rng)
    # The study's upper end lies below the bladder; it stays where it is, and the body moves.
    place = np.array([rng.uniform(-50, 50), rng.uniform(-20, 20), rng.uniform(-260, -190)])
    navel = np.array([*box.mean(0)[:2], box[1, 2]]) - place
    low = np.minimum(navel + np.array([-210, -150, _FOOT]), box[0])
    high = np.maximum(navel + np.array([210, 150, _HEAD]), box[1])
    grid, at = _padded(grid_of(ct), low, high)
    hu, hot = _painted(grid, navel, organs, 0)
    hu = ndimage.gaussian_filter(hu, 0.6, output=hu)
    hu += _NOISE_HU * rng.standard_normal(grid.shape, np.float32)
    hu[at] = ct.transpose(*DIMS).values
    where = np.zeros(grid.shape, bool)
    where[at] = tumour
    hot[at] = False
    pet_grid, pet_at = _padded(grid_of(pet), low, high)
    suv, _ = _painted(pet_grid, navel, organs, 1)
    suv = ndimage.gaussian_filter(suv, [_PET_FWHM_MM / _FWHM / s for s in pet_grid.spacing_mm])
    grain = ndimage.gaussian_filter(rng.standard_normal(pet_grid.shape), 0.7)
    suv = np.clip(suv + _NOISE_SUV * np.sqrt(suv + 0.05) * grain / grain.std(), 0, None)
    suv[pet_at] = pet.transpose(*DIMS).values
    return Body(_labelled(hu, grid, ct), _labelled(suv, pet_grid, pet), where, hot, box)


def _organs(rng: np.random.Generator) -> list[_Organ]:
    """Later ones lie over earlier ones."""

    def size(*axes: float) -> tuple[float, float, float]:
        x, y, z = np.asarray(axes) * rng.uniform(0.9, 1.1)
        return float(x), float(y), float(z)

    lungs = [_Organ((side * 75, 5, 200), size(55, 75, 100), -780, 0.4, False) for side in (-1, 1)]
    kidneys = [
        _Organ((side * 62, -45, 40), size(27, 24, 52), 35, rng.uniform(5, 9)) for side in (-1, 1)
    ]
    head = rng.uniform(0.9, 1.1)
    skull, brain = ((a * head, 1.2 * a * head, 1.07 * a * head) for a in (80.0, 71.0))
    return [
        *lungs,
        _Organ((0, -70, 0), size(20, 20, 300), 350, 1.3, False),  # spine
        _Organ((20, 15, 170), size(42, 45, 50), 45, rng.uniform(4, 10)),  # heart
        _Organ((70, 5, 90), size(85, 75, 62), 58, rng.uniform(1.8, 2.8)),  # liver
        *kidneys,
        _Organ((0, 25, -125), size(38, 34, 34), 8, rng.uniform(15, 40)),  # bladder
        _Organ((0, 0, 385), skull, 900, 0.6, False),  # skull
        _Organ((0, 0, 385), brain, 36, rng.uniform(7, 12)),  # brain
    ]


def _painted(
    grid: Grid, navel: NDArray[np.float64], organs: Sequence[_Organ], channel: int
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """HU (channel 0) or SUV (1) of all tissue on a grid, and where organs are hot."""
    x, y, z = (_along(grid, axis) - navel[axis] for axis in range(3))
    across = (x / 185) ** 2 + (y / 125) ** 2
    trunk = (z >= _FOOT) & (z <= _SHOULDER)
    values = np.full(grid.shape, _AIR[channel], np.float32)
    hot = np.zeros(grid.shape, bool)
    neck = (x / 65) ** 2 + (y / 65) ** 2 + 0 * z
    for tissue, skin in ((_FAT, 0.0), (_MUSCLE, _SKIN)):
        inside = trunk & (across * (185 / (185 - skin)) ** 2 < 1)
        inside |= (z > _SHOULDER) & (z < 360) & (neck * (65 / (65 - skin)) ** 2 < 1)
        values[inside] = tissue[channel]
    for organ in organs:
        parts = zip((x, y, z), organ.middle, organ.axes, strict=True)
        inside = sum(((v - m) / a) ** 2 for v, m, a in parts) < 1
        values[inside] = (organ.hu, organ.suv)[channel]
        hot[inside] = organ.hot
    return values, hot


def _along(grid: Grid, axis: int) -> NDArray[np.float32]:
    """A coordinate of R, A, S at all voxels, (z, 1, 1), (1, y, 1) or (1, 1, x)."""
    row = grid.affine[axis, :3]
    if np.count_nonzero(np.abs(row) > 1e-6) != 1 or not abs(row[axis]) > 1e-6:
        raise ValueError("the grid is turned against the axes of the patient")
    shape = [1, 1, 1]
    count = grid.shape[2 - axis]
    shape[2 - axis] = count
    mm = grid.affine[axis, 3] + row[axis] * np.arange(count)
    out: NDArray[np.float32] = mm.reshape(shape).astype(np.float32)
    return out


def _padded(
    grid: Grid, low: NDArray[np.float64], high: NDArray[np.float64]
) -> tuple[Grid, tuple[slice, ...]]:
    """The grid with further voxels on all sides until it covers a box, and where it lies in it."""
    ends = np.array([[*low, 1.0], [*high, 1.0]]) @ np.linalg.inv(grid.affine).T
    index = np.sort(ends[:, :3], axis=0)
    count = np.array(grid.shape[::-1])
    before = np.maximum(np.ceil(-0.5 - index[0]), 0).astype(int)
    after = np.maximum(np.ceil(index[1] - (count - 0.5)), 0).astype(int)
    affine = grid.affine.copy()
    affine[:3, 3] -= affine[:3, :3] @ before
    nx, ny, nz = (int(n) for n in before + count + after)
    places = [slice(int(b), int(b + n)) for b, n in zip(before, count, strict=True)]
    return Grid(affine, (nz, ny, nx)), tuple(places[::-1])


def _labelled(values: NDArray[np.floating], grid: Grid, like: xr.DataArray) -> xr.DataArray:
    attrs = {
        **like.attrs,
        "affine": grid.affine.tolist(),
        "voxel_size_mm": grid.spacing_mm,
        "source": f"body about {like.attrs.get('source', 'a study')}",
    }
    return xr.DataArray(np.asarray(values, np.float32), dims=DIMS, attrs=attrs)
