"""CT volumes and sinograms of whatever format."""

from __future__ import annotations

from pathlib import Path

import xarray as xr

from sciddm.data_adapters.ct.dicom import read_dicom
from sciddm.data_adapters.ct.projections import is_projection_folder, read_projections
from sciddm.data_adapters.ct.save_dicom import save_dicom
from sciddm.data_adapters.ct.sinogram import read_sinogram
from sciddm.data_adapters.ct.volume import build_volume, checked_volume
from sciddm.data_adapters.dicom_slices import names_folder
from sciddm.data_adapters.staging import staged
from sciddm.data_adapters.volume_files import (
    READ_SUFFIXES,
    WRITTEN_SUFFIXES,
    check_place,
    is_volume_file,
    read_volume,
    write_volume,
)
from sciddm.errors import InputError, OutputError

__all__ = ["is_sinogram", "open_any", "open_ct", "open_sinogram", "save_ct"]

#: Suffixes of sinograms.
SINOGRAMS = (".h5", ".hdf5")


def open_ct(path: str | Path, series: str | None = None) -> xr.DataArray:
    """Reads a volume in HU: NIfTI, MetaImage and NRRD by their suffixes, all else as DICOM.

    Args:
        path: file or folder.
        series: SeriesInstanceUID, where a folder holds several.

    Raises:
        InputError: unusable; one line that names the file and what helps.
    """
    if is_volume_file(path):
        volume = read_volume(path)
        return build_volume(Path(path), volume.values, volume.attrs)
    if is_projection_folder(Path(path)):
        raise InputError(f"{path}: holds projections, not images: reconstruct them first")
    return read_dicom(path, series)


def open_sinogram(path: str | Path, slice_mm: float | None = None) -> xr.Dataset:
    """Reads a sinogram: a folder as DICOM-CT-PD, a file as HDF5 in the layout of `sinogram`.

    Args:
        path: file or folder.
        slice_mm: of DICOM-CT-PD; see `read_projections`.

    Raises:
        InputError: unusable; one line that names the file and what helps.
    """
    path = Path(path)
    if not path.is_dir():
        return read_sinogram(path)
    if not is_projection_folder(path):
        raise InputError(f"{path}: no projections in DICOM-CT-PD in it: give projections")
    return read_projections(path, slice_mm=slice_mm)


def is_sinogram(path: str | Path) -> bool:
    """Whether an input holds projections, by its name or, of a folder, by its first file."""
    return Path(path).name.lower().endswith(SINOGRAMS) or is_projection_folder(Path(path))


def open_any(path: str | Path, series: str | None = None) -> xr.DataArray | xr.Dataset:
    """Reads a sinogram or a volume: see `open_sinogram` and `open_ct`."""
    return open_sinogram(path) if is_sinogram(path) else open_ct(path, series)


def save_ct(
    volume: xr.DataArray,
    path: str | Path,
    *,
    description: str,
    source: str | Path | None = None,
    series: str | None = None,
    overwrite: bool = False,
) -> None:
    """Writes a volume in HU: NIfTI, MetaImage or NRRD by the suffix, a DICOM folder without one.

    Args:
        volume: (z, y, x).
        path: the suffix chooses the format.
        description: what was done; DICOM only, as the next two.
        source: the DICOM series that the volume was made of; see `save_dicom`.
        series: see `save_dicom`.
        overwrite: existing files may be replaced.

    Raises:
        InputError: the volume is unusable, or does not lie where its source does.
        OutputError: another suffix, the output exists or cannot be written.
    """
    path = Path(path)
    if path.name.lower().endswith(READ_SUFFIXES):
        values = checked_volume(path, volume)
        check_place(path, volume.attrs)
        with staged([path], overwrite) as at:
            write_volume(values, at[path], volume.attrs)
        return
    if not names_folder(path):
        known = ", ".join(WRITTEN_SUFFIXES)
        raise OutputError(f"{path}: give {known}, or a folder for a DICOM series")
    save_dicom(
        volume, path, description=description, source=source, series=series, overwrite=overwrite
    )
