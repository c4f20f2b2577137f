"""Pictures and plain arrays as numbers: PNG, JPEG, BMP, TIFF (also of several pages), .npy.

Integers are divided by the largest value of their type, so that 8 and 16 bit become 0 to 1;
floating point values stay as they are. Colour becomes its mean.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import imageio.v3 as iio
import numpy as np
from numpy.typing import NDArray

from sciddm.data_adapters.checks import check_finite, check_size, existing_file, reading
from sciddm.data_adapters.gate.tiff import check_tiff
from sciddm.data_adapters.isolation import isolated
from sciddm.errors import InputError

__all__ = ["PICTURES", "read_pictures"]

PICTURES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".npy")
_PAGES = (".tif", ".tiff")
_COLOURS = (3, 4)


@isolated
def read_pictures(source: str | Path) -> NDArray[np.float32]:
    """Reads a picture, a stack of pages, or an array (y, x) or (item, y, x).

    Returns:
        (item, y, x) float32.

    Raises:
        InputError: damaged, complex, not finite, of other axes, or larger than memory.
    """
    path = existing_file(source)
    suffix = path.suffix.lower()
    if suffix not in PICTURES:
        raise InputError(f"{path}: no picture: take {', '.join(PICTURES)}")
    values = _array(path) if suffix == ".npy" else _pages(path, suffix)
    if values.ndim != 3 or not values.size:
        raise InputError(f"{path}: has the shape {values.shape}, not (item, y, x): write it so")
    if values.dtype.kind not in "fiub":
        raise InputError(f"{path}: holds {values.dtype}, not real numbers: export magnitudes")
    check_finite(path, "the picture", values)
    scale = float(np.iinfo(values.dtype).max) if values.dtype.kind in "iu" else 1.0
    return np.ascontiguousarray(values, dtype=np.float32) / np.float32(scale)


def _array(path: Path) -> NDArray[Any]:
    with reading(path):
        array = np.load(path, mmap_mode="r", allow_pickle=False)
        check_size(path, "the array", array.shape, max(4, array.dtype.itemsize), stored=path)
        values = np.array(array)
    return values[None] if values.ndim == 2 else values


def _pages(path: Path, suffix: str) -> NDArray[Any]:
    # One library, which the suffix chooses: left to itself, imageio tries all that are installed.
    pages = suffix in _PAGES
    how: dict[str, Any] = {"index": None if pages else 0, "plugin": None if pages else "pillow"}
    with reading(path):
        if pages:
            check_tiff(path)
        shape = iio.improps(path.absolute(), **how).shape
        check_size(path, "the picture", shape, 4, stored=path)
        values = np.asarray(iio.imread(path.absolute(), **how))
    if values.ndim > 2 and values.shape[-1] in _COLOURS:
        if values.dtype.kind not in "iuf":
            return values
        grey = values[..., :3].astype(np.float64).mean(-1)
        values = grey.round().astype(values.dtype) if values.dtype.kind in "iu" else grey
    return values[None] if values.ndim == 2 else values
