"""A hyperspectral cube as one xarray data set, whatever file it came from.

cube         (band, y, x), the values as stored: no scaling, no masking; lazy (dask) from files
wavelength   coordinate of band, nm; absent where the file states none
fwhm         coordinate of band, nm
good         coordinate of band, bool: the file's bad band list
name         coordinate of band, text
gain, offset coordinates of band, for radiometric calibration
y, x         coordinates: line and sample of the file, from 0. After ``isel`` they say where the
             part lies, and writers move the georeference accordingly

The attributes that any reader sets: ``source``, ``format``; where the file states them ``nodata``,
``description``, ``crs`` (WKT), ``transform`` (a, b, c, d, e, f: easting = a column + b line + c,
northing = d column + e line + f, of the upper left corner of a pixel of the file, not of the part),
``wavelength_units`` (the file's word) and ``nm_per_unit``, ``interleave``.
"""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Real
from pathlib import Path
from typing import Any, Literal, cast

import dask.array as da
import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from sciddm.data_adapters.checks import one_line
from sciddm.errors import InputError

__all__ = [
    "DIMS",
    "VALID",
    "build_cube",
    "checked_cube",
    "chunks_of",
    "corner",
    "empty_bands",
    "per_unit",
    "wavelengths_nm",
]

DIMS = ("band", "y", "x")
#: Variable (y, x) bool of cubes with a mask of their own: pixels that hold something.
VALID = "valid_mask"
_BLOCK_BYTES = 16 * 2**20
_PER_UNIT = {
    "nanometers": 1.0,
    "nanometer": 1.0,
    "nm": 1.0,
    "micrometers": 1e3,
    "micrometer": 1e3,
    "microns": 1e3,
    "um": 1e3,
    "µm": 1e3,
    "μm": 1e3,
    "angstroms": 0.1,
    "millimeters": 1e6,
    "meters": 1e9,
    "m": 1e9,
}


def build_cube(
    path: Path,
    values: Any,
    *,
    form: str,
    wavelength: ArrayLike | None = None,
    units: str | None = None,
    fwhm: ArrayLike | None = None,
    good: ArrayLike | None = None,
    coords: Mapping[str, Any] | None = None,
    attrs: Mapping[str, Any] | None = None,
) -> xr.Dataset:
    """The data set of this module from what a reader has found.

    Args:
        path: of the file, for messages.
        values: (band, y, x), NumPy or dask.
        form: name of the format.
        wavelength: (band,), in `units`.
        units: the file's word for them; where it is missing or unknown, numbers below 100 are
            taken as micrometres, others as nanometres.
        fwhm: (band,), in `units`.
        good: (band,), nonzero for good bands.
        coords: further coordinates.
        attrs: further attributes; those that are None are left out.

    Raises:
        InputError: complex, without an element, lists that do not fit the number of bands, or
            nodata that is no number.
    """
    if values.ndim != 3 or 0 in values.shape:
        raise InputError(
            f"{path}: the cube has the shape {tuple(values.shape)}: give one of 3 axes"
        )
    if values.dtype.kind == "c":
        raise InputError(
            f"{path}: the cube is complex ({values.dtype}): take its magnitude or intensity first"
        )
    if values.dtype.kind not in "fiu":
        raise InputError(f"{path}: the cube holds {values.dtype}, not numbers: export it again")
    if not isinstance(values, da.Array):
        values = lazy_cube(values)
    bands, lines, samples = (int(n) for n in values.shape)
    along: dict[str, Any] = {}
    scale = 1.0
    if wavelength is not None:
        raw = _numbers(path, "wavelengths", wavelength, bands)
        scale = _nm_per(units, raw)
        along["wavelength"] = ("band", raw * scale, {"units": "nm"})
    if fwhm is not None:
        along["fwhm"] = ("band", _numbers(path, "fwhm", fwhm, bands) * scale, {"units": "nm"})
    if good is not None:
        along["good"] = ("band", _numbers(path, "bad band list", good, bands) != 0)
    found = {"source": path.name, "format": form, **(attrs or {})}
    nodata = found.get("nodata")
    if nodata is not None and (isinstance(nodata, bool) or not isinstance(nodata, Real)):
        raise InputError(f"{path}: nodata is {nodata!r}, not a number: correct it")
    if any(np.shape(v[1]) != (bands,) for v in (coords or {}).values() if v[0] == "band"):
        raise InputError(f"{path}: lists of the bands are not {bands} long: correct or remove them")
    if wavelength is not None:
        found |= {"wavelength_units": units, "nm_per_unit": scale}
    return xr.Dataset(
        {"cube": (DIMS, values)},
        coords={"y": np.arange(lines), "x": np.arange(samples), **along, **(coords or {})},
        attrs={k: v for k, v in found.items() if v is not None},
    )


def checked_cube(dataset: xr.Dataset | xr.DataArray) -> xr.Dataset:
    """The data set with its cube in the order (band, y, x).

    Raises:
        InputError: there is no such cube, or it is complex.
    """
    if isinstance(dataset, xr.DataArray):
        dataset = dataset.to_dataset(name="cube").assign_attrs(dataset.attrs)
    name = dataset.attrs.get("source", "the data set")
    if "cube" not in dataset or set(dataset["cube"].dims) != set(DIMS):
        raise InputError(f"{name}: no variable cube {DIMS} in it: name it and its axes so")
    if dataset["cube"].dtype.kind not in "fiu":
        raise InputError(f"{name}: the cube holds {dataset['cube'].dtype}: give real numbers")
    if 0 in dataset["cube"].shape:
        raise InputError(f"{name}: the cube is empty: give at least one band, line and sample")
    return dataset.assign(cube=dataset["cube"].transpose(*DIMS))


def per_unit(dataset: xr.Dataset) -> float:
    """Nanometres per unit in which the wavelengths are to be written; 1 where no file said."""
    stated = dataset.attrs.get("nm_per_unit")
    if stated is not None:
        return float(stated)
    return _PER_UNIT.get(str(dataset.attrs.get("wavelength_units", "nm")).strip().lower(), 1.0)


def wavelengths_nm(dataset: xr.Dataset) -> NDArray[np.float64]:
    """The wavelengths in nm, for methods that cannot do without.

    Raises:
        InputError: the file has none.
    """
    if "wavelength" not in dataset.coords:
        raise InputError(
            f"{dataset.attrs.get('source', 'the cube')}: states no wavelengths: add them to its "
            "header (ENVI: wavelength and wavelength units), or set the coordinate wavelength, nm"
        )
    return np.asarray(dataset["wavelength"].values, dtype=np.float64)


def empty_bands(dataset: xr.Dataset) -> NDArray[np.bool_]:
    """Bands in which no pixel has a value: all of them NaN, infinite, 0 or nodata.

    One pass over the cube, block by block.

    Returns:
        (band,) bool.

    Raises:
        InputError: all bands are so.
    """
    cube = dataset["cube"]
    data = cube.data
    used = data != 0
    if cube.dtype.kind == "f":
        used &= np.isfinite(data)
    nodata = dataset.attrs.get("nodata")
    if nodata is not None and np.isfinite(nodata):
        used &= data != nodata
    empty = ~np.asarray(used.any(axis=(1, 2)))
    if empty.all():
        raise InputError(
            f"{dataset.attrs.get('source', 'the cube')}: no band holds a value, all are NaN, 0 or "
            "nodata: give another file"
        )
    return empty


def corner(dataset: xr.Dataset) -> tuple[int, int]:
    """(line, sample) of the file where the data set's first pixel lies.

    Raises:
        InputError: pixels were left out between, so that no georeference fits.
    """
    first = []
    for dim in ("y", "x"):
        at = np.asarray(dataset[dim].values) if dim in dataset.coords else np.arange(1)
        if len(at) > 1 and (at[1:] - at[:-1] != 1).any():
            raise InputError(
                f"{dataset.attrs.get('source', 'the cube')}: the coordinate {dim} is not one line "
                "or sample after the other: take a part without gaps"
            )
        first.append(int(at[0]))
    return first[0], first[1]


def chunks_of(shape: tuple[int, ...], itemsize: int) -> tuple[int, int, int]:
    """Blocks of whole lines with all bands, of some 16 MB."""
    bands, lines, samples = shape
    each = max(1, _BLOCK_BYTES // max(1, bands * samples * itemsize))
    return bands, min(lines, each), samples


def lazy_cube(cube: Any, name: str | Literal[False] | None = None) -> da.Array:
    """An array (band, y, x), or what can be indexed as one, in blocks of whole lines.

    Args:
        cube: with ``shape`` and ``dtype``.
        name: of the dask array; of its contents if None, a random one if False.
    """
    # dask states no types: checkers take that of the default, "auto", for that of the argument.
    chunks: Any = cast(Any, chunks_of(cube.shape, cube.dtype.itemsize))
    source = cube if isinstance(cube, np.ndarray) else _Sliced(cube)
    out: da.Array = da.from_array(source, chunks=chunks, name=name, asarray=True, fancy=False)
    return out


class _Sliced:
    """What reads slices, for any index of slices and integers: dask hands on what a user asks for.

    Args:
        cube: that is indexed by three slices.
    """

    ndim = 3

    def __init__(self, cube: Any) -> None:
        self.cube, self.shape, self.dtype = cube, cube.shape, cube.dtype

    def __getitem__(self, index: Any) -> NDArray[Any]:
        indices = index if isinstance(index, tuple) else (index,)
        indices += (slice(None),) * (3 - len(indices))
        at = [
            i if isinstance(i, slice) else range(n)[i]
            for i, n in zip(indices, self.shape, strict=True)
        ]
        parts = tuple(i if isinstance(i, slice) else slice(i, i + 1) for i in at)
        values: NDArray[Any] = self.cube[parts]
        return values[tuple(slice(None) if isinstance(i, slice) else 0 for i in at)]

    def __dask_tokenize__(self) -> Any:
        return self.cube.__dask_tokenize__()


def _nm_per(units: str | None, values: NDArray[Any]) -> float:
    """Nanometres per unit of the wavelengths; guessed from their size for unknown units."""
    known = _PER_UNIT.get((units or "").strip().lower())
    if known is not None:
        return known
    return 1e3 if np.nanmax(values) < 100 else 1.0


def _numbers(path: Path, name: str, values: ArrayLike, bands: int) -> NDArray[np.float64]:
    try:
        numbers = np.asarray(values, dtype=np.float64).reshape(-1)
    except (TypeError, ValueError) as error:
        raise InputError(f"{path}: the {name} are no numbers ({one_line(error)})") from error
    if len(numbers) != bands:
        raise InputError(
            f"{path}: {len(numbers)} {name} for {bands} bands: correct the header or leave them out"
        )
    if not np.isfinite(numbers).all():
        raise InputError(f"{path}: the {name} hold NaN or infinity: correct the header")
    return numbers
