"""Random numbers that belong to an item, not to the batch it happens to be in.

Every item has its own stream, and every step of a sampler folds its number into the seed. One
item therefore gets the same noise alone, in any batch, on a tile or on another machine, and a
sampler that draws more in one step does not shift the numbers of the next.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor

__all__ = ["AntitheticStreams", "Streams"]

_MASK = 2**64 - 1


def fold(*values: int) -> int:
    """One 63-bit seed from several integers (the finaliser of splitmix64, chained)."""
    state = 0
    for value in values:
        state = (state + 0x9E3779B97F4A7C15 + (value & _MASK)) & _MASK
        state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & _MASK
        state ^= state >> 31
    return state >> 1


class Streams:
    """Noise for a batch: one stream per item.

    Args:
        seed: the run's seed.
        items: an identity for each item of the batch (0, 1, 2, ... if a count is given). What
            matters is the identity, not the place in the batch.
    """

    def __init__(self, seed: int, items: int | Iterable[int]) -> None:
        self.seed = int(seed)
        self.items = tuple(range(items) if isinstance(items, int) else items)

    def randn(self, like: Tensor, step: int, draw: int = 0) -> Tensor:
        """Unit normal noise in the shape, type and place of ``like`` (B, ...).

        Numbers come from the CPU generator, so that they do not depend on the device.

        Raises:
            ValueError: the batch of ``like`` is not the number of items.
        """
        out = torch.empty(like.shape, dtype=like.dtype)
        for slot, generator in zip(out, self._generators(like, step, draw), strict=True):
            slot.normal_(generator=generator) if not like.is_complex() else slot.copy_(
                torch.randn(slot.shape, dtype=like.dtype, generator=generator)
            )
        return out.to(like.device)

    def poisson(self, mean: Tensor, step: int, draw: int = 0) -> Tensor:
        """Counts with the Poisson distribution of the given means (B, ...), in their type.

        Drawn in double precision on the CPU, as ``randn`` is.

        Raises:
            ValueError: as ``randn``.
        """
        rates = mean.to("cpu", torch.float64)
        pairs = zip(rates, self._generators(mean, step, draw), strict=True)
        drawn = [torch.poisson(rate, generator=generator) for rate, generator in pairs]
        return torch.stack(drawn).to(mean)

    def _generators(self, like: Tensor, step: int, draw: int) -> list[torch.Generator]:
        if like.shape[0] != len(self.items):
            raise ValueError(f"{len(self.items)} streams for a batch of {like.shape[0]}")
        seeds = [fold(self.seed, item, step, draw) for item in self.items]
        return [torch.Generator().manual_seed(seed) for seed in seeds]

    def at(self, step: int) -> Callable[[Tensor], Tensor]:
        """A source for one step: each call draws anew."""
        count = -1

        def randn(like: Tensor) -> Tensor:
            nonlocal count
            count += 1
            return self.randn(like, step, count)

        return randn


class AntitheticStreams(Streams):
    """Noise in pairs: item 2i + 1 gets item 2i's numbers with the other sign.

    Each item's noise is unit normal as ever, so each is as good a sample. But whatever in two
    samples' errors is linear in their noise cancels in the mean of a pair, which is therefore
    closer to the posterior mean than that of two independent samples (antithetic variates;
    Hammersley and Morton, 1956).
    """

    def randn(self, like: Tensor, step: int, draw: int = 0) -> Tensor:
        """Unit normal noise in the shape, type and place of ``like`` (B, ...)."""
        noise = Streams(self.seed, [i // 2 for i in self.items]).randn(like, step, draw)
        signs = torch.tensor([1 - 2 * (i % 2) for i in self.items], device=like.device)
        return noise * signs.view(-1, *[1] * (like.ndim - 1))
