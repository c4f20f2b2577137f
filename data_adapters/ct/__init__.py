"""CT: DICOM series, NIfTI volumes, sinograms in HDF5, projections in DICOM-CT-PD."""

from sciddm.data_adapters.ct.dicom import is_dicom_folder, read_dicom
from sciddm.data_adapters.ct.open import open_ct, open_sinogram, save_ct
from sciddm.data_adapters.ct.projections import is_projection_folder, read_projections
from sciddm.data_adapters.ct.result import (
    check_ct_outputs,
    ct_outputs,
    is_dicom_source,
    is_dicom_target,
    save_ct_result,
)
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
    "check_ct_outputs",
    "ct_outputs",
    "is_dicom_folder",
    "is_dicom_source",
    "is_dicom_target",
    "is_projection_folder",
    "open_ct",
    "open_sinogram",
    "read_dicom",
    "read_projections",
    "read_sinogram",
    "save_ct",
    "save_ct_result",
    "save_dicom",
    "save_sinogram",
]
