"""The soft-tissue sarcoma studies in HDF5 on which `petct-sarcoma` is trained.

Per patient: `ct_q` (z, y, x), HU = 8 q - 1000; `gtv`, the tumour on the same grid; `pet_native`,
SUV = q / 100, on a grid of its own; origins (x, y, z), spacings (z, y, x) and directions in LPS.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import h5py
import numpy as np
import xarray as xr

from sciddm.errors import InputError
from sciddm.geometry.grid import Grid, resample
from sciddm.pipelines.engine.real_data import data_root, stored
from sciddm.pipelines.petct.study import Study

__all__ = ["FILE", "sarcoma_studies", "sarcoma_volumes"]

FILE = Path("petct") / "sts_petct_2mm.h5"
_LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0])


def sarcoma_studies(root: str | None, patients: Sequence[int]) -> Iterator[Study]:
    """The studies on the grids of their CT.

    Args:
        root: folder of the real data; see `data_root`.
        patients: first and last number, both included.

    Raises:
        InputError: the file cannot be read, or has none of these patients.
    """
    for name, pet, ct, mask in sarcoma_volumes(root, patients):
        grid = _grid_of(ct)
        suv = resample(pet.values, _grid_of(pet), grid, method="spline")
        yield Study(name, suv, ct.values, mask, grid)


def sarcoma_volumes(
    root: str | None, patients: Sequence[int]
) -> Iterator[tuple[str, xr.DataArray, xr.DataArray, Any]]:
    """Name, PET (SUV) and CT (HU) as they were scanned, and the mask on the grid of CT."""
    path = data_root(root) / FILE
    first, last = patients
    found = False
    try:
        with h5py.File(path) as file:
            for name in sorted(file):
                if not first <= int(name[-3:]) <= last:
                    continue
                found = True
                group = cast("h5py.Group", file[name])
                pet = _volume(stored(group, "pet_native") / np.float32(100), group, "pet", name)
                hu = 8.0 * stored(group, "ct_q").astype(np.float32) - 1000
                ct = _volume(hu, group, "ct", name)
                yield name, pet, ct, stored(group, "gtv") > 0
    except (OSError, KeyError, ValueError) as error:
        raise InputError(f"{path}: the studies cannot be read ({error})") from error
    if not found:
        raise InputError(f"{path}: holds no patient from {first} to {last}")


def _volume(values: Any, group: Any, which: str, name: str) -> xr.DataArray:
    prefix = "pet_" if which == "pet" else ""
    spacing = np.asarray(group.attrs[f"{prefix}spacing_zyx"], np.float64)[::-1]
    direction = np.asarray(group.attrs[f"{prefix}direction"], np.float64).reshape(3, 3)
    affine = np.eye(4)
    affine[:3, :3] = _LPS_TO_RAS @ direction * spacing
    affine[:3, 3] = _LPS_TO_RAS @ np.asarray(group.attrs[f"{which}_origin_xyz"], np.float64)
    attrs = {
        "affine": affine.tolist(),
        "units": "SUV" if which == "pet" else "HU",
        "source": f"{name} {which.upper()}",
        "voxel_size_mm": [float(s) for s in spacing[::-1]],
    }
    return xr.DataArray(values.astype(np.float32), dims=("z", "y", "x"), attrs=attrs)


def _grid_of(volume: xr.DataArray) -> Grid:
    nz, ny, nx = volume.shape
    return Grid(np.asarray(volume.attrs["affine"]), (nz, ny, nx))
