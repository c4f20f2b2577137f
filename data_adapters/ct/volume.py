"""A CT volume in the form that all readers return: `hu` (z, y, x) float32, Hounsfield units.

Attributes: units "HU", voxel_size_mm [z, y, x], affine (4 x 4, RAS, mm, of the indices (x, y, z)),
orientation_known, source, format, and what else the file tells.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from sciddm.data_adapters.checks import check_finite
from sciddm.errors import InputError

__all__ = ["DIMS", "build_volume", "checked_volume"]

DIMS = ("z", "y", "x")
# Of a volume in HU + 1000 or HU + 1024: nothing below, what is dense, soft tissue, its least share.
_LEAST_AIR, _DENSE, _SHIFTED, _SHARE = -200.0, 300.0, (850.0, 1180.0), 0.05
_LOWEST, _HIGHEST = -10_000.0, 100_000.0  # padding and metal on an extended scale lie within


def build_volume(path: Path, hu: NDArray[Any], attrs: dict[str, Any]) -> xr.DataArray:
    """Checks a volume and labels it.

    Args:
        path: the file or folder it is from.
        hu: (z, y, x).
        attrs: voxel_size_mm, affine, and others.

    Raises:
        InputError: NaN, or values that cannot be HU.
    """
    check_finite(path, "the volume", hu)
    if hu.min() < _LOWEST or hu.max() > _HIGHEST:
        raise InputError(
            f"{path}: values from {hu.min():.0f} to {hu.max():.0f} are not in HU: convert them"
        )
    if _is_shifted(hu):
        raise InputError(
            f"{path}: its values look like HU + 1024 (no air below 0, tissue about 1050): subtract "
            "1024, or export HU"
        )
    values = np.ascontiguousarray(hu, dtype=np.float32)
    known = {"units": "HU", "orientation_known": True, **attrs, "source": path.name}
    return xr.DataArray(values, dims=DIMS, name="hu", attrs=known)


def _is_shifted(hu: NDArray[Any]) -> bool:
    """Whether values are stored ones, which are 1000 or 1024 above HU so that none is negative.

    Tissue then lies where dense bone should: most of what is above 300 is within the width of soft
    tissue, and nothing is air.
    """
    if hu.min() < _LEAST_AIR:
        return False
    dense = hu > _DENSE
    tissue = (hu > _SHIFTED[0]) & (hu < _SHIFTED[1])
    count = int(tissue.sum())
    return bool(count > _SHARE * hu.size and count > 0.5 * dense.sum())


def checked_volume(path: Path, volume: xr.DataArray) -> NDArray[np.float32]:
    """The values (z, y, x) of a volume that is to be written.

    Raises:
        InputError: other axes, other units, NaN, or no geometry.
    """
    if set(volume.dims) != set(DIMS):
        raise InputError(f"{path}: the volume has the axes {volume.dims}, not {DIMS}: rename them")
    if volume.attrs.get("units", "HU") != "HU":
        raise InputError(f"{path}: the volume is in {volume.attrs['units']}, not HU: convert it")
    if volume.attrs.get("affine") is None:
        raise InputError(f"{path}: the volume has no affine: state where its voxels lie")
    values = np.asarray(volume.transpose(*DIMS).values, dtype=np.float32)
    check_finite(path, "the volume", values)
    return values
