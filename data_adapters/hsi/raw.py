"""Raw numbers of a cube in a file, in the order BSQ, BIL or BIP, read and written part by part."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import dask
import dask.array as da
import numpy as np
from numpy.typing import NDArray

from sciddm.data_adapters.hsi.cube import chunks_of

__all__ = ["AXES", "RawCube"]

AXES = {"bsq": ("band", "y", "x"), "bil": ("y", "band", "x"), "bip": ("y", "x", "band")}


class RawCube:
    """The raw numbers as an array (band, y, x) that opens its file whenever it is indexed.

    It holds a name rather than an open file, so that dask can send it to another process; and what
    was read or written stays mapped no longer than it takes, so that memory does not grow.

    Args:
        path: of the file.
        dtype: of its numbers, byte order included.
        offset: bytes before the first.
        shape: (band, y, x).
        order: bsq, bil or bip.
    """

    ndim = 3

    def __init__(
        self, path: Path, dtype: np.dtype[Any], offset: int, shape: tuple[int, ...], order: str
    ) -> None:
        self.path, self.dtype, self.offset, self.shape, self.order = (
            path,
            dtype,
            offset,
            shape,
            order,
        )

    @property
    def nbytes(self) -> int:
        """Of the numbers, without what is before the first."""
        return math.prod(self.shape) * self.dtype.itemsize

    def create(self) -> None:
        """Makes the file, of zeros, which take no room on most file systems."""
        with self.path.open("wb") as file:
            file.truncate(self.offset + self.nbytes)

    def lazy(self) -> da.Array:
        """As a dask array in blocks of whole lines."""
        chunks = chunks_of(self.shape, self.dtype.itemsize)
        name = "raw-" + dask.base.tokenize(self)
        return da.from_array(self, chunks=chunks, name=name, asarray=True)

    def __getitem__(self, index: Any) -> NDArray[Any]:
        return np.array(self._mapped("r")[index])

    def __setitem__(self, index: Any, values: Any) -> None:
        self._mapped("r+")[index] = values

    def __dask_tokenize__(self) -> Any:
        status = self.path.stat()
        return str(self.path.resolve()), status.st_mtime_ns, status.st_size, self.order, self.offset

    def _mapped(self, mode: Any) -> Any:
        sizes = dict(zip(("band", "y", "x"), self.shape, strict=True))
        axes = AXES[self.order]
        shape = tuple(sizes[a] for a in axes)
        stored = np.memmap(self.path, self.dtype, mode, self.offset, shape)
        return stored.transpose([axes.index(a) for a in ("band", "y", "x")])
