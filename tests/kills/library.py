"""The library that lets calls fail (``faults.c``): compiled once, loaded before the C library."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

__all__ = ["arm", "calls", "compiler", "environment"]

_SOURCE = Path(__file__).with_name("faults.c")
_VARIABLE = "SCIDDM_FAULTS"


def compiler() -> str | None:
    """A compiler of C; None where there is none, or the system has no LD_PRELOAD."""
    return shutil.which("cc") if Path("/proc/self/fd").is_dir() else None


def environment() -> dict[str, str]:
    """Environment of a process in which calls can fail."""
    folder = Path(tempfile.gettempdir()) / f"sciddm-faults-{os.getuid()}-{os.getpid()}"
    folder.mkdir(exist_ok=True)
    target = folder / "faults.so"
    options = ["-shared", "-fPIC", "-O1", "-D_LARGEFILE64_SOURCE"]
    command = [compiler() or "cc", *options, "-o", str(target), str(_SOURCE), "-ldl"]
    subprocess.run(command, check=True)
    return {**os.environ, "LD_PRELOAD": str(target), _VARIABLE: str(target)}


def arm(folder: Path, number: int, action: int) -> None:
    """From now on the `number`-th call that changes something below `folder` fails.

    Args:
        folder: absolute.
        number: from 1.
        action: 0: nothing fails, calls are counted; 1: the process is killed; else an error number.
    """
    _library().faults_arm(os.fsencode(folder), ctypes.c_long(number), action)


def calls() -> list[str]:
    """Names of such calls since `arm`, in their order."""
    library = _library()
    return [
        library.faults_name(ctypes.c_long(k + 1)).decode() for k in range(library.faults_calls())
    ]


def _library() -> ctypes.CDLL:
    library = ctypes.CDLL(os.environ[_VARIABLE])
    library.faults_calls.restype = ctypes.c_long
    library.faults_name.restype = ctypes.c_char_p
    return library
