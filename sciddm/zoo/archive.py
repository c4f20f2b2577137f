"""PyTorch's files are archives of unpacked members: a packed one was not written by it."""

from __future__ import annotations

import zipfile
from pathlib import Path

from sciddm.errors import ModelError

__all__ = ["check_archive"]


def check_archive(path: Path) -> None:
    """Refuses an archive that unpacks to more than its own size; other files pass.

    Raises:
        ModelError: a member is packed, or members overlap.
    """
    if not zipfile.is_zipfile(path):
        return
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise ModelError(f"{path}: not a readable checkpoint ({error}): copy it again") from error
    packed = [m.filename for m in members if m.compress_type != zipfile.ZIP_STORED]
    if packed or sum(m.file_size for m in members) > path.stat().st_size:
        raise ModelError(
            f"{path}: its members are packed or overlap, which torch.save never does: copy it again"
        )
