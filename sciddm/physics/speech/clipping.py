"""Whether a recording was clipped, told by flat tops at any level.

A clipped wave stays at one value for several samples, with a steep way up to it or down from it,
and does so again and again at the same value, which is the largest there is. Full scale says
nothing: a recording can be clipped and turned down, a float file can go beyond 1 unharmed, and a
normalised one touches full scale once. Values count as one if they differ by the dither of 16 bits
or less. A slow sine rounded to integers has flat tops too, but no sides that are steep beside the
steps of its integers. One bang that stays at full scale is one top: the recording is not clipped.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["FlatTops"]

_RUN = 3  # equal samples that make a flat top
_SAME = 2e-3  # of the extreme: values this near to each other are one
_STEEP = 0.01  # of the extreme: the change beside a top
_STEPS = 4  # the change beside a top in steps of the recording's integers, at least
_TOPS = 3  # fewer tops are a bang
_LONGEST = 4096  # samples of a run that are kept from block to block
_QUIET = 1e-3  # extremes below this are rounding


class FlatTops:
    """Counts samples in flat tops at the extremes of each channel, block by block."""

    def __init__(self, channels: int) -> None:
        self._counts = np.zeros((2, channels), np.int64)
        self._tops = np.zeros((2, channels), np.int64)
        self._step = np.inf  # the smallest difference between two samples
        self._extremes = np.zeros((2, channels))
        self._past = np.zeros((channels, 0))
        self._samples = 0

    def push(self, block: NDArray[Any]) -> None:
        """Takes the next samples (channel, n)."""
        self._samples += block.size
        wave = np.concatenate([self._past, block], axis=1)
        changes = np.abs(np.diff(wave))
        self._step = min(self._step, float(changes.min(initial=np.inf, where=changes > 0)))
        for side, sign in enumerate((1.0, -1.0)):
            for channel, values in enumerate(sign * wave):
                self._count(side, channel, values, len(self._past[channel]))
        # Runs that go on in the next block are looked at there, with the sample before them.
        runs = [_last_top(w, e) for w, e in zip(wave, self._extremes.T, strict=True)]
        keep = min(wave.shape[1], max(_RUN, *runs) + 1)
        self._past = wave[:, -keep:].copy()

    @property
    def share(self) -> float:
        """Of all samples, those in flat tops at an extreme."""
        return float(self._counts[self._tops >= _TOPS].sum()) / max(1, self._samples)

    def _count(self, side: int, channel: int, values: NDArray[Any], old: int) -> None:
        top = float(values.max(initial=0.0))
        extreme = self._extremes[side, channel]
        if top > extreme * (1 + _SAME):
            self._counts[side, channel] = self._tops[side, channel] = 0
        self._extremes[side, channel] = extreme = max(extreme, top)
        if extreme < _QUIET:
            return
        at_top = np.flatnonzero(values >= extreme * (1 - _SAME))
        if len(at_top) < _RUN:
            return
        equal = np.zeros(len(values) + 1, bool)  # sample k equals k - 1
        equal[1:-1] = np.abs(np.diff(values)) <= _SAME * extreme
        starts = np.flatnonzero(equal[1:] & ~equal[:-1])  # first sample of each run
        stops = np.flatnonzero(equal[:-1] & ~equal[1:]) + 1
        high = values[starts] >= extreme * (1 - _SAME)
        long = stops - starts >= _RUN
        before = values[np.maximum(starts - 1, 0)]
        after = values[np.minimum(stops, len(values) - 1)]
        side_drop = np.maximum(values[starts] - before, values[starts] - after)
        done = (stops >= old) & (stops < len(values))
        steep = max(_STEEP * extreme, (_STEPS - 0.5) * self._step)
        counted = high & long & done & (side_drop > steep)
        self._counts[side, channel] += int((stops - starts)[counted].sum())
        self._tops[side, channel] += int(counted.sum())


def _last_top(values: NDArray[Any], extremes: NDArray[np.float64]) -> int:
    """Samples at the end that lie at one of the two extremes, of those that are kept."""
    tail = values[-_LONGEST:]
    limits = extremes * (1 - _SAME)
    away = np.flatnonzero((tail < limits[0]) & (-tail < limits[1]))
    return len(tail) - 1 - int(away[-1]) if len(away) else len(tail)
