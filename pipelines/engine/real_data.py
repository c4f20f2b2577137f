"""Where the real data for training and development lie."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["data_root"]


def data_root(root: str | None = None) -> Path:
    """The folder of real data: ``root``, else $SCIDDM_DATA, else ../shared/data."""
    return Path(root or os.environ.get("SCIDDM_DATA", "../shared/data"))
