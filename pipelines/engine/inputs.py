"""What a command line names as input: files, folders, and lists of them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from sciddm.errors import InputError

__all__ = ["Entry", "has_suffix", "items_in", "with_lists"]


class Entry(NamedTuple):
    """An item of a folder.

    Attributes:
        path: the file, or the folder that is one data set.
        below: folder between the searched one and the item; ``.`` at the top.
    """

    path: Path
    below: Path


def with_lists(inputs: Sequence[Path]) -> tuple[list[Path], bool]:
    """The inputs, each ``@FILE`` replaced by the paths that the text file FILE holds.

    One path stands on a line, relative to the current folder; empty lines and lines that begin
    with ``#`` are left out. A file whose own name begins with ``@`` is an input.

    Returns:
        The paths, and whether a list was among the inputs.

    Raises:
        InputError: a list cannot be read, or is empty.
    """
    paths: list[Path] = []
    any_list = False
    for path in inputs:
        if not str(path).startswith("@") or path.exists():
            paths.append(path)
            continue
        any_list = True
        source = Path(str(path)[1:])
        try:
            lines = source.read_text(encoding="utf-8-sig", errors="surrogateescape").splitlines()
        except OSError as error:
            raise InputError(f"{source}: the list cannot be read ({error.strerror})") from error
        entries = [line.strip() for line in lines]
        entries = [entry for entry in entries if entry and not entry.startswith("#")]
        if not entries:
            raise InputError(f"{source}: the list is empty: write one path a line")
        paths += map(Path, entries)
    return paths, any_list


def items_in(
    folder: Path,
    read: Sequence[str],
    whole: Callable[[Path], bool],
    *,
    recursive: bool = False,
    without: Path | None = None,
) -> Iterator[Entry]:
    """Items of a folder in the order of their names.

    Args:
        folder: where to look.
        read: suffixes of files that are items, and of folders such as ``.zarr``.
        whole: whether another folder is one item.
        recursive: look into subfolders that are no item, too.
        without: a folder that is left out with all in it: that of the outputs.

    Raises:
        InputError: a folder cannot be read.
    """
    outputs = None if without is None else without.resolve()

    def search(place: Path, below: Path) -> Iterator[Entry]:
        try:
            entries = sorted(place.iterdir())
        except OSError as error:
            raise InputError(f"{place}: cannot be read ({error.strerror})") from error
        for path in entries:
            if path.name.startswith("."):
                continue
            if _is_item(path, read, whole):
                yield Entry(path, below)
            elif (
                recursive
                and path.is_dir()
                and not path.is_symlink()  # may lead back to where it lies
                and path.resolve() != outputs
            ):
                yield from search(path, below / path.name)

    yield from search(folder, Path())


def has_suffix(path: Path, suffixes: Sequence[str]) -> bool:
    """Whether a name ends with one of the suffixes, in either case."""
    return os.path.basename(path).lower().endswith(tuple(suffixes))


def _is_item(path: Path, read: Sequence[str], whole: Callable[[Path], bool]) -> bool:
    if path.is_dir() and whole(path):
        return True
    return has_suffix(path, read) and (path.is_file() or path.suffix.lower() == ".zarr")
