"""What the readers of HDF5 products share: a cube in any order of axes, and text and numbers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import dask.array as da
import h5py
import numpy as np
from dask.base import tokenize
from numpy.typing import NDArray

from sciddm.data_adapters.hdf5 import dataset_at, open_hdf5, text_of
from sciddm.data_adapters.hsi.cube import DIMS, lazy_cube
from sciddm.data_adapters.isolation import isolated
from sciddm.errors import InputError

__all__ = ["HdfCube", "attribute", "group_below", "numbers"]


class HdfCube:
    """Bands of an HDF5 dataset of three axes as an array (band, y, x).

    It opens its file whenever it is indexed, so that dask can send it to another process.

    Args:
        path: of the file.
        name: of the dataset.
        axes: its axes, a permutation of ("band", "y", "x").
        stored: shape of the dataset.
        dtype: of its numbers.
        bands: numbers of the bands in the order that they are wanted in; all if None.
    """

    ndim = 3

    def __init__(
        self,
        path: Path,
        name: str,
        axes: Sequence[str],
        stored: Sequence[int],
        dtype: np.dtype[Any],
        bands: NDArray[np.intp] | None = None,
    ) -> None:
        self.path, self.name, self.axes, self.dtype = path.resolve(), name, tuple(axes), dtype
        sizes = dict(zip(axes, stored, strict=True))
        self.bands = np.arange(sizes["band"]) if bands is None else np.asarray(bands, np.intp)
        self.shape = (len(self.bands), int(sizes["y"]), int(sizes["x"]))

    @classmethod
    def of(
        cls,
        path: Path,
        node: h5py.Dataset,
        axes: Sequence[str],
        bands: NDArray[np.intp] | None = None,
    ) -> HdfCube:
        """The cube of an open dataset.

        Raises:
            InputError: it has another number of axes.
        """
        name = str(node.name)
        if node.shape is None or len(node.shape) != len(axes):
            raise InputError(f"{path}: {name} has the shape {node.shape}, not 3 axes: give a cube")
        return cls(path, name, axes, node.shape, node.dtype, bands)

    def lazy(self) -> da.Array:
        """As a dask array in blocks of whole lines."""
        return lazy_cube(self, "hdf-" + tokenize(self))

    @isolated
    def __getitem__(self, index: tuple[slice, slice, slice]) -> NDArray[Any]:
        wanted = self.bands[index[0]]
        if not wanted.size:
            return np.empty((0, *self.shape[1:]), self.dtype)[(slice(None), *index[1:])]
        first = int(wanted.min())
        parts = {"band": slice(first, int(wanted.max()) + 1), "y": index[1], "x": index[2]}
        with open_hdf5(self.path) as file:
            stored = np.asarray(dataset_at(file, self.name)[tuple(parts[a] for a in self.axes)])
        ordered = stored.transpose([self.axes.index(a) for a in DIMS])
        return np.ascontiguousarray(ordered[wanted - first])

    def __dask_tokenize__(self) -> Any:
        status = self.path.stat()
        stamp = (str(self.path), status.st_mtime_ns, status.st_size)
        return *stamp, self.name, self.axes, self.bands.tolist()


def attribute(node: h5py.HLObject, name: str) -> str | None:
    """An attribute as text; None where there is none."""
    return text_of(node.attrs[name]) if name in node.attrs else None


def numbers(node: h5py.HLObject, name: str) -> NDArray[np.float64] | None:
    """An attribute of numbers as a flat list; None where there is none."""
    if name not in node.attrs:
        return None
    return np.asarray(node.attrs[name], np.float64).reshape(-1)


def group_below(file: h5py.Group, path: str) -> h5py.Group | None:
    """The group of a path, None where there is none."""
    node = file.get(path)
    return node if isinstance(node, h5py.Group) else None
