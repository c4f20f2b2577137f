"""Whether a file or folder holds CT, by a quick look."""

from __future__ import annotations

from pathlib import Path

import h5py

from sciddm.data_adapters.dicom_modality import modality_of
from sciddm.data_adapters.isolation import isolated
from sciddm.data_adapters.volume_files import NIFTI
from sciddm.errors import InputError

__all__ = ["is_ct"]


def is_ct(path: Path) -> bool:
    """CT images or projections in DICOM, a NIfTI volume, or a sinogram in HDF5."""
    name = path.name.lower()
    if name.endswith(NIFTI):
        return path.is_file()
    if name.endswith((".h5", ".hdf5")):
        try:
            return _has_sinogram(path)
        except InputError:  # not HDF5, or one that ends the library
            return False
    return modality_of(path) == "CT"


@isolated
def _has_sinogram(path: Path) -> bool:
    with h5py.File(path) as file:
        return "sinogram" in file
