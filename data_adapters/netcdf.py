"""New netCDF-4 files, for which the disk has room.

The library crashes where the disk refuses what it wants to write when it closes a file. netCDF's
own files in memory lack the order of creation, without which nobody can add to them later; so the
room is looked for before, and a disk that fills up meanwhile is not caught.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import netCDF4
import xarray as xr

from sciddm.data_adapters.disk_space import look_for_space

__all__ = ["new_netcdf", "write_dataset"]

#: Headers and the library's own rounding up.
_MARGIN = 2**22


@contextmanager
def new_netcdf(path: Path, nbytes: int) -> Iterator[netCDF4.Dataset]:
    """A new file to write into.

    Args:
        path: of the file.
        nbytes: of what is written to it, about.

    Raises:
        OSError: the disk has too little space.
    """
    look_for_space(path, nbytes, _MARGIN)
    with netCDF4.Dataset(path, "w") as file:
        yield file


def write_dataset(dataset: xr.Dataset, path: Path) -> None:
    """A data set by xarray's own rules.

    Raises:
        OSError: as `new_netcdf`.
    """
    look_for_space(path, int(dataset.nbytes), _MARGIN)
    dataset.to_netcdf(path, engine="netcdf4", format="NETCDF4")
