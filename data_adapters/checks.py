"""What every reader checks before it trusts a file: that it is there, how large it claims to be,
and that its numbers are numbers. Every failure is one `InputError` naming the file and the fix."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sciddm.data_adapters.memory import memory_limit, plausible_size
from sciddm.errors import InputError, SciddmError
from sciddm.storage.special_files import check_regular

__all__ = ["check_finite", "check_size", "existing_file", "memory_limit", "one_line", "reading"]


def existing_file(path: str | Path) -> Path:
    """The path of a file that is there and can be opened.

    Raises:
        InputError: nothing there, a folder, a pipe, a device, or not readable.
    """
    path = Path(path)
    if path.is_dir():
        raise InputError(f"{path}: is a folder, not a data file: name one file in it")
    if not path.exists():
        if path.is_symlink():
            raise InputError(
                f"{path}: a link to {os.readlink(path)}, which is not there: repair or remove it"
            )
        raise InputError(f"{path}: no such file: check the name")
    check_regular(path)
    if not os.access(path, os.R_OK):
        raise InputError(f"{path}: may not be read: change its permissions")
    return path


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turns what libraries raise on a damaged file into one InputError that names the file."""
    try:
        yield
    except SciddmError:
        raise
    except MemoryError as error:
        raise InputError(f"{path}: does not fit into memory: read fewer slices") from error
    except Exception as error:  # of a dozen libraries, some with exceptions of their own
        raise InputError(
            f"{path}: damaged, truncated or not what its name says ({one_line(error)}): "
            "copy or export it again"
        ) from error


def one_line(error: BaseException) -> str:
    """The message of an exception without line breaks, shortened."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 160 else text[:157] + "..."


def check_size(
    path: Path,
    name: str,
    shape: Sequence[int],
    itemsize: int = 8,
    *,
    stored: int | Path | None = None,
) -> None:
    """Refuses an array before anything is allocated for it.

    Args:
        path: the file that states the shape.
        name: of the array.
        shape: as the header states it.
        itemsize: bytes per element.
        stored: size of the container in bytes, or the file itself; None for no check against it.

    Raises:
        InputError: an axis without elements, more bytes than `memory_limit`, or than
            `plausible_size`.
    """
    sizes = [int(n) for n in shape]
    if min(sizes, default=1) < 1:
        raise InputError(f"{path}: {name} is empty, its shape is {tuple(sizes)}: export it again")
    needed = math.prod(sizes) * itemsize
    if needed > memory_limit():
        raise InputError(
            f"{path}: {name} claims the shape {tuple(sizes)}, {needed / 2**30:.0f} GiB, too much "
            "for the memory of this machine: the header is damaged, or split the file"
        )
    size = stored.stat().st_size if isinstance(stored, Path) else stored
    if size is not None and needed > plausible_size(size):
        raise InputError(
            f"{path}: {name} claims the shape {tuple(sizes)}, {needed / 2**30:.1f} GiB, but the "
            f"file has {size / 2**20:.1f} MiB: it is damaged, or save it uncompressed"
        )


def check_finite(path: Path, name: str, array: NDArray[np.generic]) -> None:
    """Refuses NaN and infinity.

    Raises:
        InputError: says how many there are and where the first is.
    """
    bad = ~np.isfinite(array)
    if bad.any():
        first = tuple(int(i) for i in np.argwhere(bad)[0])
        raise InputError(
            f"{path}: {name} holds {int(bad.sum())} values that are NaN or infinite, the first at "
            f"{first}: set unsampled entries to 0 and repair the others"
        )
