"""Volumes as 8 bit codes in PNGs of the page: made smaller until all of them fit.

The planes of a volume are the tiles of one picture, row by row, so that neither side of it is
longer than browsers draw. A code of 0 to 255 stands for a value of a table that rises.
"""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["MOST", "Levels", "across", "budgeted", "coded", "even", "focused", "png", "shrunk"]

#: Voxels of one volume: a browser holds four bytes for each while it reads them.
MOST = 4_000_000


#: Values of the codes, (256,), rising.
Levels = NDArray[np.float64]
#: Part of the codes that lies within the window that is shown first.
_WITHIN = 0.5


def even(low: float, high: float) -> Levels:
    """Codes that are spread evenly."""
    return np.linspace(low, high if high > low else low + 1.0, 256)


def focused(low: float, high: float, window: tuple[float, float]) -> Levels:
    """Codes that are finer within a window, where all that is shown is more than twice as wide."""
    first, last = window
    outside = (first - low) + (high - last)
    if outside <= last - first:
        return even(low, high)
    within = round(255 * _WITHIN)
    below = round((255 - within) * (first - low) / outside)
    knots = {0: low, below: first, below + within: last, 255: high}
    levels: Levels = np.interp(np.arange(256.0), list(knots), list(knots.values()))
    return levels


def shrunk(volume: NDArray[Any], shape: Sequence[int]) -> NDArray[np.float64]:
    """Means over boxes of equal size, which may end within an entry.

    Args:
        volume: of any number of axes.
        shape: of the result, no axis longer than the volume's.
    """
    out = np.asarray(volume, dtype=np.float64)
    for axis, count in enumerate(shape):
        n = out.shape[axis]
        if count == n:
            continue
        edges = np.linspace(0, n, count + 1)
        total = np.concatenate([[0.0], np.arange(1, n + 1)])
        # Row i of the weights is the part of each entry that lies within box i.
        low = np.clip(edges[:-1, None], total[None, :-1], total[None, 1:])
        high = np.clip(edges[1:, None], total[None, :-1], total[None, 1:])
        weights = (high - low) / (n / count)
        out = np.moveaxis(np.tensordot(weights, out, (1, axis)), 0, axis)
    return out


def coded(volume: NDArray[Any], levels: Levels, shape: Sequence[int]) -> NDArray[np.uint8]:
    """Codes of a volume, made smaller; what is not a number has the code 0."""
    low, high = float(levels[0]), float(levels[-1])
    values = shrunk(np.nan_to_num(volume, nan=low, posinf=high, neginf=low), shape)
    codes: NDArray[np.uint8] = np.rint(np.interp(values, levels, np.arange(256.0))).astype(np.uint8)
    return codes


def across(shape: Sequence[int]) -> int:
    """Tiles in a row of the picture of a volume (plane, row, column): near a square."""
    planes, rows, columns = shape
    return max(1, min(planes, round(math.sqrt(planes * rows / columns))))


def png(codes: NDArray[np.uint8]) -> str:
    """The picture of a volume (plane, row, column) as PNG in base64."""
    from PIL import Image

    planes, rows, columns = codes.shape
    wide = across(codes.shape)
    high = -(-planes // wide)
    tiles = np.zeros((high * wide, rows, columns), np.uint8)
    tiles[:planes] = codes
    sheet = tiles.reshape(high, wide, rows, columns).swapaxes(1, 2).reshape(high * rows, -1)
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(sheet)).save(buffer, "PNG", optimize=True)
    return base64.b64encode(buffer.getvalue()).decode("ascii")


def budgeted(
    volumes: Sequence[tuple[NDArray[Any], Levels]], shape: Sequence[int], budget: int, axes: int
) -> tuple[int, int, int]:
    """The shape at which all volumes together take no more bytes than there are.

    Args:
        volumes: (plane, row, column), all of one shape, and their levels.
        shape: the largest that is wanted.
        budget: bytes of base64.
        axes: 1: planes are left out; 3: all axes shrink by one factor.
    """
    planes, rows, columns = shape
    # The cost of a plane, from three of them: noise differs along a body.
    some = sorted({planes // 4, planes // 2, (3 * planes) // 4})
    cost = 0.0
    for volume, levels in volumes:
        places = [round((k + 0.5) * len(volume) / planes - 0.5) for k in some]
        part = coded(volume[places], levels, (len(some), rows, columns))
        cost += len(png(part)) / len(some)
    most = min(budget / (cost * planes), MOST / (planes * rows * columns))
    if most >= 1:
        return planes, rows, columns
    if axes == 1:
        return max(1, int(planes * most)), rows, columns
    factor = most ** (1 / 3)
    small = [max(1, int(n * factor)) for n in shape]
    return small[0], small[1], small[2]
