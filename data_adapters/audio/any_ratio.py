"""Sampling rate conversion by any ratio, block by block, in memory that the ratio does not change.

The output at time t of the input, t = j p / q for j = 0, 1, ..., is

    y_j = c sum_n x_n h(c (n - t)),      h(u) = sinc(u) I0(beta sqrt(1 - (u / Z)^2)) / I0(beta)

with c = rolloff min(1, q / p) and Z zero crossings to each side: the windowed sinc of `resample`,
whose table of all phases has q rows and can take gigabytes. Here the table has 1024 rows, and
phases between two of them are interpolated linearly, which errs by (pi c / 1024)^2 / 24 < 4e-7.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

__all__ = ["AnyRatio"]

_PHASES = 1024
_AT_ONCE = 2**13  # outputs that are computed together


class AnyRatio:
    """Converts consecutive blocks; sample 0 stays at time 0.

    Args:
        rate: of the input in Hz.
        new_rate: of the output in Hz.
        zero_crossings: Z.
        rolloff: edge of the pass band, relative to the lower Nyquist frequency.
        beta: of the Kaiser window.
    """

    def __init__(
        self, rate: int, new_rate: int, *, zero_crossings: int, rolloff: float, beta: float
    ) -> None:
        divisor = math.gcd(rate, new_rate)
        self._p, self._q = rate // divisor, new_rate // divisor
        c = rolloff * min(1.0, self._q / self._p)
        self._half = math.ceil(zero_crossings / c)
        self._rows = _table(c, self._half, zero_crossings, beta)
        self._held: Tensor | None = None
        self._first = -self._half  # index of the first sample that is held
        self._pushed = self._done = 0

    @property
    def lookahead(self) -> int:
        """Input samples after its own time that an output needs."""
        return self._half

    def push(self, block: Tensor) -> Tensor:
        """Outputs (..., m) that the samples (..., n) complete."""
        if self._held is None:
            self._held = block.new_zeros(*block.shape[:-1], self._half)
        self._held = torch.cat([self._held, block], dim=-1)
        self._pushed += block.shape[-1]
        # Output j needs the samples up to floor(j p / q) + half.
        ready = self._pushed - 1 - self._half
        return self._until(0 if ready < 0 else (ready * self._q + self._q - 1) // self._p + 1)

    def finish(self) -> Tensor:
        """The last outputs: ceil(L q / p) in all for L samples."""
        assert self._held is not None, "push something first"
        after = self._held.new_zeros(*self._held.shape[:-1], self._half + 1)
        self._held = torch.cat([self._held, after], dim=-1)
        return self._until(math.ceil(self._pushed * self._q / self._p))

    def _until(self, stop: int) -> Tensor:
        assert self._held is not None
        parts = [self._held[..., :0]]
        while self._done < stop:
            j = np.arange(self._done, min(stop, self._done + _AT_ONCE), dtype=np.int64)
            whole, phase = np.divmod(j * self._p, self._q)
            phase = phase / self._q * _PHASES
            below = np.floor(phase).astype(np.int64)
            share = torch.from_numpy((phase - below).astype(np.float32))[:, None]
            row = torch.from_numpy(below)
            weights = torch.lerp(self._rows[row], self._rows[row + 1], share)
            at = torch.from_numpy(whole - self._half + 1 - self._first)
            seen = self._held.unfold(-1, weights.shape[1], 1)[..., at, :]
            parts.append((seen * weights.to(seen.dtype)).sum(-1))
            self._done += len(j)
        kept = self._done * self._p // self._q - self._half + 1
        if kept > self._first:
            self._held = self._held[..., kept - self._first :].clone()
            self._first = kept
        return torch.cat(parts, dim=-1)


@lru_cache(maxsize=8)
def _table(c: float, half: int, zero_crossings: int, beta: float) -> Tensor:
    """Weights (phase, tap) of the samples floor(t) - half + 1 ... floor(t) + half."""
    taps = np.arange(-half + 1, half + 1)
    u = c * (taps - np.arange(_PHASES + 1)[:, None] / _PHASES)
    inside = np.clip(1 - (u / zero_crossings) ** 2, 0, None)
    window = np.where(np.abs(u) <= zero_crossings, np.i0(beta * np.sqrt(inside)), 0) / np.i0(beta)
    return torch.from_numpy((c * np.sinc(u) * window).astype(np.float32))
