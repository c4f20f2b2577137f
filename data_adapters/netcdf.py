"""New netCDF-4 files, which a full disk makes an error and not a crash."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import netCDF4
import xarray as xr

from sciddm.data_adapters.disk_space import fits_in_memory, look_for_space

__all__ = ["new_netcdf", "write_dataset"]


@contextmanager
def new_netcdf(path: Path, nbytes: int) -> Iterator[netCDF4.Dataset]:
    """A new file to write into.

    Args:
        path: of the file.
        nbytes: of what is written to it, about.

    Raises:
        OSError: the disk refuses, or has too little space.
    """
    if not fits_in_memory(nbytes):
        look_for_space(path, nbytes)
        with netCDF4.Dataset(path, "w") as file:
            yield file
        return
    file = netCDF4.Dataset(path.name, "w", memory=max(nbytes, 1))
    try:
        yield file
    except BaseException:
        file.close()
        raise
    path.write_bytes(file.close())


def write_dataset(dataset: xr.Dataset, path: Path) -> None:
    """A data set by xarray's own rules.

    Raises:
        OSError: as `new_netcdf`.
    """
    nbytes = int(dataset.nbytes)
    if not fits_in_memory(nbytes):
        look_for_space(path, nbytes)
        dataset.to_netcdf(path, engine="netcdf4", format="NETCDF4")
        return
    with new_netcdf(path, nbytes) as file:
        dataset.compute().dump_to_store(xr.backends.NetCDF4DataStore(file))
