"""PnP-DM: split Gibbs sampling with a whole reverse chain for the prior's half."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from sciddm.denoiser import Denoiser
from sciddm.physics.measurement import Measurement
from sciddm.random.streams import Streams, fold
from sciddm.sampling.grids import karras
from sciddm.sampling.sample import sample
from sciddm.sampling.steps import Ancestral, Step

__all__ = ["pnp_dm"]


class _Nested:
    """The streams of one round: steps of its chain have seeds of their own."""

    def __init__(self, streams: Streams, round_number: int) -> None:
        self._streams, self._round = streams, round_number

    def at(self, step: int) -> Callable[[Tensor], Tensor]:
        return self._streams.at(fold(self._round, step) & 0x7FFFFFFF)


@torch.no_grad()
def pnp_dm(
    denoiser: Denoiser,
    measurement: Measurement,
    x: Tensor,
    levels: Sequence[float],
    *,
    steps: int = 10,
    generator: Streams,
    step: Step | None = None,
    callback: Callable[[int, int, Tensor, Tensor], None] | None = None,
) -> Tensor:
    """Draws z ~ N(y; A z) N(z; x, rho^2) and x ~ p(x0 | x0 + rho n = z) in turn.

    With rho falling the pair's law becomes the posterior's. Wu et al., Principled Probabilistic
    Imaging using Diffusion Models as Plug-and-Play Priors, 2024, algorithm 1. The prior's half is a
    *stochastic* reverse chain from sigma = rho: the flow would give one x for each z.

    Args:
        denoiser: the prior, of a process without an endpoint.
        measurement: linear A.
        x: any first images (B, ...).
        levels: rho of each round, decreasing, such as max(10 * .9^k, .1) for data of unit size.
        steps: of each chain.
        generator: one stream of noise per item.
        step: of the chains, ``Ancestral()`` if not given.
        callback: called after every round.

    Returns:
        x0 (B, ...) of the last round.
    """
    process, step = denoiser.process, step or Ancestral()
    lowest = float(process.sigma(process.t_min))
    for i, rho in enumerate(levels):
        z = measurement.draw(x, rho**2, _Nested(generator, 2 * i).at(0))
        grid = karras(process, steps, rho, min(max(lowest, rho / 50), rho / 2))
        noise = _Nested(generator, 2 * i + 1)
        x = sample(denoiser, process(grid[0])[0] * z, grid, step, generator=noise)  # type: ignore[arg-type]
        if callback is not None:
            callback(i + 1, len(levels), z, x)
    return x
