"""Files whose header does not say how long the sound is: of a recorder that lost its power, of a
program that wrote to a pipe, of a copy that was cut off.

libsndfile reads some of them as empty and refuses others. Here the lengths are put into the header
while it is read; the file itself stays as it is.
"""

from __future__ import annotations

import io
import os
import struct
from pathlib import Path
from typing import BinaryIO

__all__ = ["FinishedHeader"]

_LONGEST = 0xFFFFFFFF - 1
_OPEN = -1  # length of a data chunk of CAF that goes on to the end of the file
_DS64 = 20  # where the lengths of RF64 stand: of the file, of its sound, and the samples


class FinishedHeader(io.RawIOBase):
    """The file at a path, read only, with the lengths that its header should have.

    Args:
        path: of a WAV, RF64 or AU file whose header announces 0 bytes of sound, or of a CAF file
            that announces 0, an open number, or more than there are.

    Attributes:
        announced: bytes of sound by the header; 0 where it says nothing.
        length: bytes of sound in the file.
        open: the header says rightly that the sound goes on to the end of the file.

    Raises:
        ValueError: it is none, or nothing follows the header.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.announced, self.open = 0, False
        self._patches: dict[int, bytes] = {}
        self._file = path.open("rb")
        try:
            self.length = self._finish(self._file, self._file.seek(0, os.SEEK_END))
            if self.length < 1:
                raise ValueError("nothing follows the header")
        except (ValueError, struct.error) as error:
            self._file.close()
            raise ValueError(str(error)) from error
        self._file.seek(0)

    def _finish(self, file: BinaryIO, end: int) -> int:
        """Finds the lengths to put in; returns that of the sound."""
        file.seek(0)
        head = file.read(12)
        if head[:4] in (b"RIFF", b"RF64") and head[8:] == b"WAVE":
            return self._finish_wav(file, end, wide=head[:4] == b"RF64")
        if head[:4] == b"caff":
            return self._finish_caf(file, end)
        if head[:4] == b".snd":
            start, size = struct.unpack(">II", head[4:])
            if size:
                raise ValueError("its header has a length")
            self._patches[8] = b"\xff" * 4  # AU's word for an open end
            return end - int(start)
        raise ValueError("no header that could be finished")

    def _finish_wav(self, file: BinaryIO, end: int, *, wide: bool) -> int:
        position, in_ds64 = 12, 0
        while position + 8 < end:
            file.seek(position)
            name, size = struct.unpack("<4sI", file.read(8))
            if name == b"ds64":
                in_ds64 = struct.unpack("<QQ", file.read(16))[1]
            if name == b"data":
                length = end - position - 8
                if wide and not in_ds64:
                    lengths = struct.pack("<QQQ", end - 8, length, 0)
                    self._patches[_DS64] = lengths
                elif not wide and not size:
                    self._patches[4] = struct.pack("<I", min(end - 8, _LONGEST))
                    self._patches[position + 4] = struct.pack("<I", min(length, _LONGEST))
                else:
                    raise ValueError("its data chunk has a length")
                return length
            position += 8 + size + size % 2
        raise ValueError("nothing follows the header")

    def _finish_caf(self, file: BinaryIO, end: int) -> int:
        position = 8
        while position + 12 < end:
            file.seek(position)
            name, size = struct.unpack(">4sq", file.read(12))
            if name == b"data":
                length = end - position - 12
                if size > 0 and size <= length:
                    raise ValueError("its data chunk has a length")
                self.announced, self.open = max(0, size), size == _OPEN
                self._patches[position + 4] = struct.pack(">q", length)
                return length
            if size < 0:
                break
            position += 12 + size
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
            for k, byte in enumerate(value):
                if 0 <= at + k - start < len(content):
                    content[at + k - start] = byte
        view[: len(content)] = content
        return len(content)

    def close(self) -> None:
        """Closes the file."""
        self._file.close()
        super().close()
