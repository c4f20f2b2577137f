"""Readers that behave as libraries in C do with damaged files; run in a worker by their names."""

from __future__ import annotations

import ctypes
import os
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from sciddm.data_adapters.isolation import isolated
from sciddm.errors import InputError, OptionError


@isolated
def read_whole(path: Path, size: int = 4) -> dict[str, Any]:
    """Large and small arrays, the process that read them, and a warning."""
    warnings.warn("the header says two things", RuntimeWarning, stacklevel=2)
    large = np.arange(size, dtype=np.float64)
    return {"large": large, "other": large[::2].copy(), "small": np.ones(3), "pid": os.getpid()}


@isolated
def read_text(path: Path) -> str:
    """What the file says."""
    return path.read_text()


@isolated
def read_unusable(path: Path) -> None:
    """Says what is wrong."""
    raise InputError(f"{path}: no cube in it: give another")


@isolated
def read_option(path: Path) -> None:
    """An error whose arguments are not its message."""
    raise OptionError("axes", "give two")


@isolated
def read_surprise(path: Path) -> None:
    """Fails as nobody foresaw."""
    {}["never"]


@isolated
def read_crash(path: Path) -> None:
    """Reads where nothing is."""
    ctypes.string_at(8)


@isolated
def read_loop(path: Path) -> None:
    """Never ends, without letting Python in."""
    clock = ctypes.CDLL(None).clock
    start = time.monotonic()
    while time.monotonic() - start < 60:
        clock()


@isolated
def read_room(path: Path, nbytes: int) -> int:
    """Reserves memory that it does not use."""
    return np.zeros(nbytes, np.uint8).nbytes


@isolated
def read_bomb(path: Path, nbytes: int) -> Any:
    """Unpacks more than there is."""
    return np.ones(nbytes, np.uint8)


class Variable:
    """A part of a file, read when it is indexed."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @isolated
    def __getitem__(self, index: Any) -> Any:
        return np.arange(10)[index], os.getpid()
