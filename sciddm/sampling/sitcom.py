"""SITCOM: the input of the network is what is fitted to the data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from sciddm.guidance.base import AnyMeasurement
from sciddm.ledger import record
from sciddm.physics.operator import inner
from sciddm.sampling.steps import Mean
from sciddm.sampling.transition import Leg

__all__ = ["SITCOM"]


@dataclass(frozen=True)
class SITCOM:
    """v = argmin |y - A D(v)|^2 + mu |v - x_t|^2 by Adam from x_t, then x_r = a_r D(v) + s_r z.

    Alkhouri et al., SITCOM: Step-wise Triple-Consistent Diffusion Sampling for Inverse Problems,
    2025, algorithm 1. An item stops where its misfit is that of the noise, |y - A D|^2 <= m
    sigma_y^2, and never by comparison with a truth. ``inner`` + 1 evaluations and ``inner`` VJPs.
    The learning rate decides everything; the results fit the data better than posterior samples do,
    so their standard deviation is too small.

    Args:
        measurement: the data.
        measured: m, how many entries of y are measured.
        inner: steps of Adam at each level.
        rate: its learning rate, in units of the noise level s.
        weight: mu.
    """

    measurement: AnyMeasurement
    measured: int
    inner: int = 10
    rate: float = 0.1
    weight: float = 0.0

    def __call__(self, leg: Leg, mean: Mean, x: Tensor, memory: Any) -> tuple[Tensor, Any]:
        v = x
        first, second = torch.zeros_like(x), torch.zeros_like(x.real if x.is_complex() else x)
        s = leg.process(leg.t)[2]
        limit = self.measured * self.measurement.sigma**2
        event = tuple(range(1, x.ndim))
        for i in range(self.inner):
            with torch.enable_grad():
                leaf = v.detach().requires_grad_(True)
                x0 = mean(leaf, leg.t)
                e = self.measurement.residual(x0)
                misfit = inner(e, e, self._ndim(x0)).real.flatten(1).sum(1)
                away = (leaf - x).abs().square().flatten(1).sum(1)
                (g,) = torch.autograd.grad((misfit + self.weight * away).sum(), leaf)
            record(nvjp=x.shape[0])
            first = 0.9 * first + 0.1 * g
            second = 0.999 * second + 0.001 * g.abs().square()
            unbiased = first / (1 - 0.9 ** (i + 1))
            size = (second / (1 - 0.999 ** (i + 1))).sqrt() + 1e-12
            going = (misfit.detach() > limit).reshape(-1, *[1] * len(event))
            v = torch.where(going, v - self.rate * s * unbiased / size, v)
        return leg.transition(v, mean(v, leg.t), 1.0), None

    def _ndim(self, x0: Tensor) -> int:
        return self.measurement.at(x0.detach()).A.range_ndim
