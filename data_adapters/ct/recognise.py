"""Whether a file or folder holds CT, by a quick look."""

from __future__ import annotations

from pathlib import Path

import h5py
import pydicom

from sciddm.data_adapters.ct.nifti import SUFFIXES
from sciddm.data_adapters.dicom_files import is_dicom_item

__all__ = ["is_ct", "modality_of"]

_FOLDERS = 4  # how deep a medium is searched


def is_ct(path: Path) -> bool:
    """CT images or projections in DICOM, a NIfTI volume, or a sinogram in HDF5."""
    name = path.name.lower()
    if name.endswith(SUFFIXES):
        return path.is_file()
    if name.endswith((".h5", ".hdf5")):
        return _has_sinogram(path)
    return modality_of(path) == "CT"


def modality_of(path: Path) -> str:
    """Modality of the first DICOM file of a folder, or of a file; "" where there is none."""
    if path.is_dir() and not is_dicom_item(path):
        return ""
    files = [path]
    if path.is_dir():
        files = [p for p in path.iterdir() if p.is_file()]
        for depth in range(2, _FOLDERS + 1):
            files = files or [p for p in path.glob("/".join("*" * depth)) if p.is_file()]
    for file in sorted(files):
        try:
            with file.open("rb") as start:
                if start.read(132)[128:] != b"DICM":
                    continue
            header = pydicom.dcmread(file, specific_tags=["Modality"], stop_before_pixels=True)
        except (OSError, ValueError, pydicom.errors.InvalidDicomError):
            continue
        if header.get("Modality"):
            return str(header.Modality)
    return ""


def _has_sinogram(path: Path) -> bool:
    try:
        with h5py.File(path) as file:
            return "sinogram" in file
    except OSError:
        return False
