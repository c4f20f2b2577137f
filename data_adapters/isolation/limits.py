"""How much time and memory the reading of a file may take, by the file's size."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from sciddm.data_adapters.memory import available_memory, plausible_size

__all__ = ["Limits", "limits_for"]

_SECONDS = 20.0
_BYTES_PER_SECOND = 5e6  # the slowest decoders
_MEMORY = 2**30
#: Copies of an array that its conversion needs at most.
_COPIES = 3
#: The same of what gzip holds: voxels of one byte become numbers of four.
_GZIP_COPIES = 8
_SECONDS_PER_FILE = 0.05  # of a folder: a header and an image each


@dataclass(frozen=True)
class Limits:
    """Of one call.

    Attributes:
        processor_seconds: of the worker; a loop without end uses it up.
        seconds: by the clock, for a disk or a network that answers no more.
        nbytes: of memory beyond what the worker has.
    """

    processor_seconds: int
    seconds: float
    nbytes: int


def limits_for(path: Path | None) -> Limits:
    """The limits for a file or a folder."""
    size, count = (0, 1) if path is None else _size(path)
    base = float(os.environ.get("SCIDDM_READ_SECONDS", _SECONDS))
    processor = base + size / _BYTES_PER_SECOND + _SECONDS_PER_FILE * (count - 1)
    memory = max(_MEMORY, _COPIES * plausible_size(size)) if size > 2**16 else _MEMORY
    if path is not None and path.name.lower().endswith(".gz"):
        memory = max(memory, _GZIP_COPIES * min(_unpacked(path), plausible_size(size)))
    return Limits(max(1, round(processor)), 60.0 + 10 * processor, min(memory, available_memory()))


def _size(path: Path) -> tuple[int, int]:
    """(bytes, number of files) of a file, with the one that belongs to it, or of a folder."""
    try:
        if not path.is_dir():
            beside = [path.with_suffix(s) for s in (".cfl", ".img", ".dat", ".raw")]
            return max(p.stat().st_size for p in (path, *beside) if p.exists()), 1
        sizes = [p.stat().st_size for p in path.rglob("*") if p.is_file()]
        return sum(sizes), max(1, len(sizes))
    except (OSError, ValueError):
        return 0, 1


def _unpacked(path: Path) -> int:
    """Bytes that a gzip file says it holds, modulo 4 GiB."""
    try:
        with path.open("rb") as file:
            file.seek(-4, os.SEEK_END)
            return int.from_bytes(file.read(4), "little")
    except OSError:
        return 0
