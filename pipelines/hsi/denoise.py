"""A scene through a method, tile by tile: the same whatever the tiles and wherever they run.

    r_b^2 = mean ((y - x)^2 + std^2) / sigma_b^2

over the valid entries of band b is the squared residual of draws from the posterior whose mean is x
and whose standard deviation is std; it is 1 if the estimate explains the data. Methods without a
standard deviation follow the noise in part, and have less (`Denoised.residual`).

Signal that a method lost, which its residual shows (`misfit`), keeps its measured values and is
flagged as an outlier.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sciddm.classical.spectral.interface import Fitted, Method, SceneStatistics, Tile
from sciddm.physics.spectral.flags import NO_DATUM, Flag
from sciddm.physics.spectral.misfit import LIMIT, SelfReference, unexplained
from sciddm.physics.spectral.tiles import Window, cut, side_for
from sciddm.pipelines.hsi.assemble import Canvas, add
from sciddm.pipelines.hsi.cluster import here, on_cluster
from sciddm.pipelines.hsi.survey import Scene, Survey
from sciddm.progress import Progress
from sciddm.uncertainty.verdict import Finding

__all__ = ["Denoised", "denoise_scene", "middle_window", "statistics_of", "tile_at"]

_CALIBRATED = 128  # pixels, side of the part by which standard deviations are fitted to errors
_LINES = 32  # of a tile, that are looked at for dead entries at a time


@dataclass
class Denoised:
    """What a run leaves beside its canvases.

    Attributes:
        taken: (band,) root mean square of y - x over the valid entries of the used bands, in units
            of the survey's scale; NaN where a band has none.
        std: (band,) root mean square of the standard deviation over them; None without one.
        residual: (band,) r_b.
        attributes: of the method.
        tiles: how many.
        calibration: of the method, see `Fitted`.
        familiar: whether the scene is like those of the model's training.
        bands: correlation of errors of the used bands, where the method knows it.
    """

    taken: NDArray[np.float64]
    std: NDArray[np.float64] | None
    residual: NDArray[np.float64]
    attributes: dict[str, Any] = field(default_factory=dict)
    tiles: int = 0
    calibration: NDArray[np.float64] | None = None
    familiar: Finding = field(default_factory=Finding)
    bands: NDArray[np.float64] | None = None


def statistics_of(scene: Scene, known: Survey) -> SceneStatistics:
    """What a method is told of a scene, in units of the survey's scale."""
    wavelength = None
    if "wavelength" in scene.dataset.coords:
        wavelength = np.asarray(scene.dataset["wavelength"].values, np.float64)[known.used]
    entries = max(1, known.moments.count * len(known.dead))
    return SceneStatistics(
        shape=(scene.lines, scene.samples),
        sigma=known.noise.sigma / known.scale,
        moments=known.moments,
        wavelength_nm=wavelength,
        valid=1 - float(known.dead.sum()) / entries,
        scale=known.scale,
        mean_variance=known.noise.mean_variance(known.moments.count),
    )


def tile_at(
    scene: Scene, known: Survey, window: Window, hidden: NDArray[np.bool_] | None = None
) -> Tile:
    """A part of a scene as methods get it: stripes taken out, what is no datum marked as not valid.

    These hold what the other bands predict, so that no method trips over them. What is `hidden`,
    (band, y, x) of the window, is kept out like them.
    """
    y, x = window.y, window.x
    stored, _ = scene.read(y, x, np.flatnonzero(known.used))
    valid = (known.flags[:, y, x] & NO_DATUM) == 0
    if hidden is not None:
        valid &= ~hidden
    values = np.empty(stored.shape, np.float32)
    for start in range(0, stored.shape[1], _LINES):  # what is not kept is small
        part = (slice(None), slice(start, start + _LINES))
        lines = slice(y.start + start, min(y.stop, y.start + start + _LINES))
        filled, _ = known.noise.complete(stored[part], ~valid[part], x, lines)
        np.divide(filled, np.float32(known.scale), out=values[part])
    return Tile(values, valid, (y.start, x.start), window.inside)


def denoise_scene(
    scene: Scene,
    known: Survey,
    method: Method,
    canvas: Callable[[str], Canvas],
    *,
    seed: int,
    side: int | None = None,
    scheduler: str | None = None,
    progress: Progress | None = None,
) -> Denoised:
    """Fits the method to the scene and applies it to all tiles.

    Args:
        scene: the scene.
        known: what is known of it.
        method: what to do.
        canvas: makes an empty canvas for "values" or "std".
        seed: of all noise.
        side: of a tile, in pixels; by the number of bands if None.
        scheduler: address of a dask scheduler whose workers do the tiles; this process if None.
        progress: told how far it is.

    Raises:
        InputError: the method cannot be used on this scene, or the scheduler not be reached.
    """
    statistics = statistics_of(scene, known)
    fitted = method.fit(statistics)
    if method.has_std:
        fitted.calibrate(tile_at(scene, known, middle_window(scene, _CALIBRATED)), seed)
    bands = len(statistics.sigma)
    windows = cut((scene.lines, scene.samples), side or side_for(bands), fitted.halo)
    values = canvas("values")
    std: Canvas | None = None
    taken, spread, count = np.zeros(bands), np.zeros(bands), np.zeros(bands)
    attributes: dict[str, Any] = dict(fitted.attributes)
    steps = _Steps(progress, len(windows))
    unlike = SelfReference(known.moments, statistics.noise)
    shared = known.noise.correlation
    losses: list[tuple[Window, NDArray[np.uint8]]] = []
    tiles = (tile_at(scene, known, window) for window in windows)

    with ExitStack() as stack:
        if scheduler is None:
            apply = here
            work = _Work(fitted, statistics.noise, shared, unlike, seed, steps.within)
        else:
            apply = stack.enter_context(on_cluster(scheduler))
            work = _Work(fitted, statistics.noise, shared, unlike, seed, None)
        for window, done in zip(windows, apply(work, tiles), strict=True):
            add(values, window, done.values)
            if done.lost.any():
                losses.append((window, np.packbits(done.lost)))
            if done.std is not None:
                std = canvas("std") if std is None else std
                add(std, window, done.std)
            taken += done.taken
            spread += done.spread
            count += done.count
            attributes = _merged(attributes, done.attributes)
            steps.next()
    # Not before: the flags say which data a tile that shares these pixels gets.
    for window, packed in losses:
        place = (slice(None), window.inner_y, window.inner_x)
        marks = known.flags[place]
        lost = np.unpackbits(packed, count=marks.size).reshape(marks.shape)
        known.flags[place] = marks | lost * np.uint8(Flag.OUTLIER)
    count[count == 0] = np.nan
    residual = np.sqrt((taken + spread) / count) / statistics.noise
    return Denoised(
        taken=np.sqrt(taken / count),
        std=None if std is None else np.sqrt(spread / count),
        residual=residual,
        attributes=attributes,
        tiles=len(windows),
        calibration=fitted.calibration,
        familiar=fitted.familiarity(),
        bands=fitted.band_correlation(),
    )


def middle_window(scene: Scene, side: int) -> Window:
    """A square in the middle of a scene, without context."""
    y, x = (slice((n - min(n, side)) // 2, (n + min(n, side)) // 2) for n in _sizes(scene))
    ones = (np.ones(y.stop - y.start, np.float32), np.ones(x.stop - x.start, np.float32))
    return Window(y, x, y, x, *ones)


def _sizes(scene: Scene) -> tuple[int, int]:
    return scene.lines, scene.samples


@dataclass
class _Done:
    """A tile's result: what it gives back, the entries of which it lost signal (`misfit`), and sums
    of squares over its other valid entries."""

    values: NDArray[np.float32]
    std: NDArray[np.float32] | None
    lost: NDArray[np.bool_]
    taken: NDArray[np.float64]
    spread: NDArray[np.float64]
    count: NDArray[np.int64]
    attributes: dict[str, Any]


@dataclass
class _Work:
    """Applies a fitted method to tiles; can be sent to another machine."""

    fitted: Fitted
    noise: NDArray[np.float64]
    shared: NDArray[np.float64] | None
    unlike: SelfReference
    seed: int
    progress: Progress | None

    def __call__(self, tile: Tile) -> _Done:
        found = self.fitted.apply(tile, self.seed, self.progress)
        values = np.ascontiguousarray(found.values, np.float32)
        std = None if found.std is None else np.ascontiguousarray(found.std, np.float32)
        valid = tile.inner(tile.valid)
        noise = self.noise.astype(np.float32)[:, None, None]
        away = tile.inner(tile.values) - values
        lost = unexplained(away / noise, valid, self.shared)
        lost |= valid & self.unlike(tile.inner(tile.values))
        # Signal that was lost, and is kept, counts as a misfit at the limit.
        away = np.clip(away, -np.float32(LIMIT) * noise, np.float32(LIMIT) * noise)
        return _Done(
            values,
            std,
            lost,
            _squares(away, valid),
            np.zeros(len(values)) if std is None else _squares(std, valid),
            valid.sum(axis=(1, 2)),
            {k: v for k, v in found.attributes.items() if k != "chi2"},  # `taken` tells it
        )


def _squares(values: NDArray[np.float32], valid: NDArray[np.bool_]) -> NDArray[np.float64]:
    return np.asarray(np.where(valid, values**2, 0).sum(axis=(1, 2), dtype=np.float64))


def _merged(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """Attributes of all tiles: the largest of numbers, the rest as the first tile has it."""
    found = dict(one)
    for key, value in other.items():
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if key not in found:
            found[key] = value
        elif number:
            found[key] = max(found[key], value)
    return found


class _Steps:
    """Progress over all tiles, each of which may have steps of its own."""

    def __init__(self, progress: Progress | None, tiles: int) -> None:
        self._progress = progress
        self._tiles, self._done, self._each = tiles, 0, 1

    def within(self, done: int, total: int, what: str) -> None:
        self._each = max(1, total)
        if self._progress is not None:
            place = f"tile {self._done + 1} of {self._tiles}" if self._tiles > 1 else what
            self._progress(self._done * self._each + done, self._tiles * self._each, place)

    def next(self) -> None:
        self._done += 1
        if self._progress is not None:
            place = f"tile {self._done} of {self._tiles}"
            self._progress(self._done * self._each, self._tiles * self._each, place)
