"""What is written with every result, whatever its domain: how it was made, by what, and when."""

from __future__ import annotations

import functools
import hashlib
import platform
import sys
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

import sciddm

__all__ = ["hash_of_data", "hash_of_files", "stamp"]

#: Libraries whose version can change a number.
_LIBRARIES = ("torch", "numpy", "scipy", "monai", "xarray")


def stamp(
    *,
    command: str,
    request: Mapping[str, Any],
    seconds: float,
    source: str,
    sha256: str,
    device: str = "",
) -> dict[str, Any]:
    """The attributes of a result that its engine knows.

    Args:
        command: that makes the same again.
        request: the options that decide the result.
        seconds: wall time of reading and computing, without writing.
        source: name of the input.
        sha256: of the input.
        device: on which it was computed; empty for a verb that has no choice.
    """
    return {
        "command": command,
        "request": dict(request),
        "seconds": round(seconds, 3),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "input": source,
        "input_sha256": sha256,
        "sciddm_version": sciddm.__version__,
        "versions": _versions(),
        **({"device": device} if device else {}),
    }


def hash_of_files(paths: Iterable[Path]) -> str:
    """SHA-256 of the content of files; of a folder that of all its files in the order of names."""
    total = hashlib.sha256()
    for path in paths:
        if path.is_dir():
            files = sorted(p for p in path.rglob("*") if p.is_file())
            for file in files:
                total.update(str(file.relative_to(path)).encode())
                total.update(_digest(file))
        else:
            total.update(_digest(path))
    return total.hexdigest()


def hash_of_data(data: Any) -> str:
    """SHA-256 of the values of an xarray object; empty for anything else, and for lazy arrays."""
    if isinstance(data, xr.DataArray):
        data = data.to_dataset(name="data")
    if not isinstance(data, xr.Dataset) or any(v.chunks for v in data.variables.values()):
        return ""
    total = hashlib.sha256()
    for name in sorted(map(str, data.data_vars)):
        values = np.ascontiguousarray(data[name].values)
        total.update(f"{name} {values.dtype} {values.shape}".encode())
        total.update(values.tobytes())
    return total.hexdigest()


def _digest(path: Path) -> bytes:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


def _versions() -> dict[str, str]:
    """Of the libraries that are loaded, so that none is loaded for this."""
    loaded = {name: _version(name) for name in _LIBRARIES if name in sys.modules}
    return {"python": platform.python_version(), **loaded}


@functools.cache
def _version(name: str) -> str:
    return metadata.version(name)  # parses a file of metadata: milliseconds, for every item
