"""NetCDF: version 4 is HDF5 and passes its gate; the classic versions name no other files."""

from __future__ import annotations

from pathlib import Path

import h5py

from sciddm.data_adapters.gate.hdf5 import check_hdf5

__all__ = ["check_netcdf"]


def check_netcdf(path: Path) -> None:
    """Refuses a file that reads files of other folders; see ``gate.hdf5``.

    Raises:
        InputError: as `check_hdf5`.
        OSError: damaged.
    """
    if h5py.is_hdf5(path):
        with h5py.File(path, "r") as file:
            check_hdf5(file, path)
