"""Padding: pixels that a scanner adds where it measured nothing, to fill a rectangle.

PixelPaddingValue names the stored value they have; with PixelPaddingRangeLimit every value between
the two is padding (DICOM PS3.3, C.7.5.1.1.2). Where nothing is declared, as in NIfTI, a constant
surround (`geometry.surround`) is the same thing.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

__all__ = ["padding_of"]


def padding_of(header: Dataset, stored: NDArray[Any]) -> NDArray[np.bool_] | None:
    """Where the stored values (y, x) of a slice are padding, or None where none is declared."""
    first = _integer(header.get("PixelPaddingValue"), stored.dtype)
    if first is None:
        return None
    last = _integer(header.get("PixelPaddingRangeLimit"), stored.dtype)
    low, high = sorted((first, first if last is None else last))
    return np.asarray((stored >= low) & (stored <= high))


def _integer(value: Any, dtype: np.dtype[Any]) -> int | None:
    """A padding value as a stored one: files declare it signed where pixels are not, and back."""
    if isinstance(value, bytes):  # of unknown representation
        value = int.from_bytes(value[:2], "little") if len(value) >= 2 else None
    if value is None or isinstance(value, str):
        return None
    number = int(value)
    bits = 8 * dtype.itemsize
    if np.issubdtype(dtype, np.signedinteger) and number >= 2 ** (bits - 1):
        out: int | None = number - 2**bits
        return out
    if np.issubdtype(dtype, np.unsignedinteger) and number < 0:
        out = number + 2**bits
        return out
    return number
