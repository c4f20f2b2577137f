"""Whether a file holds raw data of MRI, by a quick look."""

from __future__ import annotations

from pathlib import Path

import h5py

from sciddm.data_adapters.isolation import isolated
from sciddm.data_adapters.mri.bart import cfl_pair
from sciddm.data_adapters.mri.ismrmrd import find_group
from sciddm.data_adapters.staging import is_zarr

__all__ = ["is_kspace"]


def is_kspace(path: Path) -> bool:
    """Whether it is k-space in a format that `open_kspace` reads; False for what cannot be read."""
    try:
        return _is_kspace(path)
    except (OSError, ValueError, KeyError):
        return False


@isolated
def _is_kspace(path: Path) -> bool:
    data, header = cfl_pair(path)
    if path.suffix.lower() in (".cfl", ".hdr") or not path.exists():
        return data.exists() and header.exists()
    if is_zarr(path):
        return (path / "kspace").is_dir()
    if not path.is_file():
        return False
    if h5py.is_hdf5(path):
        with h5py.File(path, "r") as file:
            return "kspace" in file or "kspace_real" in file or find_group(file) is not None
    return path.suffix.lower() == ".dat"
