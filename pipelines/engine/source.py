"""What a verb reads: which files, and how they become data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

from sciddm.storage.special_files import check_regular

__all__ = ["Source"]

D = TypeVar("D")
R = TypeVar("R", contravariant=True)


def _no_folder(path: Path) -> bool:
    return False


def _itself(path: Path, request: object) -> list[Path]:
    return [path]


@dataclass(frozen=True)
class Source(Generic[D, R]):
    """The main input of a verb.

    Attributes:
        open: reads one file or folder; lazily where it is large.
        suffixes: of files.
        help: of the argument on the command line.
        is_item: whether a folder is one item, as a DICOM series is.
        item: what such a folder is called in messages.
        files: all files and folders that belong to an item, for its hash.
        option: the flag of the input where it is no positional argument; one item only, then.
        pipe: suffix of a file on standard input, named ``-``; empty where there can be none.
    """

    open: Callable[[Path, R], D]
    suffixes: tuple[str, ...]
    help: str = ""
    is_item: Callable[[Path], bool] = field(default=_no_folder)
    item: str = ""
    files: Callable[[Path, R], list[Path]] = field(default=_itself)
    option: str = ""
    pipe: str = ""

    @property
    def reader(self) -> str:
        """Module of the adapter that opens files; empty where the verb's own function does."""
        module = str(getattr(self.open, "__module__", ""))
        return module if module.startswith("sciddm.data_adapters.") else ""

    def data(self, given: Any, request: R) -> tuple[D, Path | None]:
        """The data of a path, or the data themselves; and the path."""
        if isinstance(given, str | Path):
            path = Path(given)
            check_regular(path)
            return self.open(path, request), path
        return given, None
