"""Cubes in the sensor's geometry on a map grid, by the lookup table that EMIT's granules hold.

The table says for every pixel of the grid which column and line it is of (from 1; 0 for none).
Values are looked up, never interpolated: the nearest pixel of the sensor, as the table has it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import xarray as xr
from numpy.typing import NDArray

from sciddm.data_adapters.hsi.cube import DIMS, VALID, corner, lazy_cube
from sciddm.data_adapters.hsi.georeference import epsg_wkt
from sciddm.errors import InputError
from sciddm.physics.spectral.flags import Flag

__all__ = ["has_lookup", "orthorectified", "warn_of_place"]

_TABLE = ("glt_x", "glt_y")
_FILL = -9999.0
_ON_GRID = {"band"}
#: What pixels that the sensor did not see hold in the layers beside the cube.
_FILLS = {"std": float("nan"), "flags": float(Flag.OUTSIDE), VALID: 0.0}


def has_lookup(dataset: xr.Dataset) -> bool:
    """Whether a cube has a table that leads to a map grid."""
    return all(name in dataset for name in _TABLE)


def warn_of_place(result: xr.Dataset, path: Path) -> None:
    """Adds a warning where a format cannot hold where the pixels of a cube in sensor geometry lie.

    Args:
        result: its attribute ``warnings`` is a JSON list.
        path: the output.
    """
    words = (
        f"{path.suffix} cannot hold the latitudes, longitudes and lookup table (GLT) of the cube: "
        "they are left out. Take --ortho for a map, or write .nc."
    )
    if has_lookup(result) and path.suffix.lower() not in (".nc", ".zarr"):
        stored = result.attrs.get("warnings") or "[]"
        warnings = json.loads(stored) if isinstance(stored, str) else list(stored)
        result.attrs["warnings"] = json.dumps(list(dict.fromkeys([*warnings, words])))


def orthorectified(dataset: xr.Dataset) -> xr.Dataset:
    """The cube, and all that lies on its pixels, on the grid of its lookup table; lazily.

    Args:
        dataset: in the form of `cube`, with `glt_x` and `glt_y`.

    Returns:
        The same with a transform and CRS; pixels that the sensor did not see hold nodata.

    Raises:
        InputError: there is no such table, or it leads out of the cube.
    """
    name = dataset.attrs.get("source", "the cube")
    if not has_lookup(dataset):
        raise InputError(f"{name}: has no lookup table glt_x, glt_y to orthorectify by")
    top, left = corner(dataset)
    column, line = (np.asarray(dataset[n].values, np.int64) - 1 for n in _TABLE)
    # A negative number marks pixels that were filled from their neighbours.
    column, line = (np.where(v < -1, -v - 2, v) for v in (column, line))
    some = (column >= 0) & (line >= 0)
    column, line = column - left, line - top
    seen = some & (column >= 0) & (line >= 0)
    seen &= (column < dataset.sizes["x"]) & (line < dataset.sizes["y"])
    if not seen.any():
        raise InputError(f"{name}: its lookup table leads to no pixel of the cube: read all of it")
    about = dataset.attrs.get("emit_attributes") or {}
    transform = about.get("geotransform")
    held = {}
    stated = dataset.attrs.get("nodata")
    for key, variable in dataset.variables.items():
        if set(variable.dims) <= _ON_GRID or key in _TABLE:
            continue
        if {"y", "x"} <= set(variable.dims) and variable.dtype.kind in "fiub":
            fill = _fill(variable.dtype, _FILLS.get(str(key), stated if key == "cube" else None))
            held[key] = _looked_up(variable, line, column, seen, fill)
    nodata = _fill(dataset["cube"].dtype, dataset.attrs.get("nodata"))
    attrs = {k: v for k, v in dataset.attrs.items() if k != "emit_attributes"}
    attrs |= {"format": "emit-ortho", "nodata": float(nodata)}
    if transform is not None:
        c, a, b, f, d, e = (float(v) for v in np.asarray(transform, float).reshape(-1)[:6])
        crs = str(about.get("spatial_ref", "")) or epsg_wkt(4326)
        attrs |= {"transform": [a, b, c, d, e, f], "crs": crs}
    out = xr.Dataset(
        {"cube": held.pop("cube")},
        coords={k: v for k, v in dataset.coords.items() if v.dims == ("band",)},
        attrs=attrs,
    )
    out["cube"].attrs = {
        k: v for k, v in dataset["cube"].attrs.items() if not k.startswith("emit_")
    }
    for key, (dims, values) in held.items():
        out = out.assign({key: (dims, values)})
    height, width = seen.shape
    return out.assign_coords(y=np.arange(height), x=np.arange(width))


def _fill(dtype: np.dtype[Any], stated: float | None) -> Any:
    if stated is not None:
        return dtype.type(stated)
    if dtype.kind == "f":
        return dtype.type(_FILL)
    return dtype.type(0) if dtype.kind in "ub" else np.iinfo(dtype).min


def _looked_up(
    variable: Any, line: NDArray[np.int64], column: NDArray[np.int64], seen: Any, fill: Any
) -> tuple[tuple[str, ...], Any]:
    """Values (..., y, x) of the grid."""
    ordered = variable.transpose(..., "y", "x")
    if ordered.ndim == 2:
        values = np.asarray(ordered.values)[np.where(seen, line, 0), np.where(seen, column, 0)]
        return ("y", "x"), np.where(seen, values, fill).astype(values.dtype)
    grid = _Grid(da.asarray(ordered.data), line, column, seen, fill)
    return DIMS, lazy_cube(grid, False)


class _Grid:
    """The cube on the grid as an array that reads the lines that a part needs."""

    ndim = 3

    def __init__(
        self,
        stored: da.Array,
        line: NDArray[np.int64],
        column: NDArray[np.int64],
        seen: NDArray[np.bool_],
        fill: Any,
    ) -> None:
        self.stored, self.line, self.column, self.seen, self.fill = (
            stored,
            line,
            column,
            seen,
            fill,
        )
        self.shape = (int(stored.shape[0]), *seen.shape)
        self.dtype = stored.dtype

    def __getitem__(self, index: tuple[slice, slice, slice]) -> NDArray[Any]:
        bands, y, x = index
        line, column, seen = self.line[y, x], self.column[y, x], self.seen[y, x]
        count = len(range(self.shape[0])[bands])
        out = np.full((count, *seen.shape), self.fill, self.dtype)
        if seen.any():
            first, last = int(line[seen].min()), int(line[seen].max())
            part = self.stored[bands, first : last + 1].compute(scheduler="threads")
            out[:, seen] = part[:, line[seen] - first, column[seen]]
        return out
