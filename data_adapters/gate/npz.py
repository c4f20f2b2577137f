"""NumPy's .npz: arrays by name, without pickles, and only those that are asked for.

What a member announces is compared with its size in the archive before anything is unpacked.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from sciddm.data_adapters.checks import check_size
from sciddm.errors import InputError

__all__ = ["Members", "open_npz"]

_SUFFIX = ".npy"
_LONGEST_HEADER = 2**16


class Members(Mapping[str, NDArray[Any]]):
    """The arrays of an archive; one is unpacked when it is asked for."""

    def __init__(self, path: Path, archive: zipfile.ZipFile) -> None:
        self._path, self._archive = path, archive
        names = [i.filename for i in archive.infolist() if i.filename.endswith(_SUFFIX)]
        if len(set(names)) < len(names):
            raise InputError(f"{path}: two arrays have one name: export it again")
        self._names = {name.removesuffix(_SUFFIX): name for name in names}

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def __contains__(self, name: object) -> bool:
        return name in self._names

    def __getitem__(self, name: str) -> NDArray[Any]:
        if name not in self._names:
            raise KeyError(name)
        with self._archive.open(self._names[name]) as member:
            self._header(name, member)
        with self._archive.open(self._names[name]) as member:
            return np.asarray(
                np.lib.format.read_array(
                    member, allow_pickle=False, max_header_size=_LONGEST_HEADER
                )
            )

    def described(self, name: str) -> tuple[tuple[int, ...], np.dtype[Any]]:
        """Shape and type of an array, without unpacking it."""
        with self._archive.open(self._names[name]) as member:
            return self._header(name, member)

    def _header(self, name: str, member: IO[bytes]) -> tuple[tuple[int, ...], np.dtype[Any]]:
        version = np.lib.format.read_magic(member)
        readers = {
            (1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0,
        }
        read = readers.get(version, np.lib.format.read_array_header_2_0)
        shape, _, dtype = read(member, max_header_size=_LONGEST_HEADER)
        if dtype.hasobject:
            raise InputError(
                f"{self._path}: {name} holds Python objects, which can run code: save numbers"
            )
        if 0 not in shape:
            check_size(self._path, name, shape, dtype.itemsize, stored=self._path)
        size = self._archive.getinfo(self._names[name]).file_size
        needed = int(np.prod([int(n) for n in shape], dtype=object)) * dtype.itemsize
        if needed > size:
            raise InputError(
                f"{self._path}: {name} announces {needed} bytes and holds {size}: truncated, "
                "copy it again"
            )
        return shape, dtype


@contextmanager
def open_npz(path: Path) -> Iterator[Members]:
    """Opens an archive.

    Yields:
        Its arrays by name.

    Raises:
        InputError: two arrays of one name; on access: Python objects, more than fits into memory
            or than a file of that size plausibly holds, or truncated.
    """
    with zipfile.ZipFile(path) as archive:
        yield Members(path, archive)
