"""log p(x) of a prior, by its probability flow."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from sciddm.denoiser import Denoiser
from sciddm.random.streams import Streams

__all__ = ["log_likelihood"]


def log_likelihood(
    denoiser: Denoiser,
    x: Tensor,
    *,
    sigma_min: float,
    sigma_max: float,
    steps: int = 100,
    mean: float | Tensor = 0.0,
    variance: float | Tensor | None = None,
    generator: Streams | None = None,
    probes: int = 1,
) -> Tensor:
    """log p(x) of each item in nats, of data with noise of ``sigma_min``.

    Along the flow dw/d ln sigma = w - D of w = u/a the density changes by the divergence::

        log p(x) = log N(w_T; mean, variance + sigma_max^2) + int (n - tr J) d ln sigma

    with J = dD/dw. Song et al., Score-Based Generative Modeling through SDEs, 2021, eqs. 39 and 40.
    Runge-Kutta of fourth order on equal steps of ln sigma. Compare items, priors or transforms of
    one image: the absolute value depends on ``sigma_min`` and on the network's smallest details. J
    of a network is not symmetric; its trace is right all the same.

    Args:
        denoiser: of a process without an endpoint.
        x: data (B, ...), real or complex.
        sigma_min: noise level s/a at the start, small beside the detail of x.
        sigma_max: at the end, many times the data's standard deviation.
        steps: four evaluations each.
        mean, variance: of the data, for the law at the end; ``data_std``^2 if not given.
        generator: Rademacher probes of the trace (Hutchinson), the same for all of an item's path;
            if not given the trace is exact, with one VJP for each element.
        probes: VJPs for each evaluation, with a generator.

    Returns:
        (B,), in double precision.
    """
    process = denoiser.process
    spread = denoiser.data_std**2 if variance is None else variance
    vectors = _exact(x) if generator is None else _rademacher(x, generator, probes)
    elements = x[0].numel() * (2 if x.is_complex() else 1)

    first, last = math.log(sigma_min), math.log(sigma_max)
    h = (last - first) / steps
    halves = torch.linspace(first, last, 2 * steps + 1, dtype=torch.float64)
    times: list[float] = process.times(halves.exp()).tolist()

    def rates(w: Tensor, half: int) -> tuple[Tensor, Tensor]:
        t = times[half]
        a = process(t)[0]
        d, vjp = denoiser.mean_and_vjp(a * w, t)
        trace = torch.zeros(len(x), dtype=torch.float64, device=x.device)
        for v in vectors:
            trace += a * (vjp(v) * v.conj()).real.double().flatten(1).sum(1)
        if generator is not None:
            trace /= probes
        return w - d, elements - trace

    w, total = x, torch.zeros(len(x), dtype=torch.float64, device=x.device)
    for i in range(0, 2 * steps, 2):
        k1, g1 = rates(w, i)
        k2, g2 = rates(w + 0.5 * h * k1, i + 1)
        k3, g3 = rates(w + 0.5 * h * k2, i + 1)
        k4, g4 = rates(w + h * k3, i + 2)
        w = w + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
        total = total + h / 6 * (g1 + 2 * g2 + 2 * g3 + g4)
    scale = torch.as_tensor(spread, dtype=torch.float64) + sigma_max**2
    power = ((w - mean).abs().square().double() / scale).flatten(1).sum(1)
    volume = scale.log().expand(x.shape[1:]).sum()
    if x.is_complex():
        return total - power - x[0].numel() * math.log(math.pi) - volume
    return total - 0.5 * power - 0.5 * elements * math.log(2 * math.pi) - 0.5 * volume


def _exact(x: Tensor) -> list[Tensor]:
    """Unit vectors of one element, of re and im for complex data."""
    units = []
    parts = (1.0, 1j) if x.is_complex() else (1.0,)
    for i in range(x[0].numel()):
        for part in parts:
            unit = torch.zeros_like(x)
            unit.view(len(x), -1)[:, i] = torch.tensor(part, dtype=x.dtype, device=x.device)
            units.append(unit)
    return units


def _rademacher(x: Tensor, generator: Streams, probes: int) -> list[Tensor]:
    randn: Callable[[Tensor], Tensor] = generator.at(0)
    out = []
    for _ in range(probes):
        v = randn(x)
        out.append(torch.complex(v.real.sign(), v.imag.sign()) if v.is_complex() else v.sign())
    return out
