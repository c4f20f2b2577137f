"""New netCDF-4 files, for which a disk that refuses is an error and no crash (``patient_file``)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5netcdf
import xarray as xr
from xarray.backends import H5NetCDFStore
from xarray.backends.common import ArrayWriter

from sciddm.data_adapters.patient_file import PatientFile

__all__ = ["new_netcdf", "write_dataset"]


@contextmanager
def new_netcdf(path: Path) -> Iterator[h5netcdf.File]:
    """A new file to write into.

    Raises:
        OSError: the disk refuses.
    """
    with PatientFile(path, "w+b") as raw, h5netcdf.File(raw, "w") as file:
        yield file


def write_dataset(dataset: xr.Dataset, path: Path) -> None:
    """A data set by xarray's own rules.

    Raises:
        OSError: as `new_netcdf`.
    """
    with new_netcdf(path) as file:
        writer = ArrayWriter()
        dataset.dump_to_store(H5NetCDFStore(file), writer=writer)
        writer.sync()  # dask's arrays, block by block
