"""Cubes in netCDF-4 and Zarr: sciddm's own, EMIT's granules, and others with one cube in them.

EMIT (and AVIRIS-3) L1B and L2A: the cube is (downtrack, crosstrack, bands) in the geometry of the
sensor, where a column is one detector; it is read and written so, never orthorectified. The group
`sensor_band_parameters` becomes coordinates of band, `location` coordinates (y, x) and the lookup
table `glt_x`, `glt_y` (ortho_y, ortho_x), which holds columns and lines from 1, and 0 for none.

Fill values stay in the cube as they are; ``nodata`` names them.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from threading import Lock
from typing import Any, Literal, cast

import dask.array as da
import netCDF4
import numpy as np
import xarray as xr
from dask.base import tokenize
from xarray.backends.netCDF4_ import NETCDF4_PYTHON_LOCK

from sciddm.data_adapters.attributes import decode
from sciddm.data_adapters.checks import existing_file, reading
from sciddm.data_adapters.gate.netcdf import check_netcdf
from sciddm.data_adapters.gate.zarr import check_chunks, check_zarr
from sciddm.data_adapters.hdf5 import ATTRS
from sciddm.data_adapters.hsi.conventions import KEPT, conventional, place_of, unconventional
from sciddm.data_adapters.hsi.cube import build_cube, chunks_of, corner, per_unit
from sciddm.data_adapters.isolation import isolated
from sciddm.data_adapters.labelled import write_labelled
from sciddm.data_adapters.library_path import netcdf_path
from sciddm.data_adapters.netcdf import new_netcdf
from sciddm.data_adapters.staging import is_zarr
from sciddm.errors import InputError

__all__ = ["read_netcdf", "write_emit", "write_netcdf"]

_VERSION_3 = "zarr.json"  # of a store's version 3; version 2 has .zgroup
_KIND = "cube"
_BANDS, _LOCATION = "sensor_band_parameters", "location"
_GROUPS = ("", _BANDS, _LOCATION)
_EMIT_DIMS = {"downtrack": "y", "crosstrack": "x", "bands": "band"}
_FILE_DIMS = {new: old for old, new in _EMIT_DIMS.items()}
_BAND_DIMS = ("band", "bands", "wavelength", "wavelengths", "channel", "spectral")
_OWN = {"wavelength": "wavelengths", "fwhm": "fwhm", "good": "good_wavelengths"}
_NAMES = ("wavelength", "wavelengths", "wl", "radiation_wavelength")


def read_netcdf(source: str | Path, variable: str | None = None) -> xr.Dataset:
    """Opens a .nc file or .zarr store lazily; see `cube` for what is returned.

    Args:
        source: the file or store.
        variable: name of the cube, with its groups (``group/name``); the only one if None.

    Raises:
        InputError: damaged, or no cube in it, or more than one.
    """
    path = Path(source)
    zarr = is_zarr(path)
    if not zarr:
        existing_file(path)
    with reading(path):
        if zarr:
            check_zarr(path)
            check_chunks(path)
        else:
            check_netcdf(path)
            with netCDF4.Dataset(netcdf_path(path)) as file:
                if _BANDS in file.groups:
                    return _read_emit(path, variable)
        opened = _opened(path, None, zarr)
        form = "zarr" if zarr else "nc"
        if opened.attrs.get("sciddm_kind") == _KIND and ATTRS in opened.attrs:
            cube = _read_own(path, opened, form)
        else:
            cube = _read_other(path, opened, form, variable)
        return cube.assign_attrs(zarr_format=3) if zarr and (path / _VERSION_3).exists() else cube


def write_netcdf(dataset: xr.Dataset, path: Path, form: Literal["nc", "zarr"]) -> None:
    """Writes all of the data set, block by block; `read_netcdf` gives it back bit for bit.

    netCDF has no half precision: such a cube is written in single precision.
    """
    held = dataset.copy(deep=False)
    if form == "nc" and held["cube"].dtype == np.float16:
        held["cube"] = held["cube"].astype(np.float32)
    # Stores of Zarr are cut into equal pieces.
    cube = held["cube"]
    pieces = chunks_of(cube.shape, cube.dtype.itemsize)
    held["cube"] = cube.chunk(dict(zip(cube.dims, pieces, strict=True)))
    nodata = dataset.attrs.get("nodata")
    fill = {} if nodata is None or not _holds(cube.dtype, nodata) else {"cube": float(nodata)}
    held, fill = conventional(held, path, fill)
    name = str(dataset.attrs.get("cube_name") or "cube")
    if name != "cube" and name not in held.variables:
        held, fill = (
            held.rename(cube=name),
            {name if k == "cube" else k: v for k, v in fill.items()},
        )
    version = held.attrs.pop("zarr_format", 2)  # GDAL reads version 3 from 3.12 on
    write_labelled(held, path, form, _KIND, fill, 3 if version == 3 else 2)


def write_emit(dataset: xr.Dataset, path: Path) -> None:
    """Writes EMIT's layout: groups, names, types, fill values and global attributes as read."""
    with new_netcdf(path) as file:
        file.attrs.update(dataset.attrs.get("emit_attributes") or {})
        file.dimensions = {_FILE_DIMS.get(str(k), str(k)): n for k, n in dataset.sizes.items()}
        line, sample = corner(dataset)
        for name, variable in dataset.variables.items():
            if "emit_name" not in variable.attrs:
                continue
            attrs = dict(variable.attrs)
            group, label = attrs.pop("emit_group"), attrs.pop("emit_name")
            stored = np.dtype(attrs.pop("emit_dtype", variable.dtype))
            fill = attrs.pop("_FillValue", None)
            attrs.pop("units", None) if name in _OWN else None
            attrs |= {k[5:]: attrs.pop(k) for k in list(attrs) if k.startswith("emit:")}
            if name == "cube":
                variable, stored = variable.transpose("y", "x", "band"), variable.dtype
            dims = tuple(_FILE_DIMS.get(str(d), str(d)) for d in variable.dims)
            if group and group not in file.groups:
                file.create_group(group)
            place = file.groups[group] if group else file
            packing = {"compression": "gzip", "compression_opts": 4, "shuffle": True}
            node = place.create_variable(
                label, dims, stored, fillvalue=fill, **(packing if dims else {})
            )
            node.attrs.update(attrs)
            if name == "cube":
                da.store(da.asarray(variable.data), node, lock=Lock())
                continue
            values = np.asarray(variable.values)
            if name in ("wavelength", "fwhm"):
                values = values / per_unit(dataset)
            if name in ("glt_x", "glt_y") and (line or sample):
                values = _moved_table(dataset, str(name), line, sample)
            node[...] = values.astype(stored)


def _moved_table(dataset: xr.Dataset, name: str, line: int, sample: int) -> Any:
    """The lookup table of a part: pixels outside of it are none."""
    column = dataset["glt_x"].values.astype(np.int64) - sample
    row = dataset["glt_y"].values.astype(np.int64) - line
    cube = dataset["cube"]
    inside = (column >= 1) & (column <= cube.sizes["x"]) & (row >= 1) & (row <= cube.sizes["y"])
    return np.where(inside, column if name == "glt_x" else row, 0)


class _Variable:
    """A variable of a netCDF file as an array that opens its file whenever it is indexed.

    Nothing stays open: one file that is opened again while it is open, and closed in between, makes
    the C library crash. It holds a name only, so dask can send it to another process.
    """

    def __init__(self, path: Path, group: str | None, name: str, like: Any) -> None:
        self.path, self.group, self.name = path.resolve(), group, name
        self.shape, self.dtype, self.ndim = like.shape, like.dtype, like.ndim

    @isolated
    def __getitem__(self, index: Any) -> Any:
        with NETCDF4_PYTHON_LOCK, netCDF4.Dataset(self.path) as file:
            place = file if self.group is None else file[self.group]
            stored = place[self.name]
            stored.set_auto_maskandscale(False)
            return np.asarray(stored[index])

    def __dask_tokenize__(self) -> Any:
        status = self.path.stat()
        stamp = (status.st_mtime_ns, status.st_size)
        return str(self.path), stamp, self.group, self.name


class _StoreArray:
    """An array of a Zarr store that opens it whenever it is indexed."""

    def __init__(self, path: Path, name: str, like: Any) -> None:
        self.path, self.name = path.resolve(), name
        self.shape, self.dtype, self.ndim = like.shape, like.dtype, like.ndim

    @isolated
    def __getitem__(self, index: Any) -> Any:
        import zarr

        return np.asarray(zarr.open_group(self.path, mode="r")[self.name][index])

    def __dask_tokenize__(self) -> Any:
        return str(self.path), self.path.stat().st_mtime_ns, self.name


def _opened(path: Path, group: str | None, zarr: bool) -> xr.Dataset:
    """All variables without scaling or masking, those of 3 axes lazily."""
    if zarr:
        options: dict[str, Any] = {"engine": "zarr", "consolidated": False, "group": group}
        with xr.open_dataset(
            path, mask_and_scale=False, decode_times=False, cache=False, **options
        ) as store:
            full = "" if group is None else f"{group}/"
            return _lazy(store, lambda name, variable: _StoreArray(path, full + name, variable))
    with xr.open_dataset(
        netcdf_path(path),
        engine="netcdf4",
        group=group,
        mask_and_scale=False,
        decode_times=False,
        cache=False,
    ) as file:
        return _lazy(file, lambda name, variable: _Variable(path, group, name, variable))


def _lazy(file: xr.Dataset, stored: Callable[[str, Any], Any]) -> xr.Dataset:
    """A data set whose cubes are read block by block from what `stored` makes of them."""
    held = file.copy()
    for name, variable in file.variables.items():
        if variable.ndim < 3 or variable.dtype.kind not in "fiu":
            held[name] = variable.load()
            continue
        raw = stored(str(name), variable)
        chunks: Any = chunks_of(raw.shape, raw.dtype.itemsize) if raw.ndim == 3 else raw.shape
        lazy = da.from_array(
            raw, chunks=cast(Any, chunks), name="nc-" + tokenize(raw), asarray=True
        )
        held[name] = (variable.dims, lazy, variable.attrs)
    return held


def _blocks(cube: xr.DataArray) -> Any:
    pieces = chunks_of(cube.shape, cube.dtype.itemsize)
    return cube.chunk(dict(zip(cube.dims, pieces, strict=True))).data


def _holds(dtype: np.dtype[Any], value: float) -> bool:
    """Whether a type has the value."""
    if dtype.kind == "f":
        return True
    return float(value).is_integer() and np.iinfo(dtype).min <= value <= np.iinfo(dtype).max


def _read_own(path: Path, opened: xr.Dataset, form: str) -> xr.Dataset:
    name = str(decode(opened.attrs[ATTRS]).get("cube_name") or "cube")
    if "cube" not in opened and name in opened:
        opened = opened.rename({name: "cube"})
    opened = unconventional(opened)
    held = opened.assign(cube=opened["cube"].copy(data=_blocks(opened["cube"])))
    held.attrs = {**decode(opened.attrs[ATTRS]), "source": path.name, "container": form}
    for variable in held.variables.values():
        variable.encoding = {}
    held.encoding = {}
    for coordinate in held.coords:  # small: as NumPy, as all other readers give them
        held[coordinate] = held[coordinate].load()
    return held


def _read_emit(path: Path, variable: str | None) -> xr.Dataset:
    parts = {group: _opened(path, group or None, False) for group in _GROUPS if group != ""}
    root = _opened(path, None, False)
    cubes = [k for k, v in root.data_vars.items() if set(v.dims) == set(_EMIT_DIMS)]
    if variable is not None and variable in cubes:
        root = root.drop_vars([k for k in cubes if k != variable])
        cubes = [variable]
    if len(cubes) != 1:
        raise InputError(
            f"{path}: {len(cubes)} cubes (downtrack, crosstrack, bands) in it: give L1B radiance "
            "or L2A reflectance"
        )
    stored = root[cubes[0]].rename(_EMIT_DIMS).transpose("band", "y", "x")
    bands = parts[_BANDS]
    fill = stored.attrs.get("_FillValue")
    units = str(bands["wavelengths"].attrs.get("units", "nm")) if "wavelengths" in bands else None
    emit_attributes = {k: v for k, v in root.attrs.items() if not k.startswith("_")}
    held = build_cube(
        path,
        _blocks(stored),
        form="emit",
        wavelength=bands["wavelengths"].values if "wavelengths" in bands else None,
        units=units,
        fwhm=bands["fwhm"].values if "fwhm" in bands else None,
        good=bands["good_wavelengths"].values if "good_wavelengths" in bands else None,
        attrs={
            "nodata": None if fill is None else float(fill),
            "emit_attributes": emit_attributes,
            "description": root.attrs.get("title"),
        },
    )
    held["cube"].attrs.update(_marks(stored, "", str(cubes[0])))
    known = {old: new for new, old in _OWN.items()}
    for group, part in {"": root.drop_vars(cubes), **parts}.items():
        for label, found in part.variables.items():
            name = known.get(str(label), str(label)) if group == _BANDS else str(label)
            if name in held.variables:
                marks = _marks(found, group, str(label))
                units = marks.pop("units", None)
                held[name].attrs.update(marks, **({} if units is None else {"emit:units": units}))
                continue
            dims = tuple(_EMIT_DIMS.get(str(d), str(d)) for d in found.dims)
            value = (dims, found.values, _marks(found, group, str(label)))
            held = (
                held.assign_coords({name: value})
                if set(dims) <= {"band", "y", "x"}
                else (held.assign({name: value}))
            )
    return held


def _marks(variable: Any, group: str, label: str) -> dict[str, Any]:
    """Where a variable came from, so that it can go back there."""
    return {
        **variable.attrs,
        "emit_group": group,
        "emit_name": label,
        "emit_dtype": variable.dtype.str,
    }


def _read_other(path: Path, root: xr.Dataset, form: str, variable: str | None) -> xr.Dataset:
    group, name = _chosen(path, _cubes(path, form == "zarr"), variable)
    opened = root if group is None else _opened(path, group, form == "zarr")
    cube = opened[name]
    cube = cube.isel({d: 0 for d, n in cube.sizes.items() if n == 1 and cube.ndim > 3})
    lists: dict[str, xr.Variable] = {}
    for place in _around(path, group, form == "zarr", root, opened):
        lists |= {str(k).lower(): v for k, v in place.variables.items() if v.ndim == 1}
    wavelength = next((lists[n] for n in _NAMES if n in lists), None)
    axis = next((d for d in cube.dims if str(d).lower() in _BAND_DIMS), None)
    if axis is None and wavelength is not None:
        named = [d for d in cube.dims if d == wavelength.dims[0]]
        # HDF5 files without named axes: the one as long as the list, if just one is.
        long = [d for d in cube.dims if cube.sizes[d] == wavelength.size]
        axis = named[0] if named else long[0] if len(long) == 1 else None
    if axis is None:
        raise InputError(f"{path}: which of the axes {cube.dims} are the bands? Name it 'band'")
    rest = [d for d in cube.dims if d != axis]
    ordered = cube.transpose(axis, *rest)
    if wavelength is not None and wavelength.size != ordered.shape[0]:
        wavelength = None
    fill = cube.attrs.get("_FillValue", cube.attrs.get("missing_value"))
    marks = {k: cube.attrs[k] for k in KEPT if k in cube.attrs}
    crs, transform = place_of(opened, cube, [str(d) for d in rest])
    fwhm, good = lists.get("fwhm"), lists.get("bbl", lists.get("good_wavelengths"))
    about = {**root.attrs, **opened.attrs}
    built = build_cube(
        path,
        _blocks(ordered),
        form=form,
        wavelength=None if wavelength is None else wavelength.values,
        units=None if wavelength is None else wavelength.attrs.get("units"),
        fwhm=None if fwhm is None or fwhm.size != ordered.shape[0] else fwhm.values,
        good=None if good is None or good.size != ordered.shape[0] else good.values,
        attrs={
            "nodata": None if fill is None else float(np.asarray(fill).reshape(-1)[0]),
            "description": about.get("description", about.get("title")),
            "crs": crs,
            "transform": transform,
            "cube_name": name,
        },
    )
    built["cube"].attrs.update(marks)
    # Masks and the like, on the same grid.
    for other, held in opened.data_vars.items():
        if held.dims == tuple(rest) and other not in built:
            built[str(other)] = (("y", "x"), held.values, dict(held.attrs))
    return built


def _chosen(
    path: Path, cubes: dict[str, tuple[int, ...]], variable: str | None
) -> tuple[str | None, str]:
    """(group, name) of the cube that is wanted."""
    shown = ", ".join(f"{k} {v}" for k, v in cubes.items()) or "none"
    if variable is not None:
        wanted = variable.strip("/")
        found = [k for k in cubes if wanted in (k, k.rpartition("/")[2])]
        if len(found) != 1:
            raise InputError(f"{path}: no single variable {variable!r} of 3 axes in it: {shown}")
    else:
        found = list(cubes)
        if len(found) != 1:
            raise InputError(
                f"{path}: {len(found)} variables of 3 axes in it ({shown}): choose one with "
                "--variable"
            )
    group, _, name = found[0].rpartition("/")
    return group or None, name


def _cubes(path: Path, zarr: bool) -> dict[str, tuple[int, ...]]:
    """Names, with their groups, and shapes of all variables that can be a cube."""
    found: dict[str, tuple[int, ...]] = {}
    if zarr:
        import zarr as zarrs

        root = zarrs.open_group(path, mode="r")
        for name, array in root.arrays():
            _noted(found, name, array.shape, np.dtype(array.dtype))
        for key, group in root.groups():
            for name, array in group.arrays():
                _noted(found, f"{key}/{name}", array.shape, np.dtype(array.dtype))
        return found
    with netCDF4.Dataset(netcdf_path(path)) as file:
        groups: list[tuple[str, Any]] = [("", file)]
        while groups:
            prefix, part = groups.pop(0)
            for name, node in part.variables.items():
                if node.dtype is not str and isinstance(node.dtype, np.dtype):
                    _noted(found, prefix + name, node.shape, node.dtype)
            groups += [(f"{prefix}{k}/", g) for k, g in part.groups.items()]
    return found


def _noted(
    found: dict[str, tuple[int, ...]], name: str, shape: tuple[int, ...], dtype: np.dtype[Any]
) -> None:
    axes = [n for n in shape if n != 1] if len(shape) > 3 else shape
    if len(axes) == 3 and dtype.kind in "fiuc":
        found[name] = tuple(int(n) for n in shape)


def _around(
    path: Path, group: str | None, zarr: bool, root: xr.Dataset, opened: xr.Dataset
) -> list[xr.Dataset]:
    """The root, all groups that hold lists of bands, and the cube's own group at last."""
    if group is None and not zarr:
        with netCDF4.Dataset(netcdf_path(path)) as file:
            names = list(file.groups)
        return [*(_opened(path, n, False) for n in names), root]
    parents = [] if group is None else group.split("/")
    places = [root]
    for depth in range(1, len(parents)):
        places.append(_opened(path, "/".join(parents[:depth]), zarr))
    return [*places, opened]
