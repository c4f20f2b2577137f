"""MGDM: Gibbs steps over the clean image, a state in between, and the state itself."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from sciddm.guidance.base import AnyMeasurement
from sciddm.ledger import record
from sciddm.physics.operator import inner
from sciddm.sampling.edm_space import to_state, to_w
from sciddm.sampling.grids import karras
from sciddm.sampling.steps import Ancestral, Mean
from sciddm.sampling.transition import Leg

__all__ = ["MGDM"]

_GOLDEN = (math.sqrt(5) - 1) / 2


@dataclass(frozen=True)
class MGDM:
    """At each level: w_q given x0, w_t and y; then x0 given w_q; then w_r given x0 and w_q.

    An earlier level q <= t is chosen, where the data say more than at t. There, given the image of
    the round before,

        w_q | x0, w_t ~ N(x0 + (q/t)^2 (w_t - x0), q^2 (1 - (q/t)^2)),  times  N(y; A D(w_q), R)

    is approximated by a Gaussian of independent elements, whose mean and standard deviation take
    ``gradients`` steps of Adam on the Kullback-Leibler divergence (one draw each). A reverse chain
    of ``inner`` steps from w_q gives the next x0. Janati et al., A Mixture-Based Framework for
    Guiding Diffusion Models (MGDM), 2025, algorithm 1. Levels are q, t in sigma = s/a.

    ``gradients`` + ``inner`` + 1 evaluations and ``gradients`` VJPs a round. It runs on the prior
    without guidance.

    Args:
        measurement: the data.
        gradients: steps of the Gaussian's fit.
        inner: steps of the chain.
        rounds: Gibbs rounds at each level.
        rate: of Adam, in standard deviations of w_q | x0, w_t.
    """

    measurement: AnyMeasurement
    gradients: int = 5
    inner: int = 10
    rounds: int = 1
    rate: float = 0.1

    def __call__(self, leg: Leg, mean: Mean, x: Tensor, memory: Any) -> tuple[Tensor, Any]:
        process = leg.process
        top, low = float(process.sigma(leg.t)), float(process.sigma(leg.r))
        if not math.isfinite(top) or low == 0:
            return leg.transition(x, mean(x, leg.t), 1.0), None
        if memory is None:
            x0, count = self._chain(leg, mean, x, leg.t), 0
        else:
            x0, count = memory
        w = to_w(leg, x, leg.t)
        lowest = max(float(process.sigma(process.t_min)), 1e-3 * top)
        for _ in range(self.rounds):
            count += 1
            # Levels of a golden-ratio sequence, the same for all items: even in ln sigma.
            share = (count * _GOLDEN) % 1
            q = math.exp(math.log(lowest) + share * math.log(top / lowest))
            centre = x0 + (q / top) ** 2 * (w - x0)
            std = q * math.sqrt(1 - (q / top) ** 2)
            w_q = self._between(leg, mean, centre, std, process.time(q))
            t_q = process.time(q)
            x0 = self._chain(leg, mean, to_state(leg, w_q, t_q), t_q)
            w = _pinned(leg, x0, w_q, q, top)
        if q > low:
            share = (low / q) ** 2
            w_r = x0 + share * (w_q - x0) + low * math.sqrt(1 - share) * leg.randn(x)
        else:
            w_r = w_q + math.sqrt(low**2 - q**2) * leg.randn(x)
        return to_state(leg, w_r, leg.r), (x0, count)

    def _between(self, leg: Leg, mean: Mean, centre: Tensor, std: float, t: float) -> Tensor:
        """A draw of the fitted Gaussian of w_q, from unit Gaussian coordinates about the bridge."""
        shift, log_std = torch.zeros_like(centre), torch.zeros_like(centre.real)
        moments = [torch.zeros_like(v) for v in (shift, shift.real, log_std, log_std)]
        half = 1.0 if centre.is_complex() else 0.5
        for i in range(self.gradients):
            z = leg.randn(centre)
            with torch.enable_grad():
                place, size = (v.detach().requires_grad_(True) for v in (shift, log_std))
                w = centre + std * (place + size.exp() * z)
                e = self.measurement.residual(mean(to_state(leg, w, t), t))
                ndim = self.measurement.at(centre).A.range_ndim
                misfit = half * inner(e, e, ndim).real.sum() / self.measurement.sigma**2
                power = half * (place.abs().square() + (2 * size).exp()) - 2 * half * size
                grads = torch.autograd.grad(misfit + power.sum(), (place, size))
            record(nvjp=centre.shape[0])
            for k, g in enumerate(grads):
                first, second = 2 * k, 2 * k + 1
                moments[first] = 0.9 * moments[first] + 0.1 * g
                moments[second] = 0.99 * moments[second] + 0.01 * g.abs().square()
                mean_, power_ = (
                    moments[first] / (1 - 0.9 ** (i + 1)),
                    moments[second] / (1 - 0.99 ** (i + 1)),
                )
                change = self.rate * mean_ / (power_.sqrt() + 1e-12)
                if k == 0:
                    shift = shift - change
                else:
                    log_std = log_std - change
        return centre + std * (shift + log_std.exp() * leg.randn(centre))

    def _chain(self, leg: Leg, mean: Mean, x: Tensor, t: float) -> Tensor:
        """x0 given the state: a stochastic reverse chain."""
        process = leg.process
        start = float(process.sigma(t))
        lowest = float(process.sigma(process.t_min))
        end = max(lowest, start / 50)
        if self.inner == 1 or start <= end * (1 + 1e-6):
            return mean(x, t)
        grid = [t, *karras(process, self.inner - 1, start, end)[1:]]
        step = Ancestral()
        for now, then in pairwise(grid):
            x, _ = step(Leg(process, now, then, leg.y, leg.randn), mean, x, None)
        return mean(x, grid[-1])


def _pinned(leg: Leg, x0: Tensor, w_q: Tensor, q: float, top: float) -> Tensor:
    """w at the level of t given the earlier one."""
    return w_q + math.sqrt(top**2 - q**2) * leg.randn(w_q)
