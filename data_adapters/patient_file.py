"""A file whose library is not told of a disk that refuses.

HDF5 crashes where a write fails while it closes a file. So the writes that the disk refuses go into
memory, the library closes its file, and the error comes afterwards. A block that no cache of the
library can hold is refused at once: it is not written at the closing.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

__all__ = ["PatientFile"]

#: Larger than any cache of HDF5, so that the caller writes it.
_BLOCK = 2**24
#: Of what the disk refused, so much is kept; beyond, numbers are lost, and headers are not.
_MOST, _HEADER = 2**28, 2**16


class PatientFile(io.RawIOBase):
    """A file for reading and writing that keeps its first error for `close`.

    Args:
        path: of the file.
        mode: as for ``open``; "w+b" or "r+b".

    Attributes:
        error: what the disk refused first.
    """

    def __init__(self, path: Path, mode: str) -> None:
        super().__init__()
        self.error: OSError | None = None
        self._file: Any = open(path, mode, buffering=0)  # noqa: SIM115
        self._at = 0
        self._refused: dict[int, bytes] = {}
        self._held = 0

    def seek(self, offset: int, whence: int = 0) -> int:
        """As of any file."""
        self._at = offset if whence == 0 else self._file.seek(offset, whence)
        return self._at

    def tell(self) -> int:
        """As of any file."""
        return self._at

    def write(self, content: Any) -> int:
        """Writes all of it; what the disk refuses stays in memory.

        Raises:
            OSError: the disk has refused, and this is a large block.
        """
        view = memoryview(content).cast("B")
        start, rest = self._at, view
        while self.error is None and rest.nbytes:
            try:
                self._file.seek(start + view.nbytes - rest.nbytes)
                rest = rest[self._file.write(rest) :]
            except OSError as error:
                self.error = error
        if self.error is not None and view.nbytes > _BLOCK:
            raise self.error
        if rest.nbytes and (self._held < _MOST or rest.nbytes < _HEADER):
            self._held += rest.nbytes
            self._refused[start + view.nbytes - rest.nbytes] = bytes(rest)
        self._at = start + view.nbytes
        return view.nbytes

    def readinto(self, target: Any) -> int:
        """Reads what was written, wherever it is."""
        view = memoryview(target).cast("B")
        start, end = self._at, self._at + view.nbytes
        self._file.seek(start)
        size = int(self._file.readinto(view))
        for place, content in self._refused.items():
            first, last = max(start, place), min(end, place + len(content))
            if first < last:
                view[size : first - start] = bytes(max(0, first - start - size))
                view[first - start : last - start] = content[first - place : last - place]
                size = max(size, last - start)
        self._at = start + size
        return size

    def truncate(self, size: int | None = None) -> int:
        """As of any file; where the disk refuses, it stays as long as it is."""
        length = self._at if size is None else size
        if self.error is None:
            try:
                self._file.truncate(length)
            except OSError as error:
                self.error = error
        return length

    def readable(self) -> bool:
        """Yes."""
        return True

    def writable(self) -> bool:
        """Yes."""
        return True

    def seekable(self) -> bool:
        """Yes."""
        return True

    def close(self) -> None:
        """Closes the file; says what the disk refused.

        Raises:
            OSError: the disk refused something.
        """
        if self.closed:
            return
        super().close()
        try:
            self._file.close()
        except OSError as error:
            self.error = self.error or error
        if self.error is not None:
            raise self.error
