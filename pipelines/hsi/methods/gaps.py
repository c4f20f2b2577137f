"""Whitened pixels of which some bands are missing, in the coefficients of a scene's subspace.

z_o = E_o c + n of the valid bands o, noise of variance 1; see `subspace` for what is done with it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from sciddm.classical.spectral.components import Components
from sciddm.classical.spectral.interface import Tile
from sciddm.classical.spectral.lowrank import project
from sciddm.random.plane_streams import PlaneStreams

__all__ = ["GappedData"]

Array = NDArray[np.float32]
_PIXELS = 2**14  # of which all bands are looked at at a time
_LINES = 32  # those of the streams' squares, where tiles are aligned to them
_SURROUNDINGS = (6.0, 2.0, 0.7)  # pixels, widths of the windows about a pixel with gaps
_FAITH = 0.02  # in a wider window's mean, in units of what a window of known pixels sees


class GappedData:
    """A tile in units of its noise about the scene's mean: E^T z of all pixels, and all bands of
    those with gaps, which are few in most scenes.

    Args:
        tile: what was measured.
        known: of the scene.
    """

    def __init__(self, tile: Tile, known: Components) -> None:
        self._known, self._origin = known, tile.origin
        self._basis, self._dual = (m.astype(np.float32) for m in (known.basis, known.dual))
        noise, mean = (v.astype(np.float32)[:, None] for v in (known.noise, known.centre))
        bands, *self._shape = tile.values.shape
        values, valid = tile.values.reshape(bands, -1), tile.valid.reshape(bands, -1)
        self._projected = np.empty((self._basis.shape[1], values.shape[1]), np.float32)
        gaps, white = [], []
        for start in range(0, values.shape[1], _PIXELS):
            part = slice(start, start + _PIXELS)
            here = np.where(valid[:, part], (values[:, part] - mean) / noise, np.float32(0))
            self._projected[:, part] = self._dual.T @ here
            some = np.flatnonzero(~valid[:, part].all(axis=0))
            gaps.append(start + some)
            white.append(here[:, some])
        self._gaps = np.concatenate(gaps)
        self._white = np.concatenate(white, axis=1)
        self._valid = valid[:, self._gaps]

    def _image(self, coefficients: Array) -> Array:
        return coefficients.reshape(len(coefficients), *self._shape)

    def _solved(self, precision: NDArray[Any], expected: Array | None = None) -> Array:
        """(k, pixel with gaps): what `project` makes of them, about `expected` (k, pixel)."""
        middle = None if expected is None else expected[:, None, self._gaps]
        white, valid = self._white[:, None], self._valid[:, None]
        return project(white, valid, self._known.basis, precision, middle)[:, 0]

    def start(self) -> Array:
        """Gaussian posterior mean of each pixel with gaps, about the mean of its surroundings."""
        if not len(self._gaps):
            return self._image(self._projected)
        power = self._known.power
        found = self._projected.copy()
        found[:, self._gaps] = self._solved(1 / power)
        first = self._image(found)
        # Pixels count as far as they are known, those of which nothing is known not at all. What a
        # wide window says holds where a narrow one sees too little.
        weight = np.ones(first[0].size, np.float32)
        weight[self._gaps] = self._valid.mean(axis=0, dtype=np.float32) ** 4
        weight = weight.reshape(first[0].shape)
        around = np.zeros_like(first)
        for width in _SURROUNDINGS:
            total = gaussian_filter(weight, width) + np.float32(_FAITH)
            for i, image in enumerate(first):
                seen = gaussian_filter(image * weight, width)
                around[i] = (seen + np.float32(_FAITH) * around[i]) / total
        found[:, self._gaps] = self._solved(4 / power, around.reshape(*found.shape))
        return first

    def join(self, expected: Array, level: float) -> Array:
        """Coefficients that fit the data of pixels with gaps and what is expected of them."""
        if not len(self._gaps):
            return expected
        power = self._known.power
        precision = (level**2 + power) / (level**2 * power)
        flat = expected.reshape(*self._projected.shape).copy()
        flat[:, self._gaps] = self._solved(precision, flat)
        return self._image(flat)

    def complete(self, coefficients: Array) -> Array:
        """v = c + E_o^T (z_o - E_o c): E^T z where all is known."""
        return self._completed(coefficients, None)

    def draw(self, coefficients: Array, seed: int, number: int, step: int) -> Array:
        """v with missing entries drawn as E_m c + noise."""
        return self._completed(coefficients, self._noise(seed, 1_000_000 + number, step))

    def _noise(self, seed: int, item: int, step: int) -> Array:
        """(band, pixel with gaps) of the streams of the scene's plane."""
        height, width = self._shape
        out = np.empty(self._white.shape, np.float32)
        for top in range(0, height, _LINES):  # all bands of some lines, not of the tile
            lines = min(_LINES, height - top)
            first, last = np.searchsorted(self._gaps, [top * width, (top + lines) * width])
            if first < last:
                y, x = self._origin
                streams = PlaneStreams(seed, [item], (y + top, x), antithetic=True)
                drawn = streams.randn(torch.empty(1, len(out), lines, width), step)[0].numpy()
                chosen = self._gaps[first:last] - top * width
                out[:, first:last] = drawn.reshape(len(out), -1)[:, chosen]
        return out

    def _completed(self, coefficients: Array, noise: Array | None) -> Array:
        out = self._projected.copy()
        flat = coefficients.reshape(*out.shape)
        for start in range(0, len(self._gaps), _PIXELS):
            part = slice(start, start + _PIXELS)
            some = self._gaps[part]
            guess = self._basis @ flat[:, some]
            if noise is not None:
                guess += noise[:, part]
            out[:, some] += self._dual.T @ np.where(self._valid[:, part], np.float32(0), guess)
        return self._image(out)
