"""Where a tumour is looked for: a box, a mask, or a crop about a point.

A model that was trained on crops round tumours marks whatever takes up tracer when it sees a whole
body, organs too. So its field of view is limited: to the size of its training crops, or to the
region that the user names.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from sciddm.data_adapters.volume_files import is_volume_file, read_volume
from sciddm.errors import InputError, OptionError
from sciddm.geometry.grid import DIMS, Grid, grid_of, resample

__all__ = ["Region", "check_field", "region_about", "region_of"]

_SLACK = 1.1  # of the largest training crop along each axis
_AROUND_MM = 50.0  # what the training crops show around a tumour


@dataclass(frozen=True)
class Region:
    """A part of space.

    Attributes:
        low, high: ends of a box along R, A, S, mm.
        mask: (z, y, x) with its affine, of which the result is a part; None for the box itself.
    """

    low: NDArray[np.float64]
    high: NDArray[np.float64]
    mask: xr.DataArray | None = None

    def contains(self, grid: Grid) -> NDArray[np.bool_]:
        """Which voxels (z, y, x) of a grid lie in it."""
        if self.mask is not None:
            values = np.asarray(self.mask.transpose(*DIMS).values > 0, np.float32)
            return resample(values, grid_of(self.mask), grid, method="nearest") > 0.5
        z, y, x = np.meshgrid(*(np.arange(n) for n in grid.shape), indexing="ij", sparse=True)
        inside = np.ones(grid.shape, bool)
        for row, low, high in zip(grid.affine[:3], self.low, self.high, strict=True):
            mm = row[0] * x + row[1] * y + row[2] * z + row[3]
            inside &= (mm >= low) & (mm <= high)
        return inside


def region_of(
    roi: str | Path | xr.DataArray | Region | None,
    point: Sequence[float] | None,
    size_mm: Sequence[float] | None,
) -> Region | None:
    """The region that is named, None where none is.

    Args:
        roi: "x0,x1,y0,y1,z0,z1" in mm (RAS), a mask, or its file.
        point: x, y, z in mm (RAS).
        size_mm: [z, y, x] of the crop about the point.

    Raises:
        OptionError: both are given, or not such a box.
        InputError: the mask cannot be read, or is empty.
    """
    if roi is not None and point is not None:
        raise OptionError("point", "a region is given too, take one of them")
    if point is not None:
        if size_mm is None:
            raise OptionError("point", "the model knows no size of a crop, give a region (roi)")
        half = np.asarray(size_mm, np.float64)[::-1] / 2
        centre = np.asarray(point, np.float64)
        return Region(centre - half, centre + half)
    if roi is None or isinstance(roi, Region):
        return roi
    if isinstance(roi, xr.DataArray):
        return _of_mask(roi)
    if is_volume_file(roi):
        return _of_mask(read_volume(roi))
    return _box(str(roi))


def region_about(labels: NDArray[np.int32], grid: Grid, point: Sequence[float]) -> Region | None:
    """What training crops show of the lesion at a point: its box and 5 cm about it.

    Args:
        labels: (z, y, x), the number of the lesion of each voxel, 0 for none.
        grid: of them.
        point: x, y, z in mm (RAS).

    Returns:
        None where no lesion lies within a voxel of the point.
    """
    places = np.argwhere(labels > 0)
    mm = places[:, ::-1] @ grid.affine[:3, :3].T + grid.affine[:3, 3]
    away = np.linalg.norm(mm - np.asarray(point, np.float64), axis=1)
    if not len(places) or away.min() > max(grid.spacing_mm):
        return None
    own = mm[labels[tuple(places.T)] == labels[tuple(places[away.argmin()])]]
    return Region(own.min(0) - _AROUND_MM, own.max(0) + _AROUND_MM)


def check_field(grid: Grid, field_mm: Sequence[float] | None, *, named: bool = False) -> str:
    """What is wrong with a field of view for a model, "" if nothing is.

    Args:
        grid: that the model would search.
        field_mm: [z, y, x], the largest that it was trained on; None for a model of whole bodies.
        named: the user named it, as a region.
    """
    if field_mm is None:
        return ""
    extent = [n * s for n, s in zip(grid.shape, grid.spacing_mm, strict=True)]
    if all(e <= _SLACK * f for e, f in zip(extent, field_mm, strict=True)):
        return ""
    own, known = (" x ".join(f"{v / 10:.0f}" for v in size[::-1]) for size in (extent, field_mm))
    return (
        f"a {'region' if named else 'field of view'} of {own} cm (x, y, z) is larger than the "
        f"crops round tumours that the model knows ({known} cm at most): in it organs are marked "
        "too"
    )


def _of_mask(mask: xr.DataArray) -> Region:
    grid = grid_of(mask)
    inside = np.argwhere(mask.transpose(*DIMS).values > 0)
    if not len(inside):
        raise InputError(f"{mask.attrs.get('source', 'the region')}: the mask is empty: draw one")
    corners = np.array([inside.min(0) - 0.5, inside.max(0) + 0.5])[:, ::-1]
    ends = np.array([[x, y, z, 1.0] for x in corners[:, 0] for y in corners[:, 1]
                     for z in corners[:, 2]])  # fmt: skip
    mm = (ends @ grid.affine.T)[:, :3]
    return Region(mm.min(0) - _AROUND_MM, mm.max(0) + _AROUND_MM, mask)


def _box(text: str) -> Region:
    try:
        ends = [float(v) for v in text.split(",")]
    except ValueError:
        ends = []
    if len(ends) != 6 or not all(a < b for a, b in zip(ends[::2], ends[1::2], strict=True)):
        raise OptionError(
            "roi", f"{text!r} is given, take x0,x1,y0,y1,z0,z1 in mm (RAS), the lower first, or a "
            "mask (NIfTI, MetaImage, NRRD)"
        )  # fmt: skip
    return Region(np.array(ends[::2]), np.array(ends[1::2]))
