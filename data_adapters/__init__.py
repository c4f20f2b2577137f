"""File formats to xarray objects with named dimensions, units and geometry, and back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sciddm.lazy import attach

if TYPE_CHECKING:
    from sciddm.data_adapters.audio import open_audio, save_audio
    from sciddm.data_adapters.ct import (
        open_ct,
        open_sinogram,
        read_sinogram,
        save_ct,
        save_sinogram,
    )
    from sciddm.data_adapters.hsi import open_cube, save_cube
    from sciddm.data_adapters.mri import open_kspace, open_maps
    from sciddm.data_adapters.mri.save import kspace_outputs, save_kspace
    from sciddm.data_adapters.nifti import read_nifti
    from sciddm.data_adapters.petct.images import open_pet
    from sciddm.data_adapters.save import (
        check_outputs,
        load_result,
        result_outputs,
        save_result,
    )
    from sciddm.data_adapters.ultrasound import open_frames

__all__ = [
    "check_outputs",
    "kspace_outputs",
    "load_result",
    "open_audio",
    "open_ct",
    "open_cube",
    "open_frames",
    "open_kspace",
    "open_maps",
    "open_pet",
    "open_sinogram",
    "read_nifti",
    "read_sinogram",
    "result_outputs",
    "save_audio",
    "save_ct",
    "save_cube",
    "save_kspace",
    "save_result",
    "save_sinogram",
]

# One domain's libraries (GDAL, torchaudio, pydicom) are only for those who read its files, and
# together take a second to load.
_MODULES = {
    **dict.fromkeys(("open_audio", "save_audio"), "sciddm.data_adapters.audio"),
    **dict.fromkeys(
        ("open_ct", "open_sinogram", "read_sinogram", "save_ct", "save_sinogram"),
        "sciddm.data_adapters.ct",
    ),
    **dict.fromkeys(("open_cube", "save_cube"), "sciddm.data_adapters.hsi"),
    **dict.fromkeys(("open_kspace", "open_maps"), "sciddm.data_adapters.mri"),
    **dict.fromkeys(("kspace_outputs", "save_kspace"), "sciddm.data_adapters.mri.save"),
    "read_nifti": "sciddm.data_adapters.nifti",
    "open_pet": "sciddm.data_adapters.petct.images",
    **dict.fromkeys(
        (
            "check_outputs",
            "load_result",
            "result_outputs",
            "save_result",
        ),
        "sciddm.data_adapters.save",
    ),
    "open_frames": "sciddm.data_adapters.ultrasound",
}
__getattr__, __dir__ = attach(__name__, _MODULES)
