"""Noise of a path: the same Brownian motion for every grid."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor

from sciddm.process import Process
from sciddm.random.streams import Streams

__all__ = ["BrownianStreams"]

_LOW, _HIGH, _DEPTH = -32.0, 32.0, 26  # ln(a/s)^2 of the ends, halvings between them


class BrownianStreams(Streams):
    """Streams whose noise of a leg is an increment of one Brownian motion of each item.

    The clock is c = (a/s)^2: in w/sigma^2 the reverse Markov chain of any process is

        w_r/sigma_r^2 = w_t/sigma_t^2 + (c_r - c_t) D + W(c_r) - W(c_t)

    exactly, so runs on a grid and on its refinement differ by what D changes within a step, and not
    by their noise. W is a Lévy construction: halves of intervals of ln c, each from a seed of its
    own, so that any value can be had at any time in any order.

    Args:
        seed: the run's seed.
        items: an identity for each item of the batch; see ``Streams``.
        process: whose clock it is.
        grid: the times of the run; step i of ``at`` is the leg from grid[i] to grid[i + 1].
    """

    def __init__(
        self, seed: int, items: int | Iterable[int], process: Process, grid: Sequence[float]
    ) -> None:
        super().__init__(seed, items)
        self.clock = [_clock(process, t) for t in grid]
        self._last: tuple[float, Tensor] | None = None  # where the step before ended

    def at(self, step: int) -> Callable[[Tensor], Tensor]:
        """A source for one step: its first draw is the path's, further ones are independent."""
        other = super().at(step)
        first = True

        def randn(like: Tensor) -> Tensor:
            nonlocal first
            if not first or step + 1 >= len(self.clock):
                return other(like)
            first = False
            start, end = self.clock[step], self.clock[step + 1]
            if not math.isfinite(end) or end <= start:
                return other(like)
            last = self._last
            reuse = last is not None and last[0] == start and last[1].shape == like.shape
            begin = last[1] if reuse and last is not None else self.value(start, like)
            self._last = (end, self.value(end, like))
            return ((self._last[1] - begin) / math.sqrt(end - start)).to(like.dtype)

        return randn

    def value(self, clock: float, like: Tensor) -> Tensor:
        """W(c) of each item, in the shape of ``like`` and double precision, W(0) = 0."""
        wide = torch.empty(
            like.shape, dtype=torch.complex128 if like.is_complex() else torch.float64
        )
        low, high = _LOW, _HIGH
        if clock <= 0:
            return torch.zeros_like(wide).to(like.device)
        # W at the ends: from 0 to e^low, and from there to e^high.
        at_low = math.exp(low / 2) * self.randn(wide, 0, _place(0, 0))
        at_high = at_low + math.sqrt(math.exp(high) - math.exp(low)) * self.randn(
            wide, 0, _place(0, 1)
        )
        log = min(max(math.log(clock), low), high)
        index = 0
        for depth in range(1, _DEPTH):
            middle = 0.5 * (low + high)
            c_low, c_mid, c_high = math.exp(low), math.exp(middle), math.exp(high)
            share = (c_mid - c_low) / (c_high - c_low)
            std = math.sqrt(share * (c_high - c_mid))
            at_middle = at_low + share * (at_high - at_low)
            at_middle = at_middle + std * self.randn(wide, 0, _place(depth, index))
            index *= 2
            if log < middle:
                high, at_high = middle, at_middle
            else:
                low, at_low, index = middle, at_middle, index + 1
        share = (math.exp(log) - math.exp(low)) / (math.exp(high) - math.exp(low))
        return (at_low + share * (at_high - at_low)).to(like.device)


def _clock(process: Process, t: float) -> float:
    a, _, s = process(t)
    if s == 0:
        return math.inf
    return float(a / s) ** 2


def _place(depth: int, index: int) -> int:
    """A draw number that no other interval and no step of ``at`` has."""
    return 10_000 + (1 << depth) + index
