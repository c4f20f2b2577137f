"""PET in SUV and CT in HU, from DICOM series, NIfTI, MetaImage or NRRD, as volumes (z, y, x).

Attributes, besides those of CT volumes: `patient`, a hash that is the same for images of one
patient; `frame_of_reference`; of PET what `suv` tells, and `warnings`.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from sciddm.data_adapters.checks import check_finite, check_size
from sciddm.data_adapters.ct.dicom import volume_of
from sciddm.data_adapters.dicom_series import PET, Series, read_series
from sciddm.data_adapters.isolation import isolated
from sciddm.data_adapters.petct.suv import suv_scaling
from sciddm.data_adapters.staging import staged
from sciddm.data_adapters.volume_files import (
    WRITTEN_SUFFIXES,
    is_volume_file,
    read_volume,
    write_volume,
)
from sciddm.errors import InputError, OutputError
from sciddm.geometry.affine import voxel_sizes
from sciddm.geometry.grid import DIMS

__all__ = ["open_ct_of", "open_pet", "read_pet_series", "save_volume"]

_HIGHEST_SUV, _LOWEST_SUV, _HIGHEST_CT_FLOOR = 1000.0, -5.0, -200.0


@isolated
def open_pet(
    path: str | Path,
    series: str | None = None,
    *,
    weight_kg: float | None = None,
    dose_mbq: float | None = None,
) -> xr.DataArray:
    """Reads PET in SUV: a volume in one file, which holds SUV, or a DICOM series.

    Args:
        path: file or folder; in a folder that holds CT too, the PET is taken.
        series: SeriesInstanceUID, where a folder holds several of PET.
        weight_kg, dose_mbq: in place of the header's.

    Raises:
        InputError: unusable, or no PET; one line that names the file and what helps.
    """
    path = Path(path)
    if not is_volume_file(path):
        return read_pet_series(path, series, weight_kg=weight_kg, dose_mbq=dose_mbq)
    volume = _labelled(path, "SUV")
    low = float(volume.min())
    if low < _HIGHEST_CT_FLOOR:
        raise InputError(
            f"{path}: values down to {low:.0f} are those of a CT, not SUV: are PET and CT swapped?"
        )
    _check_range(path, volume.values)
    return volume


def read_pet_series(
    path: Path,
    series: str | None = None,
    *,
    weight_kg: float | None = None,
    dose_mbq: float | None = None,
) -> xr.DataArray:
    """A DICOM series of PET in SUVbw; see `suv` for the rules.

    Raises:
        InputError: as `open_pet`.
    """
    slices = read_series(path, series, PET)
    scaling = suv_scaling(slices.headers, str(path), weight_kg=weight_kg, dose_mbq=dose_mbq)
    check_size(path, "the series", slices.shape, 4)
    suv = np.empty(slices.shape, np.float32)
    for index, values, _ in slices.values():
        suv[index] = values * scaling.of(index)
    check_finite(path, "the series", suv)
    _check_range(path, suv)
    attrs = {**_place(slices), **scaling.told, "units": "SUV", "source": path.name}
    remarks = [*scaling.warnings, *slices.notes]
    if remarks:
        attrs["warnings"] = [f"PET: {w}" for w in remarks]
    return xr.DataArray(suv, dims=DIMS, name="suv", attrs=attrs)


@isolated
def open_ct_of(path: str | Path, series: str | None = None) -> xr.DataArray:
    """Reads CT in HU: a volume in one file, or a DICOM series.

    Args:
        path: file or folder; in a folder that holds PET too, the CT is taken.
        series: SeriesInstanceUID, where a folder holds several of CT.

    Raises:
        InputError: unusable, or no CT.
    """
    path = Path(path)
    if is_volume_file(path):
        volume = _labelled(path, "HU")
        low = float(volume.min())
        if low > _HIGHEST_CT_FLOOR:
            raise InputError(
                f"{path}: its lowest value is {low:.3g}, and a CT shows air, at -1000 HU: are PET "
                "and CT swapped?"
            )
        return volume
    slices = read_series(path, series)
    return volume_of(path, slices).assign_attrs(_place(slices))


def save_volume(volume: xr.DataArray, path: str | Path, *, overwrite: bool = False) -> None:
    """Writes a volume (z, y, x) in one file, float32; see `write_volume`.

    Raises:
        OutputError: another suffix, the file exists or cannot be written.
    """
    path = Path(path)
    if not path.name.lower().endswith(WRITTEN_SUFFIXES):
        raise OutputError(f"{path}: volumes are written to {', '.join(WRITTEN_SUFFIXES)}: rename")
    with staged([path], overwrite) as at:
        write_volume(np.asarray(volume.transpose(*DIMS).values), at[path], volume.attrs)


def _labelled(path: Path, units: str) -> xr.DataArray:
    return read_volume(path).assign_attrs(units=units, source=path.name)


def _check_range(path: Path, suv: NDArray[np.float32]) -> None:
    """Whether values can be SUV, whatever they came from."""
    low, high = float(suv.min()), float(suv.max())
    if high > _HIGHEST_SUV or low < _LOWEST_SUV:
        raise InputError(
            f"{path}: values from {low:.3g} to {high:.3g} are no SUV: check units, dose and times "
            "of a DICOM series; NIfTI of PET must hold SUV, as `sciddm petct suv` makes it"
        )


def _place(series: Series) -> dict[str, Any]:
    first = series.headers[0]
    return {
        "affine": series.affine.tolist(),
        "voxel_size_mm": voxel_sizes(series.affine),
        "orientation_known": True,
        "format": "dicom",
        "series": str(first.get("SeriesInstanceUID", "")),
        "frame_of_reference": str(first.get("FrameOfReferenceUID") or ""),
        "patient": _patient(first),
    }


def _patient(header: Dataset) -> str:
    """A hash of who it is, "" where that is not told: names stay in the files they are in."""
    who = str(header.get("PatientID") or "").strip()
    return hashlib.sha256(who.encode()).hexdigest()[:16] if who else ""
