"""ISMRMRD HDF5 files: one acquisition after the other, on the grid or along trajectories."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import xarray as xr
from numpy.typing import NDArray

from sciddm.data_adapters.checks import check_size, existing_file, reading
from sciddm.data_adapters.hdf5 import dataset_at, names_in, open_hdf5, read_text
from sciddm.data_adapters.mri.acquisitions import RawData
from sciddm.data_adapters.mri.cartesian import read_cartesian
from sciddm.data_adapters.mri.frames import Selection
from sciddm.data_adapters.mri.header import Header, parse_header
from sciddm.data_adapters.mri.ismrmrd_trajectory import leaves_the_grid, read_trajectory_scan
from sciddm.errors import InputError

__all__ = ["find_group", "read_ismrmrd"]

_CHUNK = 256


def find_group(file: h5py.File) -> str | None:
    """Name of the group that holds an ISMRMRD data set: `dataset`, or the only one there is."""
    found = [
        name
        for name, node in file.items()
        if isinstance(node, h5py.Group) and "xml" in node and "data" in node
    ]
    return "dataset" if "dataset" in found else (found[0] if len(found) == 1 else None)


def read_ismrmrd(source: str | Path, select: Selection | None = None) -> xr.Dataset:
    """Reads a scan, Cartesian (2D or 3D) or along trajectories; see `scan` for what is returned.

    Args:
        source: the file.
        select: which repetitions, contrasts, ... to read; see `frames`.

    Raises:
        InputError: unusable; several slabs, orientations, ...
    """
    path = existing_file(source)
    with reading(path), open_hdf5(path) as file:
        name = find_group(file)
        if name is None:
            raise InputError(
                f"{path}: no ISMRMRD data set in it, only {names_in(file)}: give raw data"
            )
        group = file[name]
        header = parse_header(read_text(group, "xml", path), path)
        table = dataset_at(group, "data")
        names = table.dtype.names or ()
        if not {"head", "data"} <= set(names):
            raise InputError(f"{path}: {name}/data holds no acquisitions: export it again")
        check_size(path, "the list of acquisitions", table.shape, table.dtype.itemsize)
        raw = _Table(path, header, table)
        if header.trajectory == "epi" and header.ramp_sampled:
            raise InputError(
                f"{path}: an echo-planar scan sampled on the ramps of its gradient: regrid "
                "its readouts first, and remove the ramp times from its trajectory description"
            )
        on_grid = header.trajectory in ("", "cartesian") and not leaves_the_grid(raw)
        if on_grid or header.trajectory == "epi":
            scan = read_cartesian(raw, "ismrmrd", select)
        else:
            scan = read_trajectory_scan(raw, select)
        scan.encoding["dicom"] = header.identity
        return scan


class _Table(RawData):
    """The acquisitions of an open file."""

    def __init__(self, path: Path, header: Header, table: h5py.Dataset) -> None:
        super().__init__(path, header, table.fields("head")[()])
        self._table = table

    def readouts(self, lines: NDArray[np.intp]) -> Iterator[NDArray[np.complex64]]:
        column = self._table.fields("data")
        block: Any = None
        start = -1
        for line in lines:
            at = int(line) // _CHUNK * _CHUNK
            if at != start:
                block, start = column[at : at + _CHUNK], at
            values = np.ascontiguousarray(block[int(line) - start], dtype=np.float32)
            coils = int(self.heads["active_channels"][line])
            samples = int(self.heads["number_of_samples"][line])
            if values.size != 2 * coils * samples:
                raise InputError(
                    f"{self.path}: acquisition {line} holds {values.size // 2} samples, its head "
                    f"says {coils} x {samples}: damaged, export it again"
                )
            yield values.view(np.complex64).reshape(coils, samples)

    def positions(self, line: int) -> NDArray[np.float32]:
        values = np.asarray(self._table.fields("traj")[line], np.float32)
        return values.reshape(-1, int(self.heads["trajectory_dimensions"][line]))
