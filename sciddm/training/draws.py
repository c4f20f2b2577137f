"""Random numbers of a training step that belong to its items.

An item's noise and time are functions of the seed and of the item's place in the training. They are
the same on one process and on many, whichever of them is handed the item.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor

from sciddm.process import Process
from sciddm.training.recipe import NoiseSpec
from sciddm.training.stream import derived_seed

__all__ = ["ItemDraws", "draw_times", "times_of"]


def draw_times(process: Process, noise: NoiseSpec, n: int) -> Tensor:
    """n training times (float64): ln sigma normal and mapped to t, or t uniform; some at t_max."""
    wide = torch.float64
    first = torch.rand(n, dtype=wide) if noise.law == "uniform" else torch.randn(n, dtype=wide)
    return times_of(process, noise, first, torch.rand(n, dtype=wide))


def times_of(process: Process, noise: NoiseSpec, first: Tensor, second: Tensor) -> Tensor:
    """Training times (B,) from two draws an item.

    Args:
        process: whose times they are.
        noise: their law.
        first: (B,) float64, unit normal or uniform in [0, 1) by ``noise.law``.
        second: (B,) float64, uniform in [0, 1): below ``noise.start`` the time is t_max.
    """
    if noise.law == "uniform":
        times = process.t_min + first * (process.t_max - process.t_min)
    else:
        times = process.times((first * noise.std + noise.mean).exp())
        times = times.clamp(process.t_min, process.t_max)
    return torch.where(second < noise.start, process.t_max, times)


class ItemDraws:
    """Sources of random numbers, one for each item of a batch.

    Args:
        seed: of the training.
        places: of the items in the whole training.
        purpose: what the numbers are for; other purposes have other numbers.
    """

    def __init__(self, seed: int, places: Iterable[int | str], *purpose: int | str) -> None:
        self._generators = [
            torch.Generator().manual_seed(derived_seed(seed, *purpose, place)) for place in places
        ]

    def uniform(self) -> Tensor:
        """A number in [0, 1) for each item, (B,) float64."""
        return self._each(torch.rand)

    def times(self, process: Process, noise: NoiseSpec) -> Tensor:
        """A training time for each item, (B,) float64; see ``draw_times``."""
        first = self._each(torch.rand if noise.law == "uniform" else torch.randn)
        return times_of(process, noise, first, self.uniform())

    def _each(self, draw: Callable[..., Tensor]) -> Tensor:
        numbers = [draw((), dtype=torch.float64, generator=g) for g in self._generators]
        return torch.stack(numbers) if numbers else torch.empty(0, dtype=torch.float64)

    def noise(self, like: Tensor) -> Tensor:
        """Unit normal noise in the shape, type and place of ``like`` (B, ...).

        It is drawn where it is needed: a GPU has other numbers than a processor.
        """
        out = torch.empty_like(like)
        for slot, source in zip(out, self._generators, strict=True):
            generator = source
            if like.device.type != "cpu":
                fresh = int(torch.randint(2**62, (), generator=source))
                generator = torch.Generator(like.device).manual_seed(fresh)
            slot.copy_(
                torch.randn(slot.shape, dtype=like.dtype, device=like.device, generator=generator)
            )
        return out
