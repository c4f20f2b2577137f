"""The CF conventions (1.11) for cubes in netCDF and Zarr: where pixels lie, what is packed.

A cube with a transform is written with the coordinates of its pixels' centres, and a variable
`spatial_ref` that holds the coordinate reference system (CF, and GDAL's `crs_wkt` and
`GeoTransform`). The axes of a turned grid have no coordinates: `GeoTransform` alone tells where its
pixels lie. Lines and samples of the file are the variables `line` and `sample`, from which
`unconventional` gives `y` and `x` back.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from sciddm.data_adapters.hsi.cube import corner
from sciddm.data_adapters.hsi.georeference import moved, parse_crs
from sciddm.errors import InputError

__all__ = ["KEPT", "conventional", "place_of", "unconventional"]

_GRID = "spatial_ref"
#: Attributes of a cube that say what its numbers mean.
KEPT = ("scale_factor", "add_offset", "units", "long_name", "standard_name", "valid_range")
_CARTESIAN = {"x": "projection_x_coordinate", "y": "projection_y_coordinate"}
_DEGREES = {"x": ("longitude", "degrees_east"), "y": ("latitude", "degrees_north")}


def conventional(
    dataset: xr.Dataset, path: Path, fill: Mapping[str, float]
) -> tuple[xr.Dataset, dict[str, float]]:
    """A cube as it is written, and its fill values by the names in the file.

    Args:
        dataset: in the form of `cube`.
        path: of the file, for messages.
        fill: fill values of variables.
    """
    cube = dataset
    transform, crs = dataset.attrs.get("transform"), dataset.attrs.get("crs")
    if transform is not None:
        line, sample = corner(dataset)
        a, b, c, d, e, f = moved(transform, line, sample)
        cube = cube.assign_coords(
            line=("y", np.asarray(dataset["y"].values)),
            sample=("x", np.asarray(dataset["x"].values)),
        )
        if b or d:
            cube = cube.drop_vars(["y", "x"])
        else:
            cube = cube.assign_coords(
                y=("y", f + e * (np.arange(dataset.sizes["y"]) + 0.5)),
                x=("x", c + a * (np.arange(dataset.sizes["x"]) + 0.5)),
            )
        about: dict[str, Any] = {"GeoTransform": " ".join(f"{v:.17g}" for v in (c, a, b, f, d, e))}
        degrees = False
        if crs:
            known = parse_crs(path, str(crs))
            degrees = bool(known.is_geographic)
            about |= {"crs_wkt": known.to_wkt(), _GRID: known.to_wkt()}
            about["grid_mapping_name"] = "latitude_longitude" if degrees else "unknown"
        for axis in ("x", "y") if "x" in cube.coords else ():
            if degrees:
                name, unit = _DEGREES[axis]
                cube[axis].attrs.update(standard_name=name, units=unit, axis=axis.upper())
            else:
                cube[axis].attrs.update(standard_name=_CARTESIAN[axis], axis=axis.upper())
                cube[axis].attrs.update({"units": "m"} if crs else {})
        cube = cube.assign_coords({_GRID: ((), np.int32(0), about)})
        cube["cube"].attrs = {**cube["cube"].attrs, "grid_mapping": _GRID}
    if "wavelength" in cube.coords:
        cube["wavelength"].attrs.setdefault("standard_name", "radiation_wavelength")
    cube = cube.assign_attrs(Conventions="CF-1.11")
    return cube, dict(fill)


def unconventional(opened: xr.Dataset) -> xr.Dataset:
    """What `conventional` was given, from what was written."""
    held = opened.drop_vars(_GRID, errors="ignore")
    if "line" in held.coords and "sample" in held.coords:
        held = held.assign_coords(
            y=("y", held["line"].values), x=("x", held["sample"].values)
        ).drop_vars(["line", "sample"])
    marks = {"grid_mapping", "_FillValue"}
    held["cube"].attrs = {k: v for k, v in held["cube"].attrs.items() if k not in marks}
    if "wavelength" in held.coords:
        held["wavelength"].attrs.pop("standard_name", None)
    return held


def place_of(
    opened: xr.Dataset, cube: xr.DataArray, axes: Sequence[str]
) -> tuple[str | None, list[float] | None]:
    """(CRS as WKT, transform) of a cube on the axes (y, x), as far as the file says."""
    grid = opened.variables.get(str(cube.attrs.get("grid_mapping", "")).split(":")[0])
    crs: str | None = None
    about: Mapping[Any, Any] = {} if grid is None else grid.attrs
    for key in ("crs_wkt", _GRID):
        if about.get(key):
            crs = str(about[key])
            break
    if "GeoTransform" in about:
        c, a, b, f, d, e = (float(v) for v in str(about["GeoTransform"]).split())
        return crs, [a, b, c, d, e, f]
    if crs is None:
        return None, None
    steps = []
    for axis in axes:
        if axis not in opened.variables or opened.variables[axis].size < 2:
            return crs, None
        values = np.asarray(opened.variables[axis].values, np.float64)
        apart = np.diff(values)
        if not np.allclose(apart, apart[0], rtol=1e-3):
            raise InputError(f"the coordinate {axis} has steps of different sizes")
        steps.append((float(values[0]), float(apart.mean())))
    (top, down), (left, right) = steps
    return crs, [right, 0.0, left - right / 2, 0.0, down, top - down / 2]
