"""RED-diff: the image itself is fitted, with the denoiser as its regularisation."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from sciddm.denoiser import Denoiser
from sciddm.physics.measurement import Measurement
from sciddm.random.streams import Streams

__all__ = ["red_diff"]


@torch.no_grad()
def red_diff(
    denoiser: Denoiser,
    measurement: Measurement,
    x: Tensor,
    grid: Sequence[float],
    *,
    generator: Streams,
    rate: float = 0.1,
    weight: float | Callable[[float], float] = 0.25,
    callback: Callable[[int, int, Tensor, Tensor], None] | None = None,
) -> Tensor:
    """Minimises |y - A m|^2 / (2 sigma_y^2) + lambda(sigma) <sg(z^ - z), m> over the image m.

    At each level of the grid m is noised, x_t = a m + s z, and z^ = (x_t - a D(x_t)) / s is the
    noise that the denoiser finds; one step of Adam follows. Mardani et al., A Variational
    Perspective on Solving Inverse Problems with Diffusion Models (RED-diff), 2024,
    algorithm 1, with lambda = weight sigma, sigma = s/a their inverse signal-to-noise ratio.

    A function for ``weight`` is lambda(sigma) itself. With 1/sigma the second term is the gradient
    of -ln p_sigma(m), and m converges to the mode of the posterior: exactly the mean of a Gaussian.

    It seeks a mode. Its results differ by the noise of the optimiser alone, so their standard
    deviation is no uncertainty.

    Args:
        denoiser: the prior, of a process without an endpoint.
        measurement: linear A.
        x: first images (B, ...), such as A^+ y.
        grid: decreasing times; one evaluation each.
        generator: one stream of noise per item.
        rate: of Adam, in units of ``data_std``.
        weight: see above.
        callback: called after every step.

    Returns:
        m (B, ...).
    """
    process, step = denoiser.process, rate * denoiser.data_std
    m, first = x, torch.zeros_like(x)
    second = torch.zeros_like(x.real if x.is_complex() else x)
    for i, t in enumerate(grid):
        a, _, s = process(t)
        sigma = float(process.sigma(t))
        level = weight(sigma) if callable(weight) else weight * sigma
        z = generator.at(i)(m)
        x_t = a * m + s * z
        epsilon = (x_t - a * denoiser(x_t, t)) / s
        g = measurement.grad(m) + level * (epsilon - z)
        first = 0.9 * first + 0.1 * g
        second = 0.999 * second + 0.001 * g.abs().square()
        unbiased = first / (1 - 0.9 ** (i + 1))
        size = (second / (1 - 0.999 ** (i + 1))).sqrt() + 1e-12
        m = m - step * unbiased / size
        if callback is not None:
            callback(i + 1, len(grid), x_t, m)
    return m
