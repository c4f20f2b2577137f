"""Where the real data for training and development lie."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

__all__ = ["data_root", "stored"]


def data_root(root: str | None = None) -> Path:
    """The folder of real data: ``root``, else $SCIDDM_DATA, else ../shared/data."""
    return Path(root or os.environ.get("SCIDDM_DATA", "../shared/data"))


def stored(group: h5py.Group, name: str) -> NDArray[Any]:
    """The values of an array in an HDF5 file.

    Raises:
        KeyError: there is no such array.
    """
    node = group[name]
    if not isinstance(node, h5py.Dataset):
        raise KeyError(f"{name} is no array")
    return np.asarray(node[()])
