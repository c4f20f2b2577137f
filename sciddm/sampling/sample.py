"""The sampling loop."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from sciddm.denoiser import Denoiser
from sciddm.guidance.base import prior_means
from sciddm.random.streams import Streams
from sciddm.sampling.steps import Step
from sciddm.sampling.transition import Leg, Randn

__all__ = ["Callback", "Refine", "sample"]

Callback = Callable[[int, int, Tensor, Tensor], None]  # (step, number of steps, x_t, x0^)
Refine = Callable[[Tensor, float, Randn], Tensor]  # (x0^, r^2, randn) -> corrected x0


@torch.no_grad()
def sample(
    denoiser: Denoiser,
    x: Tensor,
    grid: Sequence[float],
    step: Step,
    *,
    generator: Streams,
    y: Tensor | None = None,
    cond: Tensor | None = None,
    refine: Refine | None = None,
    callback: Callback | None = None,
    denoise_last: bool = True,
    noise_from_prior: bool = False,
) -> Tensor:
    """Runs ``step`` along ``grid`` and returns the final estimate of x0.

    Args:
        denoiser: the prior, possibly wrapped in guidance.
        x: the state at ``grid[0]`` (B, ...), as ``process.prior`` or ``add_noise`` gives it.
        grid: decreasing times; see ``grids``.
        step: see ``steps``.
        generator: one stream of noise per item.
        y: second endpoint of the process.
        cond: conditioning of the network.
        refine: applied to every x0^ with r^2 = sigma^2 d^2 / (sigma^2 + d^2), the variance of x0
            given x_t for data of variance d^2 (``denoiser.data_std``). With ``Measurement.draw``
            and fresh noise (``Ancestral(fresh)``) this is split Gibbs sampling, with ``ODESolve``
            as the denoiser it is DAPS.
        callback: called after every step, for progress.
        denoise_last: return E[x0 | x] at the last time of the grid, at the cost of one more
            evaluation, instead of the state x itself.
        noise_from_prior: a transition takes its noise z^ from the mean of the prior under guidance
            and not from the corrected one, so that guidance moves the estimate and leaves the
            noise alone: FlowDPS (Kim et al., 2025, algorithm 1) with ``DiffPIR``, and CFG++ (Chung
            et al., 2024, algorithm 2) with ``ClassifierFree``. For steps of one transition.

    Returns:
        x0 (B, ...).
    """
    process = denoiser.process
    memory: Any = None
    steps = len(grid) - 1
    estimate = unguided = x
    for i in range(steps):
        source = (lambda: unguided) if noise_from_prior else None
        leg = Leg(process, grid[i], grid[i + 1], y, generator.at(i), source)

        def mean(x_t: Tensor, t_now: float, randn: Randn = leg.randn) -> Tensor:
            nonlocal estimate, unguided
            if noise_from_prior:
                with prior_means(denoiser) as means:
                    estimate = denoiser(x_t, t_now, y, cond)
                unguided = means[-1]
            else:
                estimate = denoiser(x_t, t_now, y, cond)
            if refine is not None:
                estimate = refine(estimate, denoiser.spread(t_now), randn)
            return estimate

        x, memory = step(leg, mean, x, memory)
        if callback is not None:
            callback(i + 1, steps, x, estimate)
    if not denoise_last:
        return x
    estimate = denoiser(x, grid[-1], y, cond)
    if refine is not None:
        estimate = refine(estimate, denoiser.spread(grid[-1]), generator.at(steps))
    return estimate
