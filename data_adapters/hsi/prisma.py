"""PRISMA L2D, L2C and L2B (.he5): VNIR and SWIR as one cube of ascending wavelengths.

Both cubes are uint16 (line, band, sample). Reflectance is

    L2ScaleMin + DN (L2ScaleMax - L2ScaleMin) / 65535

which is the gain and offset of every band here. Bands whose flag is 0 have no wavelength and are
left out. Where the detectors overlap, both of their bands stay; ``name`` tells them apart. Corners
of L2D are centres of pixels. Layout: PRISMA Products Specification Document, issue 2.3 (ASI, 2020).
"""

from __future__ import annotations

from pathlib import Path

import dask.array as da
import h5py
import numpy as np
import xarray as xr

from sciddm.data_adapters.hdf5 import dataset_at, open_hdf5
from sciddm.data_adapters.hsi.cube import build_cube
from sciddm.data_adapters.hsi.georeference import epsg_wkt
from sciddm.data_adapters.hsi.hdf_cube import HdfCube, attribute, group_below, numbers
from sciddm.errors import InputError

__all__ = ["is_prisma", "read_prisma"]

_AXES = ("y", "band", "x")
_LEVELS = ("L2D", "L2C", "L2B")
_LARGEST = 65535
_DETECTORS = ("Vnir", "Swir")


def is_prisma(file: h5py.File) -> bool:
    """Whether an HDF5 file holds a product of PRISMA."""
    swaths = group_below(file, "HDFEOS/SWATHS")
    return swaths is not None and any(str(k).startswith("PRS_L") for k in swaths)


def read_prisma(path: Path) -> xr.Dataset:
    """Opens a product lazily; see `cube` for what is returned.

    Raises:
        InputError: another level, or an attribute of the layout is missing.
    """
    with open_hdf5(path) as file:
        level = next((v for v in _LEVELS if f"HDFEOS/SWATHS/PRS_{v}_HCO" in file), None)
        if level is None:
            raise InputError(f"{path}: no cube of PRISMA L2B, L2C or L2D: give one of these")
        fields = file[f"HDFEOS/SWATHS/PRS_{level}_HCO/Data Fields"]
        parts, wavelength, fwhm, gain, offset, name = [], [], [], [], [], []
        for detector in _DETECTORS:
            centre, width = (numbers(file, f"List_{k}_{detector}") for k in ("Cw", "Fwhm"))
            low, high = (numbers(file, f"L2Scale{detector}{k}") for k in ("Min", "Max"))
            if centre is None or low is None or high is None:
                raise InputError(
                    f"{path}: lacks List_Cw_{detector} or L2Scale{detector}Min: download it again"
                )
            flags = numbers(file, f"List_Cw_{detector}_Flags")
            used = (centre > 0) & (np.ones(len(centre)) if flags is None else flags).astype(bool)
            bands = np.flatnonzero(used)
            bands = bands[np.argsort(centre[bands], kind="stable")]
            node = dataset_at(fields, f"{detector.upper()}_Cube")
            parts.append(HdfCube.of(path, node, _AXES, bands).lazy())
            wavelength.append(centre[bands])
            fwhm.append((np.full(len(centre), np.nan) if width is None else width)[bands])
            gain.append(np.full(len(bands), (high[0] - low[0]) / _LARGEST))
            offset.append(np.full(len(bands), low[0]))
            name += [f"{detector.upper()} {b + 1}" for b in bands]
        place = _place(file) if level == "L2D" else {}
    widths = np.concatenate(fwhm)
    return build_cube(
        path,
        da.concatenate(parts),
        form="prisma",
        wavelength=np.concatenate(wavelength),
        units="nm",
        fwhm=widths if np.isfinite(widths).all() else None,
        coords={
            "gain": ("band", np.concatenate(gain)),
            "offset": ("band", np.concatenate(offset)),
            "name": ("band", np.asarray(name)),
        },
        # 0 stands for no value: the smallest reflectance is above it.
        attrs={"nodata": 0.0, "description": f"PRISMA {level}", "interleave": "bil", **place},
    )


def _place(file: h5py.File) -> dict[str, object]:
    """CRS and transform from the corners of L2D."""
    corner = {
        k: numbers(file, f"Product_{k}")
        for k in ("ULcorner_easting", "ULcorner_northing", "LRcorner_easting", "LRcorner_northing")
    }
    code = attribute(file, "Epsg_Code")
    lines, _, samples = dataset_at(file, "HDFEOS/SWATHS/PRS_L2D_HCO/Data Fields/VNIR_Cube").shape
    values = [v[0] for v in corner.values() if v is not None]
    if len(values) < 4 or code is None or min(lines, samples) < 2:
        return {}
    left, top, right, bottom = (float(v) for v in values)
    across, down = (right - left) / (samples - 1), (bottom - top) / (lines - 1)
    transform = [across, 0.0, left - across / 2, 0.0, down, top - down / 2]
    return {"crs": epsg_wkt(int(float(code))), "transform": transform}
