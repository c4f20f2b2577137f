"""WAV files whose header was never finished, as a recorder leaves them that lost its power."""

from __future__ import annotations

import io
import os
import struct
from pathlib import Path

__all__ = ["FinishedHeader"]

_LONGEST = 0xFFFFFFFF - 1


class FinishedHeader(io.RawIOBase):
    """The file at a path, read only, with the lengths that its header should have.

    Args:
        path: of a file that begins with RIFF and WAVE and whose data chunk announces 0 bytes.

    Raises:
        ValueError: it is none, or nothing follows the header.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._file = path.open("rb")
        end = self._file.seek(0, os.SEEK_END)
        try:
            at = self._data_chunk(end)
        except ValueError:
            self._file.close()
            raise
        self._patches = {4: min(end - 8, _LONGEST), at + 4: min(end - at - 8, _LONGEST)}
        self._file.seek(0)

    def _data_chunk(self, end: int) -> int:
        self._file.seek(0)
        head = self._file.read(12)
        if head[:4] != b"RIFF" or head[8:] != b"WAVE":
            raise ValueError("no WAV file")
        position = 12
        while position + 8 < end:
            self._file.seek(position)
            name, size = struct.unpack("<4sI", self._file.read(8))
            if name == b"data":
                if size:
                    raise ValueError("its data chunk has a length")
                return position
            position += 8 + size + size % 2
        raise ValueError("nothing follows the header")

    def readable(self) -> bool:
        """Yes."""
        return True

    def seekable(self) -> bool:
        """Yes."""
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """As of a file."""
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        """As of a file."""
        return self._file.tell()

    def readinto(self, buffer: object) -> int:
        """As of a file, with the lengths put in."""
        view = memoryview(buffer).cast("B")  # type: ignore[arg-type]
        start = self._file.tell()
        content = bytearray(self._file.read(len(view)))
        for at, value in self._patches.items():
            for k, byte in enumerate(struct.pack("<I", value)):
                if 0 <= at + k - start < len(content):
                    content[at + k - start] = byte
        view[: len(content)] = content
        return len(content)

    def close(self) -> None:
        """Closes the file."""
        self._file.close()
        super().close()
