"""How a scene is cut into tiles, and put together again.

A method with a halo (the result at a pixel depends on pixels no further away than that) gets each
tile with its halo around it and gives the tile alone back: the same as for the whole scene. One
without gets tiles that overlap, and its results are blended: along an axis the weights of two
neighbours are 1 - t and t, t rising linearly from 0 to 1 through their overlap, so that all weights
of a pixel add up to 1.

Borders of tiles, their context included, lie at multiples of ALIGN pixels of the scene: a network
that halves its resolution a few times then sees the same grid in a tile and in the whole.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["ALIGN", "Window", "cut", "side_for"]

ALIGN = 32
#: Entries (band, y, x) of a tile without its context: 32 MB in single precision. Context can be
#: twice as much again, and methods need some copies.
_ENTRIES = 2**23
_LARGEST = 1024
_OVERLAP = 32


@dataclass(frozen=True)
class Window:
    """A tile.

    Attributes:
        y, x: what it reads of the scene.
        inner_y, inner_x: what it gives back, of the scene.
        weight_y, weight_x: its share in the result along the axes of what it gives back.
    """

    y: slice
    x: slice
    inner_y: slice
    inner_x: slice
    weight_y: NDArray[np.float32]
    weight_x: NDArray[np.float32]

    @property
    def blended(self) -> bool:
        """Whether other tiles have a share in its pixels."""
        return bool((self.weight_y < 1).any() or (self.weight_x < 1).any())

    @property
    def inside(self) -> tuple[slice, slice]:
        """What it gives back, of what it reads."""
        return _relative(self.inner_y, self.y), _relative(self.inner_x, self.x)

    @property
    def weight(self) -> NDArray[np.float32]:
        """(y, x) of what it gives back."""
        return self.weight_y[:, None] * self.weight_x


def side_for(bands: int) -> int:
    """The side of a square tile that keeps memory within some hundred MB whatever the scene."""
    side = math.isqrt(_ENTRIES // max(1, bands)) // ALIGN * ALIGN
    return max(2 * ALIGN, min(_LARGEST, side))


def cut(shape: tuple[int, int], side: int, halo: int | None) -> list[Window]:
    """The tiles of a scene, line by line.

    Args:
        shape: (lines, samples) of the scene.
        side: of a tile, rounded up to a multiple of ALIGN; the tiles of a scene have nearly equal
            sides, none larger than this and its context.
        halo: pixels that the result at a pixel depends on; None for blended tiles.
    """
    along_y, along_x = (_axis(n, side, halo) for n in shape)
    return [
        Window(y, x, inner_y, inner_x, weight_y, weight_x)
        for y, inner_y, weight_y in along_y
        for x, inner_x, weight_x in along_x
    ]


def _axis(
    length: int, side: int, halo: int | None
) -> list[tuple[slice, slice, NDArray[np.float32]]]:
    """(what is read, what is given back, its weights) of the tiles along one axis."""
    side = max(ALIGN, math.ceil(side / ALIGN) * ALIGN)
    count = math.ceil(length / side)
    # Nearly equal: a last tile of a few pixels would tell a method little.
    each = math.ceil(length / count / ALIGN) * ALIGN
    borders = [*range(0, length, each), length]
    found = []
    for start, stop in itertools.pairwise(borders):
        reach = _OVERLAP // 2 if halo is None else halo
        context = math.ceil(reach / ALIGN) * ALIGN
        read = slice(max(0, start - context), min(length, stop + context))
        if halo is not None:
            given = slice(start, stop)
            weight = np.ones(stop - start, np.float32)
        else:
            given = slice(max(0, start - reach), min(length, stop + reach))
            at = np.arange(given.start, given.stop) + 0.5
            weight = np.ones(len(at))
            if start > 0:
                weight = np.minimum(weight, np.clip(0.5 + (at - start) / _OVERLAP, 0, 1))
            if stop < length:
                weight = np.minimum(weight, np.clip(0.5 - (at - stop) / _OVERLAP, 0, 1))
            weight = weight.astype(np.float32)
        found.append((read, given, weight))
    return found


def _relative(inner: slice, outer: slice) -> slice:
    return slice(inner.start - outer.start, inner.stop - outer.start)
