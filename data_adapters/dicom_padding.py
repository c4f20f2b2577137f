"""Padding: pixels that a scanner adds where it measured nothing, to fill a rectangle.

PixelPaddingValue names the stored value they have; with PixelPaddingRangeLimit every value between
the two is padding (DICOM PS3.3, C.7.5.1.1.2). Where nothing is declared, as in NIfTI, a constant
surround is the same thing: one value that fills the corners of a slice.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from sciddm.geometry.objects import objects

__all__ = ["constant_surround", "padding_of"]

_LEAST_SHARE = 0.005  # of a slice's pixels: less is chance


def padding_of(header: Dataset, stored: NDArray[Any]) -> NDArray[np.bool_] | None:
    """Where the stored values (y, x) of a slice are padding, or None where none is declared."""
    first = _integer(header.get("PixelPaddingValue"), stored.dtype)
    if first is None:
        return None
    last = _integer(header.get("PixelPaddingRangeLimit"), stored.dtype)
    low, high = sorted((first, first if last is None else last))
    return np.asarray((stored >= low) & (stored <= high))


def constant_surround(values: NDArray[Any]) -> NDArray[np.bool_] | None:
    """Where one value fills the corners of a slice (y, x), or None where none does.

    The value of the corner that has the most of it; the region hangs together with a corner.
    """
    corners = values[[0, 0, -1, -1], [0, -1, 0, -1]]
    best: NDArray[np.bool_] | None = None
    for value in np.unique(corners):
        if (corners == value).sum() < 2:
            continue
        parts, _ = objects(values == value)
        touching = {int(n) for n in parts[[0, 0, -1, -1], [0, -1, 0, -1]]} - {0}
        region = np.isin(parts, list(touching))
        if best is None or region.sum() > best.sum():
            best = region
    if best is None or best.mean() < _LEAST_SHARE:
        return None
    return best


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
