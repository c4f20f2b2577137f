"""Volumes as a denoiser reads them: one slice at a time, with its neighbours.

Padding, which a scanner adds where it measured nothing, is no measurement: a method sees air there,
whatever its value, and the result has it as it was.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from sciddm.device import to_device
from sciddm.errors import InputError
from sciddm.geometry.surround import constant_surround

__all__ = ["NEAR_MM", "PADDING", "SliceStack"]

DIMS = ("z", "y", "x")
#: In `flags`: padding, which is returned as it came.
PADDING = 1
_AIR = -1000.0
#: Slices further apart than this show other anatomy: they tell nothing about one another.
NEAR_MM = 6.0


class SliceStack:
    """A volume (z, y, x) in HU, read slice by slice; dask arrays stay lazy.

    Args:
        volume: the volume, or a data set with one three-dimensional variable.

    Raises:
        InputError: other axes, no slices, or another unit than HU.
    """

    def __init__(self, volume: xr.DataArray | xr.Dataset) -> None:
        if isinstance(volume, xr.Dataset):
            volume = _only_volume(volume)
        self.name = str(volume.attrs.get("source", "the volume"))
        if set(volume.dims) != set(DIMS):
            raise InputError(f"{self.name}: the axes are {volume.dims}, not {DIMS}: rename them")
        if volume.attrs.get("units", "HU") != "HU":
            raise InputError(f"{self.name}: in {volume.attrs['units']}, not HU: convert it")
        if 0 in volume.shape:
            raise InputError(f"{self.name}: the volume is empty: {dict(volume.sizes)}")
        self.volume = volume.transpose(*DIMS)
        self.spacing: Sequence[float] | None = volume.attrs.get("voxel_size_mm")

    def __len__(self) -> int:
        return self.volume.sizes["z"]

    @property
    def shape(self) -> tuple[int, int]:
        """(ny, nx)."""
        return self.volume.sizes["y"], self.volume.sizes["x"]

    @property
    def neighbours_tell(self) -> bool:
        """Whether neighbouring slices are near enough to show the same anatomy (NEAR_MM)."""
        return self.spacing is not None and 0 < float(self.spacing[0]) <= NEAR_MM

    def slice(self, index: int) -> Tensor:
        """(y, x) float32, HU, as a method sees it: padding is air.

        Raises:
            InputError: NaN or infinite values.
        """
        values, padding = self.stored(index), self.padding(index)
        return values if padding is None else values.masked_fill(padding, _AIR)

    def padding(self, index: int) -> Tensor | None:
        """Where a slice is padding (y, x): as its file declares it, or a constant surround."""
        declared = self.volume.coords.get("padding")
        surround = constant_surround(np.asarray(self.volume.isel(z=index).values))
        parts = [] if surround is None else [surround]
        if declared is not None:
            parts.append(np.asarray(declared.transpose(*DIMS).values[index], bool))
        found = np.logical_or.reduce(parts) if parts else np.zeros(0, bool)
        return to_device(found) if found.any() else None

    def stored(self, index: int) -> Tensor:
        """(y, x) float32, HU, as it was given.

        Raises:
            InputError: NaN or infinite values.
        """
        values = np.ascontiguousarray(self.volume.isel(z=index).values, dtype=np.float32)
        if not np.isfinite(values).all():
            raise InputError(
                f"{self.name}: slice {index + 1} holds NaN or infinite values: repair them"
            )
        return to_device(values)

    def with_neighbours(self, index: int) -> Tensor:
        """(3, y, x): the slice before, the slice, the slice after.

        A neighbour that is not there, or too far away to tell anything, is the slice itself.
        """
        middle = self.slice(index)
        around = []
        for other in (index - 1, index + 1):
            near = self.neighbours_tell and 0 <= other < len(self)
            around.append(self.slice(other) if near else middle)
        return torch.stack([around[0], middle, around[1]])


def _only_volume(dataset: xr.Dataset) -> xr.DataArray:
    found = [v for v in dataset.data_vars.values() if set(v.dims) == set(DIMS)]
    if len(found) != 1:
        raise InputError(
            f"{Path(str(dataset.attrs.get('source', 'the data set'))).name}: {len(found)} "
            f"variables (z, y, x) where one is needed: give the one to denoise"
        )
    return found[0].assign_attrs({**dataset.attrs, **found[0].attrs})
