"""Whitened pixels of which some bands are missing, in the coefficients of a scene's subspace.

z_o = E_o c + n of the valid bands o, noise of variance 1; see `subspace` for what is done with it.
"""

from __future__ import annotations

from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from sciddm.pipelines.hsi.methods.components import Components
from sciddm.pipelines.hsi.methods.interface import Tile
from sciddm.pipelines.hsi.methods.lowrank import project
from sciddm.plane_streams import PlaneStreams

__all__ = ["GappedData"]

Array = NDArray[np.float32]
_PIXELS = 2**14  # with gaps, that are completed at a time
_SURROUNDINGS = (6.0, 2.0, 0.7)  # pixels, widths of the windows about a pixel with gaps
_FAITH = 0.02  # in a wider window's mean, in units of what a window of known pixels sees


class GappedData:
    """The whitened tile: what of it is known, and how coefficients complete it."""

    def __init__(self, white: Array, valid: NDArray[np.bool_], known: Components) -> None:
        self._white, self._valid, self._known = white, valid, known
        self._basis = known.basis.astype(np.float32)
        self._all = valid.all(axis=0)
        self._projected = np.tensordot(self._basis.T, white, 1)
        self._gaps = np.flatnonzero(~self._all.ravel())

    @classmethod
    def of(cls, tile: Tile, known: Components) -> Self:
        """The tile in units of its noise about the scene's mean."""
        noise, mean = (v.astype(np.float32)[:, None, None] for v in (known.noise, known.mean))
        white = np.where(tile.valid, (tile.values - mean) / noise, np.float32(0))
        return cls(white, tile.valid, known)

    def start(self) -> Array:
        """Gaussian posterior mean of each pixel with gaps, about the mean of its surroundings."""
        if not len(self._gaps):
            return self._projected
        basis, power = self._known.basis, self._known.power
        first = project(self._white, self._valid, basis, 1 / power)
        # Pixels count as far as they are known, those of which nothing is known not at all. What a
        # wide window says holds where a narrow one sees too little.
        weight = self._valid.mean(axis=0, dtype=np.float32) ** 4
        around = np.zeros_like(first)
        for width in _SURROUNDINGS:
            total = gaussian_filter(weight, width) + np.float32(_FAITH)
            for i, image in enumerate(first):
                seen = gaussian_filter(image * weight, width)
                around[i] = (seen + np.float32(_FAITH) * around[i]) / total
        return project(self._white, self._valid, basis, 4 / power, around)

    def join(self, expected: Array, level: float) -> Array:
        """Coefficients that fit the data of pixels with gaps and what is expected of them."""
        if not len(self._gaps):
            return expected
        power = self._known.power
        precision = (level**2 + power) / (level**2 * power)
        joined = project(self._white, self._valid, self._known.basis, precision, expected)
        return np.where(self._all, expected, joined)

    def complete(self, coefficients: Array) -> Array:
        """v = c + E_o^T (z_o - E_o c): E^T z where all is known."""
        return self._completed(coefficients, None)

    def draw(
        self, coefficients: Array, seed: int, number: int, step: int, origin: tuple[int, int]
    ) -> Array:
        """v with missing entries drawn as E_m c + noise."""
        streams = PlaneStreams(seed, [1_000_000 + number], origin, antithetic=True)
        # All bands at once would be as large as the tile itself; it is, and one of them is held.
        noise = streams.randn(torch.empty(1, *self._white.shape), step)[0].numpy()
        return self._completed(coefficients, noise)

    def _completed(self, coefficients: Array, noise: Array | None) -> Array:
        out = self._projected.copy()
        k, flat = len(out), out.reshape(len(out), -1)
        for start in range(0, len(self._gaps), _PIXELS):
            some = self._gaps[start : start + _PIXELS]
            missing = ~self._valid.reshape(len(self._valid), -1)[:, some]
            guess = self._basis @ coefficients.reshape(k, -1)[:, some]
            if noise is not None:
                guess = guess + noise.reshape(len(noise), -1)[:, some]
            flat[:, some] += self._basis.T @ np.where(missing, guess, 0)
        return out
