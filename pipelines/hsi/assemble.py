"""Results of tiles become a cube again, in memory or in a file, in the type of the original."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import dask.array as da
import numpy as np
from numpy.typing import NDArray

from sciddm.data_adapters.hsi.cube import lazy_cube
from sciddm.data_adapters.hsi.raw import RawCube
from sciddm.physics.spectral.flags import REPLACED, Flag
from sciddm.physics.spectral.tiles import Window
from sciddm.pipelines.hsi.survey import Scene, Survey

__all__ = [
    "Canvas",
    "MakeCanvas",
    "add",
    "canvases_in",
    "finished",
    "finished_flags",
    "in_file",
    "in_memory",
]


#: Canvases up to so many bytes stay in memory.
_IN_MEMORY = 2**27


class Canvas(Protocol):
    """(band, y, x) float32 of the used bands, all 0 at first, read and written part by part."""

    def __getitem__(self, index: Any, /) -> NDArray[Any]: ...

    def __setitem__(self, index: Any, values: Any, /) -> None: ...


class MakeCanvas(Protocol):
    """Makes an empty canvas, told its name, its shape and its kind of number."""

    def __call__(self, name: str, shape: tuple[int, int, int], kind: str, /) -> Canvas: ...


def in_memory(shape: tuple[int, int, int], kind: str = "<f4") -> NDArray[Any]:
    """A canvas in memory."""
    return np.zeros(shape, kind)


def in_file(path: Path, shape: tuple[int, int, int], kind: str = "<f4") -> RawCube:
    """A canvas in a new file, which takes as much room as a cube of that kind of number."""
    # All bands of a pixel beside each other: tiles and blocks of lines are both read in long runs.
    canvas = RawCube(path, np.dtype(kind), 0, shape, "bip")
    canvas.create()
    return canvas


def canvases_in(folder: Callable[[], Path]) -> MakeCanvas:
    """Makes canvases, small ones in memory, others in files.

    Args:
        folder: gives the folder of the files, once one is needed.
    """

    def make(name: str, shape: tuple[int, int, int], kind: str) -> Canvas:
        small = np.dtype(kind).itemsize * math.prod(shape) <= _IN_MEMORY
        return in_memory(shape, kind) if small else in_file(folder() / name, shape, kind)

    return make


def add(canvas: Canvas, window: Window, values: NDArray[np.floating[Any]]) -> None:
    """What a tile gives back goes to its place, with its share where tiles are blended.

    Args:
        canvas: to put it on.
        window: the tile.
        values: (band, y, x) of what it gives back.
    """
    place = (slice(None), window.inner_y, window.inner_x)
    if window.blended:
        canvas[place] = canvas[place] + window.weight * values
    else:
        canvas[place] = values


def finished(
    scene: Scene, known: Survey, canvas: Canvas, *, spread: bool, fill: bool = False
) -> da.Array:
    """The cube of a result: lazy, of all bands, in the unit of the original.

    Entries without a value stay without one, and outliers are as they were measured, less their
    stripe, with the noise of their band as their standard deviation.

    Args:
        scene: the original.
        known: what is known of it.
        canvas: estimate or standard deviation of the used bands, in units of the survey's scale.
        spread: it is a standard deviation: float32, NaN where nothing was denoised. Else it has
            the type of the original, rounded where that is an integer, and its values where
            nothing was denoised.
        fill: gaps get the estimate.
    """
    return _lazy(_Finished(scene, known, canvas, spread, fill))


def finished_flags(scene: Scene, known: Survey, *, fill: bool = False) -> da.Array:
    """The quality layer of a result: lazy, of all bands, uint8 (`flags.Flag`)."""
    return _lazy(_Flags(scene, known, fill))


def _lazy(cube: _Computed) -> da.Array:
    return lazy_cube(cube, False)


class _Computed(ABC):
    """A cube that is computed when it is indexed, by slices or numbers."""

    ndim = 3
    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    def __getitem__(self, index: Any) -> NDArray[Any]:
        parts = [slice(i, i + 1) if isinstance(i, int | np.integer) else i for i in index]
        single = tuple(0 if isinstance(i, int | np.integer) else slice(None) for i in index)
        return np.asarray(self.part(*parts)[single])

    @abstractmethod
    def part(self, bands: slice, y: slice, x: slice) -> NDArray[Any]:
        """(band, y, x) of a part."""


class _Flags(_Computed):
    """The quality layer."""

    dtype = np.dtype(np.uint8)

    def __init__(self, scene: Scene, known: Survey, fill: bool) -> None:
        self.known, self.fill = known, fill
        self.shape = scene.cube.shape

    def part(self, bands: slice, y: slice, x: slice) -> NDArray[np.uint8]:
        """See `_Computed`."""
        chosen = np.arange(self.shape[0])[bands]
        used = self.known.used[chosen]
        place = np.cumsum(self.known.used)[chosen[used]] - 1
        marks = self.known.flags[:, y, x][place]
        if self.fill:
            gap = (marks & Flag.GAP) != 0
            marks = np.where(gap, (marks & ~np.uint8(Flag.GAP)) | np.uint8(Flag.FILLED), marks)
        noise = self.known.noise
        striped = (noise.stripes[place][:, x] != 0)[:, None] | (noise.lines[place][:, y] != 0)[
            :, :, None
        ]
        here = (marks & (Flag.OUTSIDE | Flag.GAP | REPLACED)) == 0
        marks = np.where(striped & here, marks | np.uint8(Flag.STRIPED), marks)
        out = np.full((len(chosen), *marks.shape[1:]), np.uint8(Flag.OUTSIDE))
        out[used] = marks
        return out


class _Finished(_Computed):
    """The estimate or its standard deviation."""

    def __init__(
        self, scene: Scene, known: Survey, canvas: Canvas, spread: bool, fill: bool
    ) -> None:
        self.scene, self.known, self.canvas = scene, known, canvas
        self.spread, self.fill = spread, fill
        self.shape = scene.cube.shape
        self.dtype = np.dtype(np.float32) if spread else scene.cube.dtype
        nodata = scene.dataset.attrs.get("nodata")
        self._nodata = None if nodata is None else float(nodata)

    def part(self, bands: slice, y: slice, x: slice) -> NDArray[Any]:
        """See `_Computed`."""
        chosen = np.arange(self.shape[0])[bands]
        used = self.known.used[chosen]
        place = np.cumsum(self.known.used)[chosen[used]] - 1
        estimate, marks = self.canvas[:, y, x], self.known.flags[:, y, x]
        scale = np.float32(self.known.scale)
        stored, _ = self.scene.read(y, x, chosen)
        out = np.full(stored.shape, np.nan, np.float32) if self.spread else stored
        left = np.uint8(Flag.OUTSIDE if self.fill else Flag.OUTSIDE | Flag.GAP)
        # Band by band: of a whole block a dozen copies would be made, some in double precision.
        for band, number in zip(np.flatnonzero(used), place, strict=True):
            outlier = (marks[number] & Flag.OUTLIER) != 0
            if self.spread:
                own = np.float32(self.known.noise.sigma[number])
                values = np.where(outlier, own, estimate[number] * scale)
                left_over = self._left_over(number, x)
                values = np.hypot(values, left_over) if left_over.any() else values
            else:
                noise = self.known.noise
                offset = noise.stripes[number, x] + noise.lines[number, y][:, None]
                measured = stored[band] - offset.astype(np.float32)
                values = self._typed(np.where(outlier, measured, estimate[number] * scale))
            np.copyto(out[band], values, where=(marks[number] & left) == 0)
        return out

    def _left_over(self, number: int, x: slice) -> NDArray[np.float32]:
        """(x,) or one: standard deviation of what is left of offsets.

        The offset of a single column is a mean over its lines, less the level of those without one.
        """
        noise = self.known.noise
        if noise.offset_std[number]:
            return np.asarray(noise.offset_std[number], np.float32)
        striped = noise.stripes[number] != 0
        if not striped.any():
            return np.zeros(1, np.float32)
        free = max(float((~striped).mean()), 1 / len(striped))
        error = noise.sigma[number] / np.sqrt(self.shape[1] * free)
        return np.where(striped[x], np.float32(error), np.float32(0))

    def _typed(self, estimate: NDArray[np.float32]) -> NDArray[Any]:
        if self.dtype.kind == "f":
            return estimate.astype(self.dtype)
        info = np.iinfo(self.dtype.name)
        # Within the type: the largest float32 below 2^31 is not 2^31 - 1.
        rounded = np.clip(np.rint(estimate.astype(np.float64)), info.min, info.max)
        if self._nodata is not None:
            # A value that would read as "nothing here" moves by one.
            step = -1 if self._nodata >= info.max else 1
            rounded[rounded == self._nodata] += step
        for value in self.scene.undeclared:
            rounded[rounded == value] += 1
        return rounded.astype(self.dtype)
