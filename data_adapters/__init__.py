"""File formats to xarray objects with named dimensions, units and geometry, and back."""

from sciddm.data_adapters.audio import open_audio, save_audio
from sciddm.data_adapters.ct import open_ct, read_sinogram, save_ct, save_sinogram
from sciddm.data_adapters.mri import open_kspace, open_maps
from sciddm.data_adapters.nifti import read_nifti
from sciddm.data_adapters.save import (
    check_outputs,
    kspace_outputs,
    load_result,
    result_outputs,
    save_kspace,
    save_result,
)

__all__ = [
    "check_outputs",
    "kspace_outputs",
    "load_result",
    "open_audio",
    "open_ct",
    "open_kspace",
    "open_maps",
    "read_nifti",
    "read_sinogram",
    "result_outputs",
    "save_audio",
    "save_ct",
    "save_kspace",
    "save_result",
    "save_sinogram",
]
