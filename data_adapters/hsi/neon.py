"""NEON AOP's spectrometer (.h5): reflectance or radiance of a site.

/SITE/Reflectance/Reflectance_Data (line, sample, band) with the attributes ``Scale_Factor`` and
``Data_Ignore_Value``; Metadata/Spectral_Data/Wavelength and FWHM in nm; Metadata/Coordinate_System
``Map_Info`` (as ENVI's) and ``EPSG Code``. ``Band_Window_1_Nanometers`` and ``_2_`` of the group
name bands of water vapour: these are the bad ones. Radiance has the same layout, without a scale.
Source: NEON.DP1.30006 and DP3.30006, their HDF5 file structure.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import h5py
import numpy as np
import xarray as xr
from numpy.typing import NDArray

from sciddm.data_adapters.hdf5 import dataset_at, open_hdf5, read_array, text_of
from sciddm.data_adapters.hsi.cube import build_cube
from sciddm.data_adapters.hsi.georeference import crs_of, epsg_wkt, transform_of
from sciddm.data_adapters.hsi.hdf_cube import HdfCube, attribute, group_below, numbers

__all__ = ["is_neon", "read_neon"]

_AXES = ("y", "x", "band")
_KINDS = ("Reflectance", "Radiance")


def is_neon(file: h5py.File) -> bool:
    """Whether an HDF5 file holds a cube of NEON."""
    return _cube_name(file) is not None


def read_neon(path: Path) -> xr.Dataset:
    """Opens a cube lazily; see `cube` for what is returned.

    Raises:
        InputError: an array of the layout is damaged.
    """
    with open_hdf5(path) as file:
        name = _cube_name(file)
        assert name is not None
        node = dataset_at(file, name)
        group = cast("h5py.Group", node.parent)
        spectral = group_below(group, "Metadata/Spectral_Data")
        wavelength = _list(spectral, "Wavelength", path)
        scale, fill = numbers(node, "Scale_Factor"), numbers(node, "Data_Ignore_Value")
        good = None if wavelength is None else _good(group, wavelength)
        coords = {}
        if scale is not None and scale[0] not in (0, 1):
            coords["gain"] = ("band", np.full(node.shape[2], 1 / scale[0]))
        return build_cube(
            path,
            HdfCube.of(path, node, _AXES).lazy(),
            form="neon",
            wavelength=wavelength,
            units="nm",
            fwhm=_list(spectral, "FWHM", path),
            good=good,
            coords=coords,
            attrs={
                "nodata": None if fill is None else float(fill[0]),
                "description": attribute(node, "Description") or f"NEON {name.split('/')[1]}",
                "interleave": "bip",
                **_place(group),
            },
        )


def _cube_name(file: h5py.File) -> str | None:
    for site in file:
        for kind in _KINDS:
            name = f"{site}/{kind}/{kind}_Data"
            node = file.get(name)
            if isinstance(node, h5py.Dataset) and len(node.shape) == 3:
                return name
    return None


def _list(group: h5py.Group | None, name: str, path: Path) -> NDArray[np.float64] | None:
    if group is None or name not in group:
        return None
    return np.asarray(read_array(group[name], path), np.float64).reshape(-1)


def _good(group: h5py.Group, wavelength: NDArray[np.float64]) -> NDArray[np.bool_]:
    good = np.ones(len(wavelength), bool)
    for number in (1, 2):
        window = numbers(group, f"Band_Window_{number}_Nanometers")
        if window is not None and len(window) == 2:
            good &= (wavelength < window[0]) | (wavelength > window[1])
    return good


def _place(group: h5py.Group) -> dict[str, Any]:
    about = group_below(group, "Metadata/Coordinate_System")
    if about is None or "Map_Info" not in about:
        return {}
    info = [v.strip() for v in text_of(np.asarray(dataset_at(about, "Map_Info")[()])).split(",")]
    transform = transform_of(info)
    if transform is None:
        return {}
    code = text_of(np.asarray(dataset_at(about, "EPSG Code")[()])) if "EPSG Code" in about else ""
    crs = epsg_wkt(int(code)) if code.isdigit() else crs_of(info)
    return {"transform": transform, "crs": crs}
