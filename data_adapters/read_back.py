"""Whether a library has written all of a file: some say nothing where the disk refuses."""

from __future__ import annotations

import errno
import os
from pathlib import Path

__all__ = ["incomplete"]


def incomplete(path: Path) -> OSError:
    """The error of a file that does not hold what was written to it: a full disk, most likely."""
    return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
