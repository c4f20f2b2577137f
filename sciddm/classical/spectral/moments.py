"""Mean and covariances of a scene, gathered block by block.

Beside the covariance C of the pixels there is that of neighbours,

    N = mean of (y_p - m)(y_q - m)^T, made symmetric, over all p, q next to each other
                                                                 (diagonally too)

The noise of two pixels is independent, so N holds none of it, and the signal of neighbours is
nearly the same. e^T N e tells how much structure a direction e holds also where noise is stronger
than it (the idea of the minimum noise fraction transform; Green et al., 1988).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["NEIGHBOURS", "Moments"]

Array = NDArray[np.float64]


#: (down, right) from a pixel to those that are its neighbours, each pair once.
NEIGHBOURS = ((1, 0), (0, 1), (1, 1), (1, -1))


def _shifted(values: NDArray[Any], down: int, right: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """Parts of (..., y, x) whose entries are so far apart."""
    height, width = values.shape[-2:]
    top, left = max(0, -right), max(0, right)
    return (
        values[..., : height - down, top : width - left],
        values[..., down:, left : width - top],
    )


class Moments:
    """Sums over pixels, from which the moments follow; two of them can be added.

    Sums are taken about `origin`, a value near the mean, so that they lose no digits.

    Args:
        origin: (band,), for instance each band's median.
    """

    def __init__(self, origin: NDArray[np.floating[Any]]) -> None:
        bands = len(origin)
        self.origin = np.asarray(origin, np.float64)
        self.count = 0
        self.pairs = 0
        self._sum = np.zeros(bands)
        self._square = np.zeros((bands, bands))
        self._product = np.zeros((bands, bands))
        self._pair_sum = np.zeros(bands)

    def add(
        self, values: NDArray[np.floating[Any]], known: NDArray[np.bool_] | None = None
    ) -> None:
        """Takes in a block.

        Args:
            values: (band, y, x), without stripes, dead entries replaced by predictions of them.
            known: (y, x) bool, pixels that are to be counted; all if None.
        """
        shape = values.shape[1:]
        kept = np.ones(shape, bool) if known is None else known
        z = np.where(kept, values - self.origin[:, None, None], 0.0)
        flat = z.reshape(len(z), -1)
        self.count += int(kept.sum())
        self._sum += flat.sum(axis=1)
        self._square += flat @ flat.T
        for down, across in NEIGHBOURS:
            one, two = _shifted(kept, down, across)
            first, second = _shifted(z, down, across)
            both = one & two
            left, right = first[:, both], second[:, both]
            self.pairs += left.shape[1]
            self._pair_sum += 0.5 * (left.sum(axis=1) + right.sum(axis=1))
            product = left @ right.T
            self._product += 0.5 * (product + product.T)

    def merge(self, other: Moments) -> None:
        """Takes in all that another one of the same origin has seen."""
        if not np.array_equal(self.origin, other.origin):
            raise ValueError("moments about different origins cannot be added")
        self.count += other.count
        self.pairs += other.pairs
        for name in ("_sum", "_square", "_product", "_pair_sum"):
            getattr(self, name).__iadd__(getattr(other, name))

    @property
    def mean(self) -> Array:
        """(band,)."""
        return np.asarray(self.origin + self._sum / max(self.count, 1))

    @property
    def covariance(self) -> Array:
        """(band, band), noise included."""
        mean = self._sum / max(self.count, 1)
        return np.asarray(self._square / max(self.count, 1) - np.outer(mean, mean))

    @property
    def neighbours(self) -> Array:
        """(band, band), without noise: N above."""
        mean = self._pair_sum / max(self.pairs, 1)
        return np.asarray(self._product / max(self.pairs, 1) - np.outer(mean, mean))
