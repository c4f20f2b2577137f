"""File formats to xarray objects with named dimensions, units and geometry, and back."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sciddm.data_adapters.audio import open_audio, save_audio
    from sciddm.data_adapters.ct import open_ct, read_sinogram, save_ct, save_sinogram
    from sciddm.data_adapters.hsi import open_cube, save_cube
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
    "open_cube",
    "open_kspace",
    "open_maps",
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

# Loaded on first use: one domain's libraries (GDAL, torchaudio, pydicom) are only for those who
# read its files, and together take a second to load.
_MODULES = {
    "audio": ("open_audio", "save_audio"),
    "ct": ("open_ct", "read_sinogram", "save_ct", "save_sinogram"),
    "hsi": ("open_cube", "save_cube"),
    "mri": ("open_kspace", "open_maps"),
    "nifti": ("read_nifti",),
    "save": (
        "check_outputs",
        "kspace_outputs",
        "load_result",
        "result_outputs",
        "save_kspace",
        "save_result",
    ),
}


def __getattr__(name: str) -> Any:
    for module, names in _MODULES.items():
        if name in names:
            return getattr(import_module(f"{__name__}.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
