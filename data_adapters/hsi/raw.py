"""Raw numbers of a cube in a file, in the order BSQ, BIL or BIP, read and written part by part."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, BinaryIO

import dask.array as da
import numpy as np
from dask.base import tokenize
from numpy.typing import NDArray

from sciddm.data_adapters.checks import reading
from sciddm.data_adapters.hsi.cube import lazy_cube
from sciddm.data_adapters.space import reserve
from sciddm.errors import InputError

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
        """Makes the file, of zeros, and takes the room for it.

        Raises:
            OSError: the disk is full.
        """
        with self.path.open("wb") as file:
            reserve(file, self.offset + self.nbytes)

    def lazy(self) -> da.Array:
        """As a dask array in blocks of whole lines."""
        return lazy_cube(self, "raw-" + tokenize(self))

    def __getitem__(self, index: Any) -> NDArray[Any]:
        """The part of an index of slices and integers.

        Read, not mapped: a file that is cut off meanwhile would end the process.

        Raises:
            InputError: the file is shorter than it was.
        """
        index = index if isinstance(index, tuple) else (index,)
        index += (slice(None),) * (3 - len(index))
        lines = _bounds(index[1], self.shape[1])
        bands = _bounds(index[0], self.shape[0]) if self.order == "bsq" else (0, self.shape[0])
        with reading(self.path):
            stored = self._read(bands, lines)
        band = _within(index[0], self.shape[0], bands[0])
        line = _within(index[1], self.shape[1], lines[0])
        out: NDArray[Any] = stored[band, line, index[2]]
        return out

    def __setitem__(self, index: Any, values: Any) -> None:
        self._mapped()[index] = values

    def __dask_tokenize__(self) -> Any:
        status = self.path.stat()
        return str(self.path.resolve()), status.st_mtime_ns, status.st_size, self.order, self.offset

    def _read(self, bands: tuple[int, int], lines: tuple[int, int]) -> NDArray[Any]:
        """(band, y, x) of some lines, all samples; of BSQ of some bands, else of all."""
        axes = AXES[self.order]
        sizes = {"band": bands[1] - bands[0], "y": lines[1] - lines[0], "x": self.shape[2]}
        stored = np.empty([sizes[a] for a in axes], self.dtype)
        line = self.shape[2] * self.dtype.itemsize
        with self.path.open("rb") as file:
            if self.order == "bsq":
                for k in range(sizes["band"]):
                    start = ((bands[0] + k) * self.shape[1] + lines[0]) * line
                    self._fill(file, self.offset + start, stored[k])
            else:
                self._fill(file, self.offset + lines[0] * self.shape[0] * line, stored)
        return stored.transpose([axes.index(a) for a in ("band", "y", "x")])

    def _fill(self, file: BinaryIO, start: int, part: NDArray[Any]) -> None:
        file.seek(start)
        got = file.readinto(part.reshape(-1).view(np.uint8).data)  # type: ignore[attr-defined]
        if got != part.nbytes:
            raise InputError(f"{self.path}: was cut off while it was read: copy it again")

    def _mapped(self) -> Any:
        sizes: dict[str, int] = dict(zip(("band", "y", "x"), self.shape, strict=True))
        axes = AXES[self.order]
        shape = tuple(sizes[a] for a in axes)
        stored = np.memmap(self.path, self.dtype, "r+", self.offset, shape)
        return stored.transpose([axes.index(a) for a in ("band", "y", "x")])


def _bounds(index: Any, length: int) -> tuple[int, int]:
    """The first and one past the last entry that an index needs."""
    if not isinstance(index, slice):
        numbers = np.asarray(index)
        numbers = np.flatnonzero(numbers) if numbers.dtype == bool else numbers % length
        return (int(numbers.min()), int(numbers.max()) + 1) if numbers.size else (0, 0)
    wanted = range(length)[index]
    return (min(wanted), max(wanted) + 1) if len(wanted) else (0, 0)


def _within(index: Any, length: int, first: int) -> Any:
    """The index of an axis of `length`, where its entries before `first` are left out."""
    if isinstance(index, slice):
        wanted = range(length)[index]
        stop = wanted.stop - first
        return slice(wanted.start - first, None if stop < 0 else stop, wanted.step)
    numbers = np.asarray(index)
    if numbers.dtype == bool:
        return numbers[first:]
    return numbers % length - first
