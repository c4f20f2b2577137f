"""The checkpoints of a training: the last one and the one before, each known by its SHA-256.

    last.ckpt           what a resumed training goes on from
    previous.ckpt       the one before, for where the last is damaged
    checkpoints.sha256  the digests of both, written before either gets its name

They hold tensors and plain values only and are read as such: nothing in them is unpickled.
"""

from __future__ import annotations

import hashlib
import os
import warnings
from collections.abc import Callable
from pathlib import Path

from sciddm.errors import ModelError
from sciddm.storage.durable import flush, flush_folder, write_durably

__all__ = ["Checkpoints"]

_NEW, _LAST, _PREVIOUS = "new.ckpt", "last.ckpt", "previous.ckpt"
_DIGESTS = "checkpoints.sha256"
_BLOCK = 2**20


class Checkpoints:
    """The checkpoints in a folder.

    Args:
        folder: made when the first is written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def last(self) -> Path:
        """The last checkpoint's place."""
        return self.folder / _LAST

    def newest(self) -> Path | None:
        """The newest checkpoint that is whole; None where there is none at all.

        One that is damaged is passed over with a warning.

        Raises:
            ModelError: all are damaged.
        """
        known = self._digests()
        damaged: list[Path] = []
        for name in (_NEW, _LAST, _PREVIOUS):
            path = self.folder / name
            if not path.is_file():
                continue
            # Checkpoints of earlier versions have no digests.
            if (known is None and name == _LAST) or _digest(path) in (known or ()):
                if damaged:
                    warnings.warn(
                        f"{damaged[0]}: damaged: the training goes on from {path.name}, the "
                        "checkpoint before it",
                        stacklevel=2,
                    )
                return path
            if name != _NEW:  # killed while it was written: nobody counts on it
                damaged.append(path)
        if damaged:
            raise ModelError(f"{damaged[0]}: damaged, and no other is there: start with --fresh")
        return None

    def write(self, save: Callable[[Path], object], *, main_process: bool = True) -> None:
        """Writes a checkpoint; the last one becomes the previous.

        Args:
            save: writes it to a path; called by all processes that train together.
            main_process: the one that writes files.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        new = self.folder / _NEW
        save(new)
        if not main_process:
            return
        flush([new])
        digests = [_digest(new), *(self._digests() or [])[:2]]
        write_durably(self.folder / _DIGESTS, "".join(f"{d}\n" for d in digests).encode())
        if self.last.exists():
            os.replace(self.last, self.folder / _PREVIOUS)
        os.replace(new, self.last)
        flush_folder(self.folder)

    def discard(self) -> None:
        """Removes all checkpoints, for a training that starts anew."""
        for name in (_NEW, _LAST, _PREVIOUS, _DIGESTS):
            (self.folder / name).unlink(missing_ok=True)

    def _digests(self) -> list[str] | None:
        try:
            return (self.folder / _DIGESTS).read_text(encoding="ascii").split()
        except (OSError, UnicodeDecodeError):
            return None


def _digest(path: Path) -> str:
    found = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            found.update(block)
    return found.hexdigest()
