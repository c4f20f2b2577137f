"""CT: DICOM series, NIfTI volumes, and sinograms in HDF5."""

from sciddm.data_adapters.ct.dicom import read_dicom, read_headers
from sciddm.data_adapters.ct.nifti import read_ct_nifti, save_ct_nifti
from sciddm.data_adapters.ct.open import open_ct, save_ct
from sciddm.data_adapters.ct.save_dicom import save_dicom
from sciddm.data_adapters.ct.sinogram import (
    beam_of,
    build_sinogram,
    read_sinogram,
    save_sinogram,
)

__all__ = [
    "beam_of",
    "build_sinogram",
    "open_ct",
    "read_ct_nifti",
    "read_dicom",
    "read_headers",
    "read_sinogram",
    "save_ct",
    "save_ct_nifti",
    "save_dicom",
    "save_sinogram",
]
