"""CT volumes in NIfTI; values are HU, axes and affine as in `data_adapters.nifti`."""

from __future__ import annotations

from pathlib import Path

import xarray as xr

from sciddm.data_adapters.ct.volume import build_volume, checked_volume
from sciddm.data_adapters.nifti import read_nifti, write_nifti
from sciddm.data_adapters.staging import staged
from sciddm.errors import OutputError

__all__ = ["SUFFIXES", "read_ct_nifti", "save_ct_nifti"]

SUFFIXES = (".nii", ".nii.gz")


def read_ct_nifti(path: str | Path) -> xr.DataArray:
    """Reads a volume; see `volume`.

    Raises:
        InputError: as `read_nifti`, or values that cannot be HU.
    """
    volume = read_nifti(path)
    return build_volume(Path(path), volume.values, {**volume.attrs, "format": "nifti"})


def save_ct_nifti(volume: xr.DataArray, path: str | Path, *, overwrite: bool = False) -> None:
    """Writes a volume (z, y, x) in HU as float32.

    Raises:
        InputError: no such volume.
        OutputError: another suffix, the file exists or cannot be written.
    """
    path = Path(path)
    if not path.name.lower().endswith(SUFFIXES):
        raise OutputError(f"{path}: NIfTI files end in {' or '.join(SUFFIXES)}: rename")
    values = checked_volume(path, volume)
    with staged([path], overwrite) as at:
        write_nifti(values, at[path], volume.attrs)
