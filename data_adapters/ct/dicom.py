"""CT volumes from a series of slices in DICOM; the reading itself is `dicom_series`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from sciddm.data_adapters.checks import check_size
from sciddm.data_adapters.ct.volume import DIMS, build_volume
from sciddm.data_adapters.dicom_files import is_dicom_folder
from sciddm.data_adapters.dicom_series import Series, plain_value, read_series
from sciddm.data_adapters.isolation import isolated
from sciddm.geometry.affine import voxel_sizes

__all__ = ["is_dicom_folder", "read_dicom", "volume_of"]

_TOLD = {
    "KVP": "tube_voltage_kV",
    "XRayTubeCurrent": "tube_current_mA",
    "Exposure": "exposure_mAs",
    "SliceThickness": "slice_thickness_mm",
    "ConvolutionKernel": "kernel",
    "Manufacturer": "manufacturer",
    "ManufacturerModelName": "scanner",
    "BodyPartExamined": "body_part",
}


@isolated
def read_dicom(source: str | Path, series: str | None = None) -> xr.DataArray:
    """Reads a series as a volume; see `volume`.

    Args:
        source: a folder with the slices, a medium, or one file.
        series: UID, number or description, where there are several; see `read_series`.

    Raises:
        InputError: as `read_series`, or values that cannot be HU.
    """
    return volume_of(Path(source), read_series(source, series))


def volume_of(path: Path, series: Series) -> xr.DataArray:
    """The HU of a series, with a coordinate `padding` where its files declare any.

    Args:
        path: where it was read from.
        series: of CT.

    Raises:
        InputError: unreadable pixels, or values that cannot be HU.
    """
    check_size(path, "the series", series.shape, 4)
    hu = np.empty(series.shape, np.float32)
    padding: np.ndarray[Any, np.dtype[np.bool_]] | None = None
    for index, values, padded in series.values():
        hu[index] = values
        if padded is not None and padded.any():
            padding = np.zeros(series.shape, bool) if padding is None else padding
            padding[index] = padded
    rescale = {(float(h.RescaleSlope), float(h.RescaleIntercept)) for h in series.headers}
    attrs: dict[str, Any] = {
        "voxel_size_mm": voxel_sizes(series.affine),
        "affine": series.affine.tolist(),
        "format": "dicom",
        "series": str(series.headers[0].SeriesInstanceUID),
    }
    if len(rescale) == 1:
        attrs["rescale"] = list(rescale.pop())
    if series.notes:
        attrs["warnings"] = [f"CT: {note}" for note in series.notes]
    for keyword, name in _TOLD.items():
        value = series.headers[0].get(keyword)
        if value not in (None, ""):
            attrs[name] = plain_value(value)
    volume = build_volume(path, hu, attrs)
    return volume if padding is None else volume.assign_coords(padding=(DIMS, padding))
