"""File formats to xarray objects with named dimensions, units and geometry, and back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

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

if TYPE_CHECKING:
    from sciddm.data_adapters.hsi import open_cube, save_cube

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


def __getattr__(name: str) -> Any:
    # Loaded on first use: GDAL's libraries are only for those who read cubes.
    if name in ("open_cube", "save_cube"):
        from sciddm.data_adapters import hsi

        return getattr(hsi, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
