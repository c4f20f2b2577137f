"""Several draws of one slice, in pairs of antithetic noise and batches that fit into memory."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from sciddm.denoiser import Denoiser
from sciddm.priors.mirrored import Mirrored
from sciddm.priors.turned import Turned
from sciddm.random.streams import AntitheticStreams

__all__ = ["START", "draws", "mirrored", "turned"]

#: The step under which the noise that sampling starts with is drawn.
START = 2**31
_MOST = 10_000  # draws of a slice: more than anybody wants
_AT_ONCE = 2**19  # pixels in a batch: two slices of 512 x 512


def draws(
    like: Tensor,
    samples: int,
    index: int,
    seed: int,
    tick: Callable[[str], None],
    sampler: Callable[[Tensor, AntitheticStreams, Callable[..., None]], Tensor],
) -> Tensor:
    """(samples, C, y, x), all that the sampler returns.

    Args:
        like: (1, 1, y, x), what every draw starts from.
        samples: how many are wanted.
        index: of the slice.
        seed: with the index and the draw's number it fixes the noise.
        tick: called for every step of every draw.
        sampler: makes a batch (n, C, y, x) from `like`, repeated n times, and the noise of those n
            draws; calls the third argument after every step but the last.
    """
    items = [index * _MOST + j for j in range(samples)]
    batch = max(1, _AT_ONCE // like.numel())
    drawn = []
    for first in range(0, samples, batch):
        streams = AntitheticStreams(seed, items[first : first + batch])
        n = len(streams.items)

        def callback(*_told: object, n: int = n) -> None:
            for _ in range(n):
                tick("")

        drawn.append(sampler(like.expand(n, -1, -1, -1), streams, callback))
        callback()
    return torch.cat(drawn)


def mirrored(model: Denoiser, streams: AntitheticStreams) -> Denoiser:
    """The model as the draws of a batch see it: every antithetic pair mirrored in its own way."""
    return Mirrored(model, [item % _MOST // 2 for item in streams.items])


def turned(model: Denoiser, streams: AntitheticStreams) -> Denoiser:
    """The model as the draws of a batch see it: every one turned by a quarter more."""
    return Turned(model, [item % _MOST for item in streams.items])
