"""Opening and saving cubes of every format."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import h5py
import xarray as xr

from sciddm.data_adapters.checks import existing_file
from sciddm.data_adapters.gate.hdf4 import is_hdf4
from sciddm.data_adapters.hdf5 import open_hdf5
from sciddm.data_adapters.hsi.arrays import read_arrays, write_arrays
from sciddm.data_adapters.hsi.cube import checked_cube, chunks_of
from sciddm.data_adapters.hsi.desis import is_desis, read_desis
from sciddm.data_adapters.hsi.dlr import product_files
from sciddm.data_adapters.hsi.enmap import is_enmap, read_enmap
from sciddm.data_adapters.hsi.envi import (
    ENVI_SUFFIXES,
    envi_files,
    envi_outputs,
    read_envi,
    write_envi,
)
from sciddm.data_adapters.hsi.geotiff import read_geotiff, write_geotiff
from sciddm.data_adapters.hsi.hyperion import read_hyperion
from sciddm.data_adapters.hsi.neon import is_neon, read_neon
from sciddm.data_adapters.hsi.netcdf import read_netcdf, write_emit, write_netcdf
from sciddm.data_adapters.hsi.packing import for_bands, for_variable
from sciddm.data_adapters.hsi.prisma import is_prisma, read_prisma
from sciddm.data_adapters.hsi.tanager import is_tanager, read_tanager
from sciddm.data_adapters.hsi.vrt import read_vrt, vrt_files
from sciddm.data_adapters.isolation import isolated
from sciddm.data_adapters.staging import is_zarr, staged
from sciddm.errors import InputError, OutputError

__all__ = [
    "CUBE_SUFFIXES",
    "cube_files",
    "cube_outputs",
    "is_cube",
    "open_cube",
    "save_cube",
    "write_cube",
]

#: Formats that are written; products are read only.
CUBE_SUFFIXES = (*ENVI_SUFFIXES, ".tif", ".tiff", ".nc", ".zarr", ".mat", ".npz")
#: Layouts of HDF5 products: whether an open file has it, and its reader.
_LAYOUTS = ((is_prisma, read_prisma), (is_tanager, read_tanager), (is_neon, read_neon))
#: Products of several files, told by their names.
_PRODUCTS = ((is_enmap, read_enmap), (is_desis, read_desis))


#: Bytes of a cube up to which it is read whole at once: every later look would cost a call.
_SMALL = 2**24


@isolated
def open_cube(path: str | Path, variable: str | None = None) -> xr.Dataset:
    """Opens a hyperspectral cube; see `cube` for what is returned.

    Args:
        path: ENVI (header or file of numbers), GeoTIFF, a virtual raster (.vrt), netCDF-4 (EMIT's
            granules, sciddm's own, others with one cube), Zarr, .mat or .npz; products of PRISMA,
            EnMAP, DESIS, Tanager, NEON and Hyperion (L1R). All but .mat, .npz and small cubes are
            read lazily.
        variable: name of the cube, with its group, in a file that holds several.

    Raises:
        InputError: unusable; one line that names the file and what helps.
    """
    return _whole_if_small(_open(Path(path), variable))


def _whole_if_small(dataset: xr.Dataset) -> xr.Dataset:
    """The dataset with small lazy variables in memory, in the same chunks."""
    lazy = {name: v for name, v in dataset.variables.items() if v.chunks is not None}
    if not lazy or sum(v.nbytes for v in lazy.values()) > _SMALL:
        return dataset
    whole = dataset.compute(scheduler="synchronous")  # a pool of threads costs more than it gives
    return whole.assign({name: whole[name].chunk(v.chunksizes) for name, v in lazy.items()})


def _open(path: Path, variable: str | None) -> xr.Dataset:
    if is_zarr(path):
        return read_netcdf(path, variable)
    suffix = path.suffix.lower()
    if suffix == ".zarr":
        raise InputError(f"{path}: no zarr store: check the name")
    if suffix in (".mat", ".npz"):
        return read_arrays(path, variable)
    file: Path = existing_file(path)
    held = _product(file) if variable is None else None
    if held is not None:
        return held
    if suffix in (".nc", ".nc4", ".cdf") or h5py.is_hdf5(file):
        return read_netcdf(file, variable)
    if variable is not None:
        raise InputError(f"{file}: holds one cube: leave --variable out")
    if suffix in (".tif", ".tiff"):
        return read_geotiff(path)
    if suffix == ".vrt":
        return read_vrt(file)
    if is_hdf4(file):
        return read_hyperion(file)
    if suffix in ENVI_SUFFIXES or file.with_name(file.name + ".hdr").exists():
        return read_envi(file)
    raise InputError(
        f"{file}: no cube that can be read: give ENVI (.hdr), GeoTIFF (.tif), .vrt, netCDF (.nc), "
        ".zarr, .mat, .npz or a product (docs/formats.md)"
    )


def _product(file: Path) -> xr.Dataset | None:
    """The cube of a sensor's product, None for any other file."""
    for known, read in _PRODUCTS:
        if known(file):
            return read(file)
    if file.suffix.lower() not in (".nc", ".nc4") and h5py.is_hdf5(file):
        with open_hdf5(file) as opened:
            layout = next((read for known, read in _LAYOUTS if known(opened)), None)
        if layout is not None:
            return layout(file)
    return None


def is_cube(path: Path) -> bool:
    """Whether a file or folder holds a cube, by its suffix: one that no other domain has."""
    suffix = path.suffix.lower()
    if suffix == ".zarr":
        return path.is_dir()
    return path.is_file() and suffix in (".hdr", ".bil", ".bip", ".bsq", ".he5", ".l1r")


def cube_files(path: Path) -> list[Path]:
    """All files that hold a cube: ENVI's two, a virtual raster and its sources, the spectra and the
    metadata of a product, else the path itself."""
    if path.suffix.lower() in ENVI_SUFFIXES:
        return list(envi_files(path))
    if path.suffix.lower() == ".vrt" and path.is_file():
        return vrt_files(path)
    if path.is_file() and any(known(path) for known, _ in _PRODUCTS):
        return product_files(path)
    return [path]


def cube_outputs(path: str | Path, dataset: xr.Dataset | None = None) -> list[Path]:
    """All that `save_cube` writes for a path.

    Raises:
        OutputError: the suffix is not one of CUBE_SUFFIXES.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in CUBE_SUFFIXES:
        known = ", ".join(CUBE_SUFFIXES)
        raise OutputError(f"{path}: the suffix chooses the format, one of {known}: rename")
    return envi_outputs(path, dataset) if suffix in ENVI_SUFFIXES else [path]


def save_cube(
    dataset: xr.Dataset | xr.DataArray, path: str | Path, *, overwrite: bool = False
) -> None:
    """Writes a cube with its metadata: all of its files, or none.

    Lazy cubes are computed and written block by block, except to .mat and .npz. A cube that was
    read from EMIT's layout goes to .nc in EMIT's layout.

    Args:
        dataset: in the form of `cube`.
        path: the suffix chooses the format.
        overwrite: existing files may be replaced.

    Raises:
        InputError: no cube in it.
        OutputError: unknown suffix, a file exists, cannot be written, or its format cannot hold
            the data.
    """
    path = Path(path)
    held = checked_cube(dataset)
    targets = cube_outputs(path, held)
    with staged(targets, overwrite) as at:
        write_cube(held, path, at)


def write_cube(held: xr.Dataset, path: Path, at: Mapping[Path, Path]) -> None:
    """Writes a cube to the places that its outputs have for the time being.

    Args:
        held: in the form of `cube`.
        path: the suffix chooses the format.
        at: from each of `cube_outputs` to where it is written.
    """
    suffix = path.suffix.lower()
    cube = held["cube"]
    if cube.chunks is None:  # in memory: writers go block by block
        pieces = chunks_of(cube.shape, cube.dtype.itemsize)
        held = held.assign(cube=cube.chunk(dict(zip(cube.dims, pieces, strict=True))))
    if suffix in ENVI_SUFFIXES:
        data, header = cube_outputs(path, held)
        write_envi(for_bands(held), at[data], at[header])
    elif suffix in (".tif", ".tiff"):
        write_geotiff(for_bands(held), at[path])
    elif suffix in (".mat", ".npz"):
        write_arrays(held, at[path])
    elif suffix == ".nc" and held.attrs.get("format") == "emit":
        write_emit(held, at[path])
    else:
        write_netcdf(for_variable(held), at[path], "zarr" if suffix == ".zarr" else "nc")
