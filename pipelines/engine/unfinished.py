"""Parts that were finished before a run was stopped, kept beside the output."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Unfinished"]

_KEY = "key.json"


class Unfinished:
    """A hidden folder with one file per finished frame.

    Frames are used only by a run of the same source, options and models: anything else starts anew.

    Args:
        target: the output; the folder lies beside it.
        key: all that decides what the frames look like.
    """

    def __init__(self, target: Path, key: Mapping[str, Any]) -> None:
        self.folder = target.with_name(f".{target.name}.unfinished")
        self.key = hashlib.sha256(json.dumps(key, sort_keys=True, default=str).encode()).hexdigest()

    def open(self) -> None:
        """Makes the folder; removes one of another run."""
        try:
            same = json.loads((self.folder / _KEY).read_text())["key"] == self.key
        except (OSError, ValueError, KeyError, TypeError):
            same = False
        if not same:
            self.close()
        self.folder.mkdir(exist_ok=True)
        (self.folder / _KEY).write_text(json.dumps({"key": self.key}))

    def load(self, frame: int) -> dict[str, NDArray[Any]] | None:
        """What was stored of a frame, None where it is not there or damaged."""
        try:
            with np.load(self._path(frame), allow_pickle=False) as file:
                return {name: file[name] for name in file.files}
        except (OSError, ValueError, EOFError):
            return None

    def store(self, frame: int, **arrays: Any) -> None:
        """Keeps a frame: whole, or not at all."""
        path = self._path(frame)
        temporary = path.with_suffix(".tmp")
        with temporary.open("wb") as file:
            np.savez(file, **arrays)
        os.replace(temporary, path)

    def close(self) -> None:
        """Removes the folder."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _path(self, frame: int) -> Path:
        return self.folder / f"frame{frame:06d}.npz"
