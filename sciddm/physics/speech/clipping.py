"""Whether a recording was clipped, told by flat tops at any level.

A clipped wave stays at one value for several samples, with a steep way up to it or down from it,
and does so again and again at the same value, which is the largest there is. Full scale says
nothing: a recording can be clipped and turned down, a float file can go beyond 1 unharmed, and a
normalised one touches full scale once. A slow sine rounded to integers has flat tops too, but no
steep sides.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["FlatTops"]

_RUN = 3  # equal samples that make a flat top
_SAME = 1e-3  # of the extreme: tops this near to it are at it
_STEEP = 0.01  # of the extreme: the change beside a top
_LONGEST = 4096  # samples of a run that are kept from block to block
_QUIET = 1e-3  # extremes below this are rounding


class FlatTops:
    """Counts samples in flat tops at the extremes of each channel, block by block."""

    def __init__(self, channels: int) -> None:
        self._counts = np.zeros((2, channels), np.int64)
        self._extremes = np.zeros((2, channels))
        self._past = np.zeros((channels, 0))
        self._samples = 0

    def push(self, block: NDArray[Any]) -> None:
        """Takes the next samples (channel, n)."""
        self._samples += block.size
        wave = np.concatenate([self._past, block], axis=1)
        # Runs that go on in the next block are looked at there, with the sample before them.
        keep = min(wave.shape[1], max([_RUN, *map(_last_run, wave)]) + 1)
        for side, sign in enumerate((1.0, -1.0)):
            for channel, values in enumerate(sign * wave):
                self._count(side, channel, values, len(self._past[channel]))
        self._past = wave[:, -keep:].copy()

    @property
    def share(self) -> float:
        """Of all samples, those in flat tops at an extreme."""
        return float(self._counts.sum()) / max(1, self._samples)

    def _count(self, side: int, channel: int, values: NDArray[Any], old: int) -> None:
        top = float(values.max(initial=0.0))
        extreme = self._extremes[side, channel]
        if top > extreme * (1 + _SAME):
            self._counts[side, channel] = 0
        self._extremes[side, channel] = extreme = max(extreme, top)
        if extreme < _QUIET:
            return
        at_top = np.flatnonzero(values >= extreme * (1 - _SAME))
        if len(at_top) < _RUN:
            return
        equal = np.zeros(len(values) + 1, bool)  # sample k equals k - 1
        equal[1:-1] = values[1:] == values[:-1]
        starts = np.flatnonzero(equal[1:] & ~equal[:-1])  # first sample of each run
        stops = np.flatnonzero(equal[:-1] & ~equal[1:]) + 1
        high = values[starts] >= extreme * (1 - _SAME)
        long = stops - starts >= _RUN
        before = values[np.maximum(starts - 1, 0)]
        after = values[np.minimum(stops, len(values) - 1)]
        side_drop = np.maximum(values[starts] - before, values[starts] - after)
        done = (stops >= old) & (stops < len(values))
        counted = high & long & done & (side_drop > _STEEP * extreme)
        self._counts[side, channel] += int((stops - starts)[counted].sum())


def _last_run(values: NDArray[Any]) -> int:
    """Equal samples at the end, of those that are kept."""
    tail = values[-_LONGEST:]
    changes = np.flatnonzero(tail[1:] != tail[:-1])
    return len(tail) - 1 - int(changes[-1]) if len(changes) else len(tail)
