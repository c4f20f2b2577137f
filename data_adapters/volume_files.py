"""Volumes in one file, whatever its format: NIfTI, MetaImage, NRRD."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import xarray as xr
from numpy.typing import NDArray

from sciddm.data_adapters.image_format import ImageFormat, in_frames
from sciddm.data_adapters.itk_images import ITK_SUFFIXES, check_frame, read_itk, write_itk
from sciddm.data_adapters.nifti import read_nifti, write_nifti
from sciddm.errors import OutputError

__all__ = [
    "IMAGE",
    "NIFTI",
    "READ_SUFFIXES",
    "WRITTEN_SUFFIXES",
    "check_place",
    "check_volume",
    "is_volume_file",
    "read_volume",
    "write_volume",
]

NIFTI = (".nii.gz", ".nii")
READ_SUFFIXES = (*NIFTI, *ITK_SUFFIXES)
#: The other two, .mhd and .nhdr, put the values into a second file, which a result has no name for.
WRITTEN_SUFFIXES = (*NIFTI, ".mha", ".nrrd")


def is_volume_file(path: str | Path) -> bool:
    """Whether a name is that of a volume in one file, by its suffix."""
    return Path(path).name.lower().endswith(READ_SUFFIXES)


def read_volume(path: str | Path) -> xr.DataArray:
    """Reads a volume (z, y, x) by its suffix.

    Returns:
        As `read_nifti` or `read_itk`, with the attribute `format`, "nifti" or "itk".

    Raises:
        InputError: as those.
    """
    if Path(path).name.lower().endswith(ITK_SUFFIXES):
        return read_itk(path).assign_attrs(format="itk")
    return read_nifti(path).rename({"slice": "z"}).assign_attrs(format="nifti")


def write_volume(image: NDArray[Any], path: Path, attrs: Mapping[Any, Any]) -> None:
    """Writes a volume (z, y, x) by its suffix: masks as uint8, all others as float32.

    Args:
        image: the values.
        path: one of WRITTEN_SUFFIXES.
        attrs: its `affine`; see `write_nifti`.

    Raises:
        OutputError: another suffix, or a place that the format cannot state.
    """
    name = path.name.lower()
    if not name.endswith(WRITTEN_SUFFIXES):
        raise OutputError(f"{path}: volumes are written to {', '.join(WRITTEN_SUFFIXES)}: rename")
    if name.endswith(ITK_SUFFIXES):
        write_itk(image, path, attrs)
    else:
        write_nifti(image, path, attrs)


def check_volume(volume: xr.DataArray | xr.Dataset, path: Path | None) -> None:
    """Raises OutputError where a file's format cannot state the place of this volume."""
    check_place(path, volume.attrs)


def check_place(path: Path | None, attrs: Mapping[Any, Any]) -> None:
    """Raises OutputError where a file's format cannot state the place of a volume.

    Called before anything is computed. Other outputs pass.

    Args:
        path: the output, None for none.
        attrs: of the volume, with its `affine`.
    """
    if path is not None and path.name.lower().endswith(ITK_SUFFIXES) and "affine" in attrs:
        check_frame(path, attrs["affine"])


def _write_image(image: NDArray[Any], path: Path, attrs: Mapping[Any, Any]) -> None:
    write_volume(in_frames(image, attrs), path, attrs)


def _read_image(path: Path, series: bool) -> tuple[NDArray[Any], Mapping[str, Any]]:
    itk = path.name.lower().endswith(ITK_SUFFIXES)
    volume = read_volume(path) if itk else read_nifti(path, series=series)
    return volume.values, {str(name): value for name, value in volume.attrs.items()}


#: Results of several frames are series of volumes in NIfTI.
IMAGE = ImageFormat(_write_image, _read_image)
