"""Tanager (Planet): radiance or surface reflectance, in the sensor's geometry or on a grid.

/HDFEOS/SWATHS/HYP or /HDFEOS/GRIDS/HYP, ``Data Fields``: ``toa_radiance`` or
``surface_reflectance`` (band, y, x), with the attributes ``wavelengths``, ``fwhm`` and
``good_wavelengths``; ``nodata_pixels`` (y, x). The grid's place is the HDF-EOS text
``StructMetadata.0``: corners of the outer pixels, and the UTM zone. Layout: Planet's product
specification, and files of its open data.
"""

from __future__ import annotations

import re
from pathlib import Path

import h5py
import numpy as np
import xarray as xr

from sciddm.data_adapters.hdf5 import dataset_at, open_hdf5, read_array, text_of
from sciddm.data_adapters.hsi.cube import DIMS, VALID, build_cube
from sciddm.data_adapters.hsi.georeference import epsg_wkt
from sciddm.data_adapters.hsi.hdf_cube import HdfCube, attribute, group_below, numbers
from sciddm.errors import InputError

__all__ = ["is_tanager", "read_tanager"]

_GROUPS = ("HDFEOS/GRIDS/HYP", "HDFEOS/SWATHS/HYP")
_CUBES = ("surface_reflectance", "toa_radiance")
_PAIR = r"\(\s*([-\d.eE+]+)\s*,\s*([-\d.eE+]+)\s*\)"


def is_tanager(file: h5py.File) -> bool:
    """Whether an HDF5 file holds a product of Tanager."""
    return any(group_below(file, g) is not None for g in _GROUPS)


def read_tanager(path: Path) -> xr.Dataset:
    """Opens a product lazily; see `cube` for what is returned.

    Raises:
        InputError: no cube in it.
    """
    with open_hdf5(path) as file:
        group = next(g for g in _GROUPS if group_below(file, g) is not None)
        fields = group_below(file, f"{group}/Data Fields")
        name = next((n for n in _CUBES if fields is not None and n in fields), None)
        if fields is None or name is None:
            raise InputError(f"{path}: neither {' nor '.join(_CUBES)} in it: give such a product")
        node = dataset_at(fields, name)
        fill = numbers(node, "_FillValue")
        held = build_cube(
            path,
            HdfCube.of(path, node, DIMS).lazy(),
            form="tanager",
            wavelength=numbers(node, "wavelengths"),
            units="nm",
            fwhm=numbers(node, "fwhm"),
            good=numbers(node, "good_wavelengths"),
            attrs={
                "nodata": None if fill is None else float(fill[0]),
                "description": f"Tanager {name}",
                **_place(file, group, node.shape),
            },
        )
        marks = {"units": attribute(node, "Unit") or attribute(node, "units")}
        held["cube"].attrs.update({k: v for k, v in marks.items() if v})
        if (
            "nodata_pixels" in fields
            and dataset_at(fields, "nodata_pixels").shape == node.shape[1:]
        ):
            nothing = read_array(fields["nodata_pixels"], path) != 0
            held = held.assign({VALID: (("y", "x"), ~nothing)})
        # Where pixels lie, for products in the sensor's geometry.
        places = group_below(file, f"{group}/Geolocation Fields")
        for key in ("Latitude", "Longitude"):
            if (
                places is not None
                and key in places
                and dataset_at(places, key).shape == node.shape[1:]
            ):
                values = read_array(places[key], path)
                held = held.assign_coords({key.lower(): (("y", "x"), values)})
    return held


def _place(file: h5py.File, group: str, shape: tuple[int, ...]) -> dict[str, object]:
    """CRS and transform of a grid."""
    stored = file.get("HDFEOS INFORMATION/StructMetadata.0")
    text = text_of(np.asarray(stored[()])) if isinstance(stored, h5py.Dataset) else ""
    corners = [re.search(f"{k}={_PAIR}", text) for k in ("UpperLeftPointMtrs", "LowerRightMtrs")]
    zone = re.search(r"ZoneCode=(-?\d+)", text)
    stated = numbers(file[group], "epsg_code")
    if "GRIDS" not in group or not all(corners):
        return {}
    (left, top), (right, bottom) = ((float(m[1]), float(m[2])) for m in corners if m)
    transform = [(right - left) / shape[2], 0.0, left, 0.0, (bottom - top) / shape[1], top]
    if stated is not None:
        return {"transform": transform, "crs": epsg_wkt(int(stated[0]))}
    if zone is None or "UTM" not in text:
        return {"transform": transform}
    # HDF-EOS: zones of the southern half are negative.
    number = int(zone[1])
    return {"transform": transform, "crs": epsg_wkt((32600 if number > 0 else 32700) + abs(number))}
