"""GDAL's virtual rasters, of files beside them; see `geotiff` for wavelengths and other tags."""

from __future__ import annotations

from pathlib import Path

import xarray as xr

from sciddm.data_adapters.checks import existing_file, reading
from sciddm.data_adapters.gate.vrt import check_vrt
from sciddm.data_adapters.hsi.geotiff import read_raster

__all__ = ["read_vrt", "vrt_files"]


def read_vrt(source: str | Path) -> xr.Dataset:
    """Opens a virtual raster lazily; see `cube` for what is returned.

    Raises:
        InputError: damaged, or it names files that do not lie beside it.
    """
    path = existing_file(source)
    with reading(path):
        check_vrt(path)
    return read_raster(path, "VRT", "vrt")


def vrt_files(path: Path) -> list[Path]:
    """The virtual raster and its sources."""
    return [path, *dict.fromkeys(check_vrt(existing_file(path)))]
