"""PET in SUV and CT in HU, from DICOM series or NIfTI, as volumes (z, y, x).

Attributes, besides those of CT volumes: `patient`, a hash that is the same for images of one
patient; `frame_of_reference`; of PET what `suv` tells, and `warnings`.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from pydicom.dataset import Dataset

from sciddm.data_adapters.checks import check_finite, check_size
from sciddm.data_adapters.ct.dicom import Modality, Series, read_dicom, read_headers, read_slice
from sciddm.data_adapters.ct.nifti import SUFFIXES
from sciddm.data_adapters.nifti import read_nifti, write_nifti
from sciddm.data_adapters.petct.suv import suv_scaling
from sciddm.data_adapters.staging import staged
from sciddm.errors import InputError, OutputError
from sciddm.geometry.affine import voxel_sizes
from sciddm.geometry.grid import DIMS

__all__ = ["PET", "SUFFIXES", "open_ct_of", "open_pet", "read_pet_series", "save_volume"]

PET = Modality("PT", "the activity", None)
_ENHANCED = ("1.2.840.10008.5.1.4.1.1.130", "1.2.840.10008.5.1.4.1.1.128.1")
_HIGHEST_SUV, _LOWEST_SUV, _HIGHEST_CT_FLOOR = 1000.0, -5.0, -200.0


def open_pet(
    path: str | Path,
    series: str | None = None,
    *,
    weight_kg: float | None = None,
    dose_mbq: float | None = None,
) -> xr.DataArray:
    """Reads PET in SUV: .nii and .nii.gz, which hold SUV, or a DICOM series.

    Args:
        path: file or folder; in a folder that holds CT too, the PET is taken.
        series: SeriesInstanceUID, where a folder holds several of PET.
        weight_kg, dose_mbq: in place of the header's.

    Raises:
        InputError: unusable, or no PET; one line that names the file and what helps.
    """
    path = Path(path)
    if not path.name.lower().endswith(SUFFIXES):
        return read_pet_series(path, series, weight_kg=weight_kg, dose_mbq=dose_mbq)
    volume = _labelled(read_nifti(path), path, "SUV")
    low, high = float(volume.min()), float(volume.max())
    if low < _HIGHEST_CT_FLOOR:
        raise InputError(
            f"{path}: values down to {low:.0f} are those of a CT, not SUV: are PET and CT swapped?"
        )
    if high > _HIGHEST_SUV or low < _LOWEST_SUV:
        raise InputError(
            f"{path}: values from {low:.3g} to {high:.3g} are no SUV: NIfTI of PET must hold SUV, "
            "as `sciddm petct suv` makes it of a DICOM series"
        )
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
    found = read_headers(path, series, PET, mixed=True)
    first = found.headers[0]
    if str(first.get("SOPClassUID")) in _ENHANCED:
        raise InputError(f"{path}: enhanced (multi-frame) PET: export it as single slices")
    scaling = suv_scaling(found.headers, str(path), weight_kg=weight_kg, dose_mbq=dose_mbq)
    shape = (len(found.files), int(first.Rows), int(first.Columns))
    check_size(path, "the series", shape, 4)
    suv = np.empty(shape, np.float32)
    for values, file in zip(suv, found.files, strict=True):
        values[:] = read_slice(file, shape[1:]) * scaling.factor
    check_finite(path, "the series", suv)
    attrs = {**_place(found), **scaling.told, "units": "SUV", "source": path.name}
    if scaling.warnings:
        attrs["warnings"] = [f"PET: {w}" for w in scaling.warnings]
    return xr.DataArray(suv, dims=DIMS, name="suv", attrs=attrs)


def open_ct_of(path: str | Path, series: str | None = None) -> xr.DataArray:
    """Reads CT in HU: .nii and .nii.gz, or a DICOM series.

    Args:
        path: file or folder; in a folder that holds PET too, the CT is taken.
        series: SeriesInstanceUID, where a folder holds several of CT.

    Raises:
        InputError: unusable, or no CT.
    """
    path = Path(path)
    if path.name.lower().endswith(SUFFIXES):
        volume = _labelled(read_nifti(path), path, "HU")
        low = float(volume.min())
        if low > _HIGHEST_CT_FLOOR:
            raise InputError(
                f"{path}: its lowest value is {low:.3g}, and a CT shows air, at -1000 HU: are PET "
                "and CT swapped?"
            )
        return volume
    found = read_headers(path, series, mixed=True)
    volume = read_dicom(path, str(found.headers[0].SeriesInstanceUID))
    return volume.assign_attrs(_place(found))


def save_volume(volume: xr.DataArray, path: str | Path, *, overwrite: bool = False) -> None:
    """Writes a volume (z, y, x) as NIfTI, float32.

    Raises:
        OutputError: another suffix, the file exists or cannot be written.
    """
    path = Path(path)
    if not path.name.lower().endswith(SUFFIXES):
        raise OutputError(f"{path}: NIfTI files end in {' or '.join(SUFFIXES)}: rename")
    with staged([path], overwrite) as at:
        write_nifti(np.asarray(volume.transpose(*DIMS).values), at[path], volume.attrs)


def _labelled(volume: xr.DataArray, path: Path, units: str) -> xr.DataArray:
    renamed = volume.rename({"slice": "z"})
    return renamed.assign_attrs(units=units, format="nifti", source=path.name)


def _place(found: Series) -> dict[str, Any]:
    first = found.headers[0]
    return {
        "affine": found.affine.tolist(),
        "voxel_size_mm": voxel_sizes(found.affine),
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
