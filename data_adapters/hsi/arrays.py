"""Cubes in MATLAB's .mat and NumPy's .npz: arrays by name, with no place for most metadata.

The cube is the array named `cube`, `data`, `reflectance`, `radiance` or `img`, else the only one of
three axes. Bands are the axis as long as the list of wavelengths, if just one is, else the last:
(line, sample, band). A matrix `Y` (band, pixel) with `nRow` and `nCol`, as unmixing data sets have
it, is read with pixels along columns first, as MATLAB reshapes. Wavelengths, fwhm and bad bands are
lists named as below. What has no such place lies as JSON under `sciddm_attrs`. Files of MATLAB 7.3
are HDF5, whose axes run backwards.
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
#: Numbers of lines and of samples beside a matrix (band, pixel), as unmixing data sets have them.
_LINES, _SAMPLES = ("nRow", "nrow", "lines", "H"), ("nCol", "ncol", "samples", "W")
#: What is read beside the cube.
_LISTS = frozenset(
    {
        *_WAVELENGTHS,
        *("fwhm", "fwhm_nm", "fwhm_um", "bbl", "good", "good_wavelengths"),
        *("band_name", "band_gain", "band_offset", ATTRS),
        *_LINES,
        *_SAMPLES,
    }
)
_MAT_BYTES = 2**31 - 2**20  # one array of a MATLAB 5 file


def read_arrays(source: str | Path, variable: str | None = None) -> xr.Dataset:
    """Reads a .mat or .npz file whole; see `cube` for what is returned.

    Args:
        source: the file.
        variable: name of the cube; found as above if None.

    Raises:
        InputError: damaged, pickled objects, no cube, or more than one that it could be.
    """
    path = existing_file(source)
    with reading(path):
        read = _read_npz if path.suffix.lower() == ".npz" else _read_mat
        name, arrays = read(path, variable)
        kept = decode(str(arrays[ATTRS].reshape(-1)[0])) if ATTRS in arrays else {}
    values = arrays[name]
    flat = values.ndim == 2
    if flat:
        values = _unfolded(path, name, arrays)
    listed = next((n for n in _WAVELENGTHS if n in arrays), None)
    wavelength = None if listed is None else arrays[listed].reshape(-1)
    axis = 0 if flat else kept.get("band_axis")
    if axis is None:
        fits = (
            []
            if wavelength is None
            else [i for i in range(3) if values.shape[i] == len(wavelength)]
        )
        axis = fits[0] if len(fits) == 1 else 2
    if not isinstance(axis, int) or not 0 <= axis < 3:
        raise InputError(f"{path}: band_axis is {axis!r}, not 0, 1 or 2: correct it")
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
            "folded": True if flat else None,
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
    if dataset.attrs.get("folded"):
        bands, lines, samples = cube.shape
        matrix = np.asarray(cube.values).transpose(0, 2, 1).reshape(bands, -1)
        arrays = {name: matrix, "nRow": np.array([[lines]]), "nCol": np.array([[samples]])}
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


def _unfolded(path: Path, name: str, arrays: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
    """(band, line, sample) of pixels that lie one after the other along columns."""
    values = arrays[name]
    sizes = []
    for names in (_LINES, _SAMPLES):
        size = _first(arrays, names)
        if size is None:
            raise InputError(
                f"{path}: {name} {values.shape} has 2 axes, and no nRow and nCol that say how its "
                "pixels lie: add them, or give a cube of 3 axes"
            )
        sizes.append(int(size[0]))
    count = sizes[0] * sizes[1]
    if count not in values.shape:
        raise InputError(f"{path}: {name} {values.shape} is not {sizes[0]} x {sizes[1]} pixels")
    bands = values if values.shape[1] == count else values.T
    # MATLAB's reshape: the line changes first.
    return bands.reshape(len(bands), sizes[1], sizes[0]).transpose(0, 2, 1)


def _read_npz(path: Path, variable: str | None) -> tuple[str, dict[str, NDArray[Any]]]:
    """The cube's name, and the arrays that are needed."""
    with open_npz(path) as held:
        name = _cube_name(path, {n: _like(*held.described(n)) for n in held}, variable)
        return name, {n: held[n] for n in held if n == name or n in _LISTS}


def _read_mat(path: Path, variable: str | None) -> tuple[str, dict[str, NDArray[Any]]]:
    if h5py.is_hdf5(path):
        with open_hdf5(path) as file:
            nodes = {k: v for k, v in file.items() if isinstance(v, h5py.Dataset) and v.shape}
            # The axes of a MATLAB file run backwards.
            shapes = {k: _like(v.shape[::-1], v.dtype) for k, v in nodes.items()}
            name = _cube_name(path, shapes, variable)
            wanted = [k for k in nodes if k == name or k in _LISTS]
            return name, {k: read_array(nodes[k], path).transpose() for k in wanted}
    known = {n: (shape, kind) for n, shape, kind in scipy.io.whosmat(path)}
    name = _cube_name(path, {n: _like(*_matlab(*v)) for n, v in known.items()}, variable)
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


def _cube_name(path: Path, arrays: Mapping[str, NDArray[Any]], variable: str | None = None) -> str:
    cubes = [k for k, v in arrays.items() if v.ndim == 3 and v.dtype.kind in "fiucV"]
    if variable is not None:
        if variable not in arrays or arrays[variable].ndim not in (2, 3):
            held = ", ".join(f"{k} {v.shape}" for k, v in arrays.items())
            raise InputError(f"{path}: no array {variable!r} of 3 axes in it: one of {held}")
        return variable
    named = [k for k in _CUBES if k in cubes]
    if named:
        return named[0]
    if len(cubes) == 1:
        return cubes[0]
    if not cubes and "Y" in arrays and arrays["Y"].ndim == 2:
        return "Y"
    held = ", ".join(f"{k} {v.shape}" for k, v in arrays.items()) or "nothing"
    count = "several arrays" if cubes else "no array"
    raise InputError(f"{path}: {count} of 3 axes in it ({held}): choose one with --variable")


def _first(arrays: Mapping[str, NDArray[Any]], names: tuple[str, ...]) -> NDArray[Any] | None:
    found = next((n for n in names if n in arrays), None)
    return None if found is None else arrays[found].reshape(-1)
