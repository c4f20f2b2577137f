"""Lesions: the connected parts of a mask, and how much tracer is in each.

=========  ================================================================================
SUVmax     highest SUV of a PET voxel whose centre lies in the lesion
SUVmean    mean of those voxels
SUVpeak    highest mean SUV in a sphere of 1 cm^3 about one of those voxels; voxels that the
           sphere cuts count by the part within it (Wahl et al., PERCIST, 2009)
MTV        volume of the lesion in ml: its voxels in the mask, times their volume
TLG        SUVmean x MTV
=========  ================================================================================

SUV is measured on the grid of PET, where it was measured, and volume on the grid of the mask.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy import ndimage

from sciddm.geometry.grid import Grid, resample
from sciddm.geometry.objects import objects

__all__ = [
    "COLUMNS",
    "TOUCHING",
    "Lesion",
    "lesion_variables",
    "lesions_in",
    "measure_lesions",
    "sphere_weights",
    "with_body",
]

COLUMNS = (
    "lesion", "suv_max", "suv_mean", "suv_peak", "mtv_ml", "tlg", "x_mm", "y_mm", "z_mm",
    "mtv_low_ml", "mtv_high_ml", "suv_max_low", "suv_max_high", "tlg_low", "tlg_high",
    "sul_max", "sul_peak", "suv_bsa_max",
)  # fmt: skip
_PEAK_MM = 10 * (3 / (4 * math.pi)) ** (1 / 3)  # radius of 1 cm^3: 6.204 mm
_FINE = 7  # points along each axis of a voxel that the sphere cuts
#: Voxels that share a corner belong together.
TOUCHING = np.ones((3, 3, 3))


@dataclass(frozen=True)
class Lesion:
    """One connected part of a mask; the centre is that of its volume, RAS, mm.

    Ranges are those of `lesion_ranges`; SUL is SUV by lean body mass (g/ml), SUV-BSA by body
    surface (m2/l). NaN is what is not known.
    """

    lesion: int
    suv_max: float
    suv_mean: float
    suv_peak: float
    mtv_ml: float
    tlg: float
    x_mm: float
    y_mm: float
    z_mm: float
    mtv_low_ml: float = math.nan
    mtv_high_ml: float = math.nan
    suv_max_low: float = math.nan
    suv_max_high: float = math.nan
    tlg_low: float = math.nan
    tlg_high: float = math.nan
    sul_max: float = math.nan
    sul_peak: float = math.nan
    suv_bsa_max: float = math.nan

    def row(self) -> dict[str, Any]:
        """By column."""
        return asdict(self)


def measure_lesions(
    mask: NDArray[np.bool_], grid: Grid, suv: NDArray[np.floating[Any]], pet: Grid
) -> tuple[list[Lesion], NDArray[np.int32]]:
    """The lesions of a mask, the largest first, and their numbers in its voxels.

    Args:
        mask: (z, y, x).
        grid: of the mask.
        suv: (z, y, x).
        pet: grid of the SUV.
    """
    parts, count = objects(mask, TOUCHING)
    sizes = np.bincount(parts.ravel(), minlength=count + 1)[1:]
    order = np.argsort(-sizes, kind="stable")
    number = np.zeros(count + 1, np.int32)
    number[1 + order] = np.arange(1, count + 1)
    labels = number[parts]
    # Half-millimetre labels would be exact; nearest is right for centres of PET voxels.
    on_pet = resample(labels, grid, pet, method="nearest").astype(np.int32)
    weights = sphere_weights(pet)
    lesions = []
    for index, where in enumerate(ndimage.find_objects(labels), start=1):
        inside = np.argwhere(labels[where] == index) + [s.start for s in where]
        centre = grid.affine @ np.append(inside.mean(0)[::-1], 1.0)
        ml = len(inside) * grid.voxel_ml
        chosen = np.argwhere(on_pet == index)
        if not len(chosen):  # smaller than PET's voxels: the one it lies in
            place = np.linalg.solve(pet.affine, centre)[:3][::-1]
            nearest = np.clip(np.rint(place).astype(int), 0, np.asarray(pet.shape) - 1)
            chosen = nearest[None]
        values = suv[tuple(chosen.T)].astype(np.float64)
        peak = max(_peaks(suv, chosen, weights))
        x, y, z = (float(v) for v in centre[:3])
        mean = float(values.mean())
        lesions.append(Lesion(index, float(values.max()), mean, peak, ml, mean * ml, x, y, z))
    return lesions, labels


def with_body(
    lesions: Sequence[Lesion],
    weight_kg: float | None,
    lean_mass_kg: float | None,
    surface_m2: float | None,
) -> list[Lesion]:
    """The lesions with SUL = SUV m_lean / m and SUV-BSA = SUV A / m.

    Args:
        lesions: with SUV by body weight.
        weight_kg: m.
        lean_mass_kg: m_lean.
        surface_m2: A. None for what is not known.
    """
    lean = lean_mass_kg / weight_kg if weight_kg and lean_mass_kg else math.nan
    surface = surface_m2 / weight_kg if weight_kg and surface_m2 else math.nan
    return [
        replace(
            lesion,
            sul_max=lean * lesion.suv_max,
            sul_peak=lean * lesion.suv_peak,
            suv_bsa_max=surface * lesion.suv_max,
        )
        for lesion in lesions
    ]


def lesion_variables(lesions: Sequence[Lesion]) -> dict[str, xr.DataArray]:
    """The table of lesions as variables along ``lesion``: ``lesion_suv_max`` and so on."""
    numbers = [lesion.lesion for lesion in lesions]
    return {
        f"lesion_{column}": xr.DataArray(
            np.array([getattr(lesion, column) for lesion in lesions], np.float64),
            dims="lesion",
            coords={"lesion": np.array(numbers, np.int32)},
        )
        for column in COLUMNS[1:]
    }


def lesions_in(result: xr.Dataset) -> list[Lesion]:
    """The table of lesions that ``lesion_variables`` put into a result."""
    return [
        Lesion(int(n), *(float(result[f"lesion_{c}"].values[i]) for c in COLUMNS[1:]))
        for i, n in enumerate(result["lesion"].values)
    ]


def sphere_weights(grid: Grid, radius_mm: float = _PEAK_MM) -> NDArray[np.float64]:
    """Share of each voxel around a centre voxel that lies in a sphere, (2k+1, 2l+1, 2m+1).

    Found by points spread evenly in each voxel; sums to the sphere's volume in voxels, about.
    """
    inverse = np.linalg.inv(grid.affine[:3, :3])
    # How many voxels the sphere reaches along each axis (x, y, z), their own half included.
    reach = np.ceil(radius_mm * np.linalg.norm(inverse, axis=1) - 0.5).astype(int).clip(0)
    part = (np.arange(_FINE) + 0.5) / _FINE - 0.5
    axes = [(np.arange(-r, r + 1)[:, None] + part[None, :]).ravel() for r in reach[::-1]]  # z, y, x
    z, y, x = np.meshgrid(*axes, indexing="ij")
    mm = np.stack([x, y, z], -1) @ grid.affine[:3, :3].T
    inside = (mm**2).sum(-1) <= radius_mm**2
    counts = [2 * r + 1 for r in reach[::-1]]
    shaped = inside.reshape(counts[0], _FINE, counts[1], _FINE, counts[2], _FINE)
    out: NDArray[np.float64] = shaped.mean(axis=(1, 3, 5))
    return out


def _peaks(
    suv: NDArray[Any], chosen: NDArray[np.intp], weights: NDArray[np.float64]
) -> Iterator[float]:
    """Mean SUV in the sphere about each chosen voxel; beyond the image there is no tissue."""
    reach = [n // 2 for n in weights.shape]
    for at in chosen:
        image, kernel = [], []
        for i, r, n in zip(at, reach, suv.shape, strict=True):
            low, high = max(0, i - r), min(n, i + r + 1)
            image.append(slice(low, high))
            kernel.append(slice(low - i + r, high - i + r))
        w = weights[tuple(kernel)]
        yield float((w * suv[tuple(image)]).sum() / w.sum())
