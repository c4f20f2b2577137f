"""Whether a file or folder holds CT, by a quick look."""

from __future__ import annotations

from pathlib import Path

import h5py

from sciddm.data_adapters.ct.nifti import SUFFIXES
from sciddm.data_adapters.dicom_modality import modality_of

__all__ = ["is_ct"]


def is_ct(path: Path) -> bool:
    """CT images or projections in DICOM, a NIfTI volume, or a sinogram in HDF5."""
    name = path.name.lower()
    if name.endswith(SUFFIXES):
        return path.is_file()
    if name.endswith((".h5", ".hdf5")):
        return _has_sinogram(path)
    return modality_of(path) == "CT"


def _has_sinogram(path: Path) -> bool:
    try:
        with h5py.File(path) as file:
            return "sinogram" in file
    except OSError:
        return False
