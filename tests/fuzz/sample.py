"""What a sample of a format is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Sample"]


@dataclass(frozen=True)
class Sample:
    """One format.

    Attributes:
        name: for the report.
        main: name of what the reader is given, which may be a file, a store or a folder.
        write: writes the sample into a folder.
        read: a reader's name in ``readers``.
    """

    name: str
    main: str
    write: Callable[[Path], None]
    read: str
