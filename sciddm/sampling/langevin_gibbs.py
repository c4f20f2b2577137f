"""Denoising Langevin Gibbs sampling: a warm chain over an image and its noise level."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from sciddm.denoiser import Denoiser
from sciddm.random.streams import Streams

__all__ = ["WarmChain", "langevin_gibbs"]

_DIFFERENCE = 1e-2  # of the probe, in units of sigma
_END = 0.02  # where the flow ends, in units of its start


@dataclass(frozen=True)
class WarmChain:
    """Draws of one chain, and the noise levels that it went through.

    Attributes:
        x0: draws (K, B, ...), in the order of the chain.
        levels: sigma = s/a after every Langevin step (steps, B).
    """

    x0: Tensor
    levels: Tensor


@torch.no_grad()
def langevin_gibbs(
    denoiser: Denoiser,
    w: Tensor,
    sigma: Tensor | float,
    *,
    draws: int,
    generator: Streams,
    every: int = 5,
    step: float = 0.5,
    lowest: float = 0.1,
    highest: float = 1.0,
    inner: int = 6,
    callback: Callable[[int, int], None] | None = None,
) -> WarmChain:
    """Langevin steps at a noise level that is drawn anew after each, denoised now and then.

    In w = x0 + sigma z::

        w     <- w + (e/2) (D(w, sigma) - w) / sigma^2 + sqrt(e) z,     e = step sigma^2
        sigma <- a draw of p(sigma | w),   sigma^2 = (|w - D|^2 + sigma^2 tr J) / chi^2_n

    within [lowest, highest], and every ``every`` steps x0 is the end of the probability flow from
    w. The numerator is E|w - x0|^2 given w; tr J is a difference of two evaluations along a probe,
    which guidance has as well. Kim and Ye, Denoising
    MCMC for Accelerating Diffusion-based Generative Models, 2023, algorithm 1, with the estimate of
    the denoiser's own residual in place of a noise classifier.

    A warm chain gives many draws of one posterior (a guided denoiser) for few evaluations each. It
    stays in its mode: modes further apart than ``highest`` are not visited.

    Args:
        denoiser: a prior or guidance, of a process without an endpoint.
        w: state (B, ...) to begin with, such as a draw with noise added.
        sigma: its level, one for all or one for each item (B,).
        draws: K.
        generator: one stream of noise per item.
        every: Langevin steps between draws; two evaluations each.
        step: e / sigma^2.
        lowest, highest: bounds of sigma, in units of ``data_std``.
        inner: steps of the flow, two evaluations each.
        callback: called after every draw.

    Returns:
        ``WarmChain``.
    """
    process, unit = denoiser.process, denoiser.data_std
    low, high = lowest * unit, highest * unit
    level = torch.as_tensor(sigma, dtype=torch.float64, device=w.device).expand(w.shape[0])
    shape = (-1, *[1] * (w.ndim - 1))
    freedom = w[0].numel() * (2 if w.is_complex() else 1)
    states, levels = [], []
    for i in range(draws * every):
        randn = generator.at(i)
        times = process.times(level)
        a = process(times)[0].reshape(shape).to(w.real.dtype)
        size = level.reshape(shape).to(w.real.dtype)
        mean = denoiser(a * w, times)
        probe, small = randn(w), _DIFFERENCE * size
        slope = (denoiser(a * (w + small * probe), times) - mean) / small
        trace = (probe.conj() * slope).real.flatten(1).sum(1).clamp(min=0)
        apart = (w - mean).abs().square().flatten(1).sum(1)
        power = apart.double() + level**2 * trace.double()
        w = w + 0.5 * step * (mean - w) + step**0.5 * size * randn(w)
        level = (power / _chi_square(randn, w, freedom)).sqrt()
        if w.is_complex():
            level = level * 2**0.5  # of the complex number, twice the variance of its parts
        level = level.clamp(low, high)
        levels.append(level)
        if (i + 1) % every == 0:
            states.append(_denoised(denoiser, w, level, inner))
            if callback is not None:
                callback(len(states), draws)
    return WarmChain(torch.stack(states), torch.stack(levels))


def _chi_square(randn: Callable[[Tensor], Tensor], w: Tensor, freedom: int) -> Tensor:
    """A draw of chi^2 for each item (B,): a sum of squares, or its normal limit."""
    if freedom <= 4096:
        normal: Tensor = randn(w.new_zeros(w.shape[0], freedom, dtype=torch.float64))
        return normal.square().sum(1)
    normal = randn(w.new_zeros(w.shape[0], 1, dtype=torch.float64))[:, 0]
    # Wilson and Hilferty's cube.
    out: Tensor = freedom * (1 - 2 / (9 * freedom) + normal * math.sqrt(2 / (9 * freedom))) ** 3
    return out


def _denoised(denoiser: Denoiser, w: Tensor, level: Tensor, inner: int) -> Tensor:
    """The end of the flow dw/d sigma = (w - D)/sigma from each item's own level, by Heun's rule."""
    shape = (-1, *[1] * (w.ndim - 1))

    def mean(state: Tensor, sigma: Tensor) -> Tensor:
        times = denoiser.process.times(sigma)
        a = denoiser.process(times)[0].reshape(shape).to(w.real.dtype)
        out: Tensor = denoiser(a * state, times)
        return out

    ladder = torch.linspace(1, _END ** (1 / 7), inner + 1, dtype=torch.float64) ** 7
    for share, then in pairwise(ladder.tolist()):
        change = then / share - 1
        first = w - mean(w, share * level)
        ahead = w + change * first
        second = (ahead - mean(ahead, then * level)) * share / then
        w = w + 0.5 * change * (first + second)
    return mean(w, _END * level)
