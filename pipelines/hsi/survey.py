"""What must be known of a scene before any part of it can be denoised, block by block.

First pass    which bands and pixels hold something, columns that are constant, and some lines, in
              which the noise is estimated
Second pass   mean and covariance of the bands over all pixels, dead entries replaced by what the
              other bands predict, and how many there are; the stripes over all lines

Both read blocks of whole lines, so memory does not grow with the scene.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from sciddm.classical.spectral.moments import Moments
from sciddm.data_adapters.hsi.cube import VALID, checked_cube, chunks_of
from sciddm.errors import InputError
from sciddm.physics.spectral.defects import REACH
from sciddm.physics.spectral.estimate import (
    NoiseModel,
    complete_stripes,
    fit_noise,
    told_apart,
    with_shared_noise,
)
from sciddm.physics.spectral.flags import NO_DATUM, Flag
from sciddm.physics.spectral.striping import Jumps, Offsets, column_jumps
from sciddm.progress import Progress

__all__ = ["FlagCanvas", "Scene", "Survey", "survey", "white_of"]

#: Entries that the noise is estimated from, and that are kept for stripes: 32 and 128 MB.
_FITTED, _KEPT = 2**23, 2**25
_LINES = 64  # at least, where a scene has them: a stripe is a median over them
_MOST_UNDECLARED = 3  # values that stand for none
_FEWEST, _LARGEST = 2, 1e30  # pixels; numbers
_SEVERAL = 4  # entries at a value that means something
_PILED = 3  # times the entries at the value below: where values were cut off
_ALONE = 20  # such entries, and times the entries at the value below, of a single band
_APART = 10.0  # times the range of all other values: a number that stands for none
_DEAD_COLUMN = 8  # pixels of a column that are the same by chance in no band with noise
_DOUBTFUL = 1.2  # times the noise
_WHITE = 99.5  # percentile that is called white where reflectance is not known
_REFLECTANCE = (0.05, 1.6)  # whites of cubes that are reflectance as they are


class Scene:
    """A lazy cube whose parts are read as floating-point numbers, with what is known of them.

    Args:
        dataset: in the form of `data_adapters.hsi.cube`.

    Raises:
        InputError: no cube of real numbers.
    """

    def __init__(self, dataset: xr.Dataset) -> None:
        self.dataset = checked_cube(dataset)
        self.cube = self.dataset["cube"]
        self.name = str(self.dataset.attrs.get("source", "the cube"))
        self.bands, self.lines, self.samples = self.cube.shape
        self._valid = None if VALID not in self.dataset else self.dataset[VALID].values.astype(bool)
        #: Values that stand for none though nothing says so, once they are found.
        self.undeclared: tuple[float, ...] = ()
        nodata = self.dataset.attrs.get("nodata")
        self._nodata = None if nodata is None else float(nodata)

    def read(
        self, y: slice, x: slice, bands: NDArray[np.intp] | slice = slice(None)
    ) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """(values, known): (band, y, x) as stored; known is False for NaN, infinity and nodata."""
        # Threads of this process, even where a cluster is at hand: the files may only be here.
        part = self.cube.data[:, y, x]
        values = part.compute(scheduler="threads") if hasattr(part, "compute") else np.array(part)
        values = values[bands]
        known = np.isfinite(values) if values.dtype.kind == "f" else np.ones(values.shape, bool)
        if self._valid is not None:
            known = known & self._valid[y, x]
        for value in self.undeclared:
            known &= values != value
        if self._nodata is not None and np.isfinite(self._nodata):
            known &= values != self._nodata
        return values, known

    def holds(self, line: int, sample: int) -> bool:
        """Whether a pixel, counted from 0, lies in the scene."""
        return 0 <= line < self.lines and 0 <= sample < self.samples

    def blocks(self) -> Iterator[slice]:
        """Slices of whole lines, of some 16 MB."""
        each = chunks_of(self.cube.shape, max(4, self.cube.dtype.itemsize))[1]
        for start in range(0, self.lines, each):
            yield slice(start, min(self.lines, start + each))


class _Values:
    """How often each band has its least and its largest value, and what comes next to them.

    Numbers that stand for "no value" without being declared, such as -9999, lie far outside of all
    others and are the same in many bands and pixels. A band that saturates has many entries at its
    largest value, far more than at the one below it: the tail of quantised noise has fewer.
    """

    def __init__(self, bands: int) -> None:
        self.low, self.high = np.full(bands, np.inf), np.full(bands, -np.inf)
        self.next_low, self.next_high = self.low.copy(), self.high.copy()
        self.at_low, self.at_high = np.zeros(bands, np.int64), np.zeros(bands, np.int64)
        self.at_next_low, self.at_next_high = self.at_low.copy(), self.at_high.copy()

    def add(self, values: NDArray[Any], known: NDArray[np.bool_]) -> None:
        """Takes in a block (band, y, x)."""
        for b in range(len(values)):
            seen = values[b][known[b]]
            if seen.size:
                self._add(b, seen.astype(np.float64))

    def _add(self, b: int, seen: NDArray[np.float64]) -> None:
        for sign, low, after, count, count_after in (
            (1, self.low, self.next_low, self.at_low, self.at_next_low),
            (-1, self.high, self.next_high, self.at_high, self.at_next_high),
        ):
            signed = sign * seen
            number: dict[float, int] = {}
            least = float(signed.min())
            rest = signed[signed > least]
            second = float(rest.min()) if rest.size else np.inf
            for value, times in (
                (least, int((signed == least).sum())),
                (second, int((rest == second).sum())),
                (sign * float(low[b]), int(count[b])),
                (sign * float(after[b]), int(count_after[b])),
            ):
                if np.isfinite(value):
                    number[value] = number.get(value, 0) + times
            first, *others = sorted(number)
            low[b], count[b] = sign * first, number[first]
            if others:
                after[b], count_after[b] = sign * others[0], number[others[0]]

    def undeclared(self) -> float | None:
        """The value that stands for none, if there is one."""
        for edge, after, count, other in (
            (self.low, self.next_low, self.at_low, self.high),
            (self.high, self.next_high, self.at_high, self.low),
        ):
            known = np.isfinite(edge) & np.isfinite(after) & np.isfinite(other)
            edge, after, other = (np.where(known, v, 0) for v in (edge, after, other))
            apart = known & (
                np.abs(edge - after) > _APART * np.maximum(np.abs(other - after), np.abs(after))
            )
            found = apart & (count >= _SEVERAL)
            values, number = np.unique(edge[found], return_counts=True)
            if len(values) and number.max() >= 2:
                return float(values[number.argmax()])
        return None

    def ceilings(self) -> NDArray[np.float64]:
        """(band,) the value at which a band saturates, infinity for none.

        Far more entries are at it than at the value below it, and it is the largest of several
        bands, or the difference alone is beyond doubt.
        """
        found = np.full(len(self.high), np.inf)
        many = (self.at_high >= _SEVERAL) & (self.at_high > _PILED * self.at_next_high)
        many &= np.isfinite(self.high)
        alone = many & (self.at_high >= _ALONE) & (self.at_high > _ALONE * self.at_next_high)
        found[alone] = self.high[alone]
        values, number = np.unique(self.high[many], return_counts=True)
        for value, bands in zip(values, number, strict=True):
            if bands >= 2:
                found[many & (self.high == value)] = value
        return found


class FlagCanvas(Protocol):
    """(band, y, x) uint8 of the used bands, all 0 at first, read and written part by part."""

    def __getitem__(self, index: Any, /) -> NDArray[Any]: ...

    def __setitem__(self, index: Any, values: Any, /) -> None: ...


@dataclass(frozen=True)
class Survey:
    """What is known of a scene.

    Attributes:
        used: (band,) bool, of the file: bands that hold something; the others stay as they are.
        nothing: (y, x) bool, pixels without a value in any band (nodata or 0 in all); they stay.
        noise: of the used bands, in the cube's unit.
        scale: what is white, in the cube's unit; methods see the cube divided by it.
        moments: of the used bands and all pixels but those without a value, dead entries replaced
            by what the other bands predict; in units of scale.
        dead: (band,) how many entries of the used bands were dead or stuck.
        flags: of the used bands: `Flag` of every entry.
        blind: whether sigma was estimated rather than given.
    """

    used: NDArray[np.bool_]
    nothing: NDArray[np.bool_]
    noise: NoiseModel
    scale: float
    moments: Moments
    dead: NDArray[np.int64]
    flags: FlagCanvas
    blind: bool

    @property
    def doubt(self) -> str:
        """What the scene leaves open about the noise, as a sentence; empty for nothing."""
        times = self.noise.doubt
        if not self.blind or times < _DOUBTFUL:
            return ""
        return (
            "Noise that bands share cannot be told from fine texture or brightness here: if the "
            f"sensor has some, noise is up to {times:.1f} times as large as stated, and intervals "
            "are too narrow. State a known noise with --noise-std."
        )


@dataclass
class _First:
    """What the first pass finds; all bands."""

    low: NDArray[np.floating[Any]]
    high: NDArray[np.floating[Any]]
    count: NDArray[np.int64]
    nothing: NDArray[np.bool_]
    lines: NDArray[np.intp]
    values: NDArray[np.float32]
    known: NDArray[np.bool_]
    jumps: Jumps
    extremes: _Values


def survey(
    scene: Scene,
    noise_std: ArrayLike | None = None,
    progress: Progress | None = None,
    canvas: Callable[[tuple[int, int, int]], FlagCanvas] | None = None,
) -> Survey:
    """Both passes over a scene.

    Args:
        scene: what to look at.
        noise_std: standard deviation of the noise in the cube's unit, one number or one per band
            of the file; estimated if None.
        progress: told of every block.
        canvas: makes an empty one for the flags, told its shape; in memory if None.

    Raises:
        InputError: no band holds a value, or there are too few to estimate the noise.
    """
    blocks = len(list(scene.blocks()))

    def tick(done: int) -> None:
        if progress is not None:
            progress(done, 2 * blocks, "looking at the noise")

    given = _given(noise_std, scene.bands)
    first = _first_pass(scene, tick)
    for _ in range(_MOST_UNDECLARED):
        value = first.extremes.undeclared()
        if value is None:
            break
        scene.undeclared += (value,)
        first = _first_pass(scene, tick)
    _check_size(scene, first)
    used = first.high.max(axis=1) > first.low.min(axis=1)
    if given is not None and used.any() and not np.isfinite(given[used]).all():
        raise InputError(f"{scene.name}: the noise is not given for all bands that hold something")
    if not used.any():
        raise InputError(
            f"{scene.name}: no band holds a value, all are NaN, 0, nodata or constant: give "
            "another file"
        )
    constant = (first.low == first.high) & (first.count >= min(_DEAD_COLUMN, scene.lines))
    constant = constant[used] if scene.lines >= 3 else np.zeros_like(constant[used])
    noise = _noise(scene, first, used, constant, None if given is None else given[used])
    scale = _scale(scene, first, used)
    shape = (int(used.sum()), scene.lines, scene.samples)
    flags = np.zeros(shape, np.uint8) if canvas is None else canvas(shape)
    ceilings = first.extremes.ceilings()[used]
    noise, moments, dead = _second_pass(
        scene, used, first, noise, scale, flags, ceilings, lambda done: tick(blocks + done)
    )
    return Survey(used, first.nothing, noise, scale, moments, dead, flags, given is None)


def _check_size(scene: Scene, first: _First) -> None:
    """Refuses numbers whose squares single precision cannot hold, and a single pixel."""
    if scene.lines * scene.samples < _FEWEST:
        raise InputError(
            f"{scene.name}: {scene.lines * scene.samples} pixel: noise is estimated from several, "
            "give a larger part of the scene"
        )
    seen = np.abs(np.concatenate([first.low.ravel(), first.high.ravel()]).astype(np.float64))
    largest = float(seen[np.isfinite(seen)].max(initial=0.0))
    if largest > _LARGEST:
        raise InputError(
            f"{scene.name}: holds numbers up to {largest:.2g}: declare that one as nodata, or "
            "write the cube in another unit"
        )


def _given(noise_std: ArrayLike | None, bands: int) -> NDArray[np.float64] | None:
    if noise_std is None:
        return None
    given = np.asarray(noise_std, np.float64)
    if given.ndim > 1 or (given.ndim == 1 and len(given) != bands):
        raise InputError(f"noise for {given.size} bands, but the cube has {bands}: give one each")
    if not (given[np.isfinite(given)] >= 0).all():
        raise InputError("a standard deviation of noise is 0 or more")
    return np.array(np.broadcast_to(given, bands))


def _first_pass(scene: Scene, tick: Callable[[int], None]) -> _First:
    shape = (scene.bands, scene.samples)
    count = max(_LINES, _FITTED // (scene.bands * scene.samples))
    count = min(scene.lines, count, max(8, _KEPT // (scene.bands * scene.samples)))
    lines = np.unique(np.linspace(0, scene.lines - 1, count).round().astype(np.intp))
    first = _First(
        np.full(shape, np.inf),
        np.full(shape, -np.inf),
        np.zeros(shape, np.int64),
        np.zeros((scene.lines, scene.samples), bool),
        lines,
        np.zeros((scene.bands, len(lines), scene.samples), np.float32),
        np.zeros((scene.bands, len(lines), scene.samples), bool),
        Jumps(*(np.full((scene.bands, max(0, scene.lines - 1)), np.nan) for _ in range(2))),
        _Values(scene.bands),
    )
    last: tuple[NDArray[Any], NDArray[np.bool_]] | None = None
    for number, block in enumerate(scene.blocks()):
        values, known = scene.read(block, slice(None))
        nothing = ~(known & (values != 0)).any(axis=0)
        known &= ~nothing
        first.extremes.add(values, known)
        first.nothing[block] = nothing
        largest, least = _limits(values.dtype)
        np.minimum(first.low, np.where(known, values, largest).min(axis=1), out=first.low)
        np.maximum(first.high, np.where(known, values, least).max(axis=1), out=first.high)
        first.count[...] += known.sum(axis=1)
        here = (lines >= block.start) & (lines < block.stop)
        with np.errstate(over="ignore"):  # numbers beyond single precision are named later
            first.values[:, here] = np.where(known, values, 0)[:, lines[here] - block.start]
        first.known[:, here] = known[:, lines[here] - block.start]
        # Differences of lines, which only neighbours tell, with the last one of the block before.
        pair = (values, known)
        if last is not None:
            pair = (
                np.concatenate([last[0], values], axis=1),
                np.concatenate([last[1], known], axis=1),
            )
        jumps = column_jumps(np.swapaxes(pair[0], 1, 2), np.swapaxes(pair[1], 1, 2))
        start = block.start - (last is not None)
        place = slice(start, start + jumps.middle.shape[1])
        first.jumps.middle[:, place], first.jumps.error[:, place] = jumps
        last = values[:, -1:], known[:, -1:]
        tick(number + 1)
    return first


def _noise(
    scene: Scene,
    first: _First,
    used: NDArray[np.bool_],
    constant: NDArray[np.bool_],
    given: NDArray[np.float64] | None,
) -> NoiseModel:
    values, known = first.values[used], first.known[used]
    bands, _, samples = values.shape
    columns_, lines = _offsets(first, used)
    offsets = None
    if columns_.values.any() or lines.values.any():
        offsets = columns_.values[:, None] + lines.values[:, first.lines, None]
    step = -(-values.size // _FITTED)  # every so many columns are enough for the regression
    columns = slice(None, None, step)
    try:
        part = np.ascontiguousarray(values[..., columns]), known[..., columns]
        some = None if offsets is None else offsets[..., columns]
        noise = fit_noise(*part, constant[:, columns], some)
        if step > 1:
            noise = complete_stripes(noise, values, known, constant, offsets)
        noise = replace(
            noise,
            stripes=noise.stripes + columns_.values,
            lines=lines.values,
            offset_std=np.hypot(columns_.std, lines.std),
        )
        if given is None:
            width = max(2, samples // step)  # columns next to each other, about the middle
            near = slice((samples - width) // 2, (samples - width) // 2 + width)
            noise = with_shared_noise(noise, values[..., near], known[..., near], near, first.lines)
    except InputError as error:
        if given is None:
            raise InputError(f"{scene.name}: {error}") from error
        # Nothing to predict a band from: nothing is called dead but what is constant.
        ones = np.ones(bands)
        noise = NoiseModel(
            sigma=given,
            stripes=np.zeros((bands, samples)),
            constant=constant,
            centre=np.array([v[k].mean() for v, k in zip(values, known, strict=True)]),
            scale=ones,
            mean=0 * ones,
            beta=np.zeros((bands, bands)),
            spread=np.inf * ones,
            damping=1.0,
            stuck=np.full((bands, 1), np.nan, np.float32),
            lines=np.zeros((bands, scene.lines)),
            offset_std=np.zeros(bands),
            rate=np.zeros(bands),
            defective=np.zeros(bands, bool),
        )
    if given is None:
        return noise
    # Where most of a band is impulses its own spread tells nothing; the noise that is given does.
    own = given / noise.scale
    expected = np.sqrt(own**2 + noise.beta**2 @ own**2)
    return replace(noise, sigma=given, spread=np.minimum(noise.spread, expected))


def _offsets(first: _First, used: NDArray[np.bool_]) -> tuple[Offsets, Offsets]:
    """Offsets of all columns, and of all lines."""
    lines = Jumps(first.jumps.middle[used], first.jumps.error[used])
    return told_apart(first.values[used], first.known[used], lines)


def _second_pass(
    scene: Scene,
    used: NDArray[np.bool_],
    first: _First,
    noise: NoiseModel,
    scale: float,
    flags: FlagCanvas,
    ceilings: NDArray[np.float64],
    tick: Callable[[int], None],
) -> tuple[NoiseModel, Moments, NDArray[np.int64]]:
    chosen = np.flatnonzero(used)
    moments = Moments(noise.centre / scale)
    dead = np.zeros(len(chosen), np.int64)
    left, seen = np.zeros(noise.stripes.shape), np.zeros(noise.stripes.shape, np.int64)
    for number, block in enumerate(scene.blocks()):
        # With the lines around it, which flags depend on.
        around = slice(max(0, block.start - REACH), min(scene.lines, block.stop + REACH))
        values, known = scene.read(around, slice(None), chosen)
        marks = noise.inspect(values, known & ~first.nothing[around], lines=around)
        inside = slice(block.start - around.start, block.stop - around.start)
        values, marks = values[:, inside], marks[:, inside]
        something = ~first.nothing[block]
        np.copyto(marks, np.uint8(Flag.OUTSIDE), where=~something)
        full = (values >= ceilings[:, None, None]) & ((marks & NO_DATUM) == 0)
        marks |= full * np.uint8(Flag.SATURATED)
        flags[:, block] = marks
        dead += ((marks & (Flag.DEAD | Flag.STUCK)) != 0).sum(axis=(1, 2))
        good = (marks & NO_DATUM) == 0
        filled, residual = noise.complete(values, ~good, lines=block)
        left += np.where(good, residual, 0).sum(axis=1, dtype=np.float64)
        seen += good.sum(axis=1)
        moments.add(filled / np.float32(scale), something)
        tick(number + 1)
    if len(first.lines) < scene.lines:
        # Some lines found the stripes; all of them say how large they are.
        refined = noise.stripes + np.where(noise.stripes != 0, left / np.maximum(seen, 1), 0)
        noise = replace(noise, stripes=refined)
    return noise, moments, dead


def _scale(scene: Scene, first: _First, used: NDArray[np.bool_]) -> float:
    values, known = first.values[used], first.known[used]
    # Where what holds something lies between the lines that were kept, the largest number says.
    return white_of(scene.dataset, values[known], float(np.abs(first.high[used]).max()))


def white_of(dataset: xr.Dataset, values: NDArray[Any], otherwise: float) -> float:
    """What reflectance 1 is in the cube's unit, where it is known or likely; else what is white.

    Args:
        dataset: the cube.
        values: those that are known, or a sample of them.
        otherwise: what is returned where there is none.
    """
    header = dataset.attrs.get("envi_header") or {}
    try:
        stated = float(header.get("reflectance scale factor", "nan"))
    except (TypeError, ValueError):
        stated = float("nan")
    if np.isfinite(stated) and stated > 0:
        return stated
    if not values.size:
        return max(otherwise, 1e-30)
    white = float(np.percentile(np.abs(values), _WHITE))
    low, high = _REFLECTANCE
    if dataset["cube"].dtype.kind == "f" and low <= white <= high:
        return 1.0
    return white if white > 0 else 1.0


def _limits(dtype: np.dtype[Any]) -> tuple[Any, Any]:
    if dtype.kind == "f":
        return dtype.type(np.inf), dtype.type(-np.inf)
    info = np.iinfo(dtype)
    return dtype.type(info.max), dtype.type(info.min)
