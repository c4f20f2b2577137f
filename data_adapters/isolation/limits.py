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
_MOST_FILES = 20_000


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
    size = 0 if path is None else _size(path)
    base = float(os.environ.get("SCIDDM_READ_SECONDS", _SECONDS))
    processor = base + size / _BYTES_PER_SECOND
    memory = max(_MEMORY, _COPIES * plausible_size(size)) if size > 2**16 else _MEMORY
    return Limits(max(1, round(processor)), 60.0 + 10 * processor, min(memory, available_memory()))


def _size(path: Path) -> int:
    try:
        if not path.is_dir():
            beside = [path.with_suffix(s) for s in (".cfl", ".img", ".dat", ".raw")]
            return max(p.stat().st_size for p in (path, *beside) if p.exists())
        total = 0
        for number, file in enumerate(path.rglob("*")):
            total += file.stat().st_size if file.is_file() else 0
            if number > _MOST_FILES:
                break
        return total
    except (OSError, ValueError):
        return 0
