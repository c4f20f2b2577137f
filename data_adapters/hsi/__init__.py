"""Hyperspectral cubes: one reader and one writer for all formats."""

from sciddm.data_adapters.hsi.cube import build_cube, empty_bands, wavelengths_nm
from sciddm.data_adapters.hsi.files import (
    CUBE_SUFFIXES,
    cube_files,
    cube_outputs,
    open_cube,
    save_cube,
)

__all__ = [
    "CUBE_SUFFIXES",
    "build_cube",
    "cube_files",
    "cube_outputs",
    "empty_bands",
    "open_cube",
    "save_cube",
    "wavelengths_nm",
]
