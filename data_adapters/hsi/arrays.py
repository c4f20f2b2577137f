"""Cubes in MATLAB's .mat and NumPy's .npz: arrays by name, with no place for most metadata.

The cube is the array named `cube`, `data`, `reflectance`, `radiance` or `img`, else the only one of
three axes. Bands are the axis as long as the list of wavelengths, if just one is, else the last:
(line, sample, band). Wavelengths, fwhm and bad bands are lists named as below. What has no such
place lies as JSON under `sciddm_attrs`. Files of MATLAB 7.3 are HDF5, whose axes run backwards.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import scipy.io
import xarray as xr
from numpy.typing import NDArray

from sciddm.data_adapters.attributes import decode, encode
from sciddm.data_adapters.checks import check_size, existing_file, reading
from sciddm.data_adapters.gate.npz import open_npz
from sciddm.data_adapters.hdf5 import ATTRS, open_hdf5, read_array
from sciddm.data_adapters.hsi.cube import build_cube, per_unit
from sciddm.errors import InputError, OutputError

__all__ = ["read_arrays", "write_arrays"]

_CUBES = ("cube", "data", "reflectance", "radiance", "img")
_WAVELENGTHS = (
    "wavelength",
    "wavelengths",
    "wavelength_nm",
    "wavelength_um",
    "wavelengths_nm",
    "wavelengths_um",
    "wl",
    "lambda",
)
#: What is read beside the cube.
_LISTS = frozenset(
    {
        *_WAVELENGTHS,
        *("fwhm", "fwhm_nm", "fwhm_um", "bbl", "good", "good_wavelengths"),
        *("band_name", "band_gain", "band_offset", ATTRS),
    }
)
_MAT_BYTES = 2**31 - 2**20  # one array of a MATLAB 5 file


def read_arrays(source: str | Path) -> xr.Dataset:
    """Reads a .mat or .npz file whole; see `cube` for what is returned.

    Raises:
        InputError: damaged, pickled objects, no cube, or more than one that it could be.
    """
    path = existing_file(source)
    with reading(path):
        name, arrays = _read_npz(path) if path.suffix.lower() == ".npz" else _read_mat(path)
        kept = decode(str(arrays[ATTRS].reshape(-1)[0])) if ATTRS in arrays else {}
    values = arrays[name]
    listed = next((n for n in _WAVELENGTHS if n in arrays), None)
    wavelength = None if listed is None else arrays[listed].reshape(-1)
    axis = kept.get("band_axis")
    if axis is None:
        fits = (
            []
            if wavelength is None
            else [i for i in range(3) if values.shape[i] == len(wavelength)]
        )
        axis = fits[0] if len(fits) == 1 else 2
    units = kept.get("wavelength_units")
    if units is None and listed is not None and listed[-3:] in ("_nm", "_um"):
        units = listed[-2:]
    coords = {
        key: ("band", arrays[f"band_{key}"].reshape(-1))
        for key in ("name", "gain", "offset")
        if f"band_{key}" in arrays
    }
    return build_cube(
        path,
        np.moveaxis(values, int(axis), 0),
        form=path.suffix.lower()[1:],
        wavelength=wavelength,
        units=units,
        fwhm=_first(arrays, ("fwhm", "fwhm_nm", "fwhm_um")),
        good=_first(arrays, ("bbl", "good", "good_wavelengths")),
        coords=coords,
        attrs={
            **{k: v for k, v in kept.items() if k not in ("format", "source")},
            "cube_name": name,
            "wavelength_name": listed,
            "band_axis": int(axis),
        },
    )


def write_arrays(dataset: xr.Dataset, path: Path) -> None:
    """Writes the arrays that `read_arrays` reads, in the file's own axes and names.

    Raises:
        OutputError: too large for MATLAB's format, which has no array of 2 GB.
    """
    axis = int(dataset.attrs.get("band_axis", 2))
    name = str(dataset.attrs.get("cube_name", "cube"))
    cube = dataset["cube"]
    if path.suffix.lower() == ".mat" and math.prod(cube.shape) * cube.dtype.itemsize > _MAT_BYTES:
        raise OutputError(f"{path}: too large for a .mat file: write .hdr, .nc or .tif")
    arrays: dict[str, Any] = {name: np.moveaxis(np.asarray(cube.values), 0, axis)}
    scale = per_unit(dataset)
    if "wavelength" in dataset.coords:
        listed = dataset.attrs.get("wavelength_name") or "wavelength"
        arrays[str(listed)] = dataset["wavelength"].values / scale
    if "fwhm" in dataset.coords:
        arrays["fwhm"] = dataset["fwhm"].values / scale
    if "good" in dataset.coords:
        arrays["bbl"] = np.asarray(dataset["good"].values, np.uint8)
    for key in ("name", "gain", "offset"):
        if key in dataset.coords:
            values = np.asarray(dataset[key].values)
            arrays[f"band_{key}"] = values.astype(str) if values.dtype.kind in "OU" else values
    attrs = {k: v for k, v in dataset.attrs.items() if k not in ("cube_name", "wavelength_name")}
    arrays[ATTRS] = encode(attrs)
    with path.open("wb") as file:
        if path.suffix.lower() == ".npz":
            np.savez_compressed(file, **arrays)
        else:
            scipy.io.savemat(file, arrays, do_compression=True)


def _read_npz(path: Path) -> tuple[str, dict[str, NDArray[Any]]]:
    """The cube's name, and the arrays that are needed."""
    with open_npz(path) as held:
        name = _cube_name(path, {n: _like(*held.described(n)) for n in held})
        return name, {n: held[n] for n in held if n == name or n in _LISTS}


def _read_mat(path: Path) -> tuple[str, dict[str, NDArray[Any]]]:
    if h5py.is_hdf5(path):
        with open_hdf5(path) as file:
            nodes = {k: v for k, v in file.items() if isinstance(v, h5py.Dataset) and v.shape}
            # The axes of a MATLAB file run backwards.
            shapes = {k: _like(v.shape[::-1], v.dtype) for k, v in nodes.items()}
            name = _cube_name(path, shapes)
            wanted = [k for k in nodes if k == name or k in _LISTS]
            return name, {k: read_array(nodes[k], path).transpose() for k in wanted}
    known = {n: (shape, kind) for n, shape, kind in scipy.io.whosmat(path)}
    name = _cube_name(path, {n: _like(*_matlab(*v)) for n, v in known.items()})
    wanted = [n for n in known if n == name or n in _LISTS]
    for key in wanted:
        shape, dtype = _matlab(*known[key])
        check_size(path, key, [max(1, n) for n in shape], dtype.itemsize, stored=path)
    found = scipy.io.loadmat(path, variable_names=wanted)
    return name, {n: np.asarray(found[n]) for n in wanted}


def _matlab(shape: tuple[int, ...], kind: str) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Shape and type by MATLAB's word for it; text and structures are objects here."""
    words = {"single": "float32", "double": "float64", "logical": "bool"}
    try:
        return shape, np.dtype(words.get(kind, kind))
    except TypeError:
        return shape, np.dtype(object)


def _like(shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
    """An array of that shape and type that takes no memory."""
    return np.broadcast_to(np.empty((), dtype), shape)


def _cube_name(path: Path, arrays: Mapping[str, NDArray[Any]]) -> str:
    cubes = [k for k, v in arrays.items() if v.ndim == 3 and v.dtype.kind in "fiucV"]
    named = [k for k in _CUBES if k in cubes]
    if named:
        return named[0]
    if len(cubes) == 1:
        return cubes[0]
    held = ", ".join(f"{k} {v.shape}" for k, v in arrays.items()) or "nothing"
    count = "several arrays" if cubes else "no array"
    raise InputError(f"{path}: {count} of 3 axes in it ({held}): name the cube 'cube'")


def _first(arrays: Mapping[str, NDArray[Any]], names: tuple[str, ...]) -> NDArray[Any] | None:
    found = next((n for n in names if n in arrays), None)
    return None if found is None else arrays[found].reshape(-1)
