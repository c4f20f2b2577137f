"""Several draws of one slice, in pairs of antithetic noise and batches that fit into memory."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from sciddm.denoiser import Denoiser
from sciddm.priors.mirrored import Mirrored
from sciddm.priors.turned import Turned
from sciddm.random.streams import AntitheticStreams, Streams

__all__ = ["START", "draws", "mirrored", "turned", "turning_noise"]

#: The step under which the noise that sampling starts with is drawn.
START = 2**31
_MOST = 10_000  # draws of a slice: more than anybody wants
_FOUR = 4  # quarter turns
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


def turning_noise(streams: AntitheticStreams, like: Tensor) -> Tensor:
    """Unit noise (B, C, y, x) to start from, which quarter turns of the image leave the same.

    With R a quarter turn and m white noise, n = (m - R m + R^2 m - R^3 m) / 2 has R n = -n. Draws
    in fours get n, -n, n, -n: they are antithetic, and each sees the same noise after its own
    number of turns (`turned`). So the mean of four draws turns with the
    image. At the centre of turns, and for sides of which only one is even, this holds but for a
    pixel.
    """
    side = max(like.shape[-2:])
    whole = like.new_empty(*like.shape[:-2], side, side)
    fours = Streams(streams.seed, [item // _FOUR for item in streams.items])
    white = fours.randn(whole, START)
    turns = [torch.rot90(white, k, (-2, -1)) for k in range(_FOUR)]
    noise = (turns[0] - turns[1] + turns[2] - turns[3]) / 2
    y, x = ((side - n) // 2 for n in like.shape[-2:])
    cut = noise[..., y : y + like.shape[-2], x : x + like.shape[-1]]
    signs = torch.tensor([1 - 2 * (item % 2) for item in streams.items], device=like.device)
    return cut * signs.view(-1, *[1] * (like.ndim - 1))
