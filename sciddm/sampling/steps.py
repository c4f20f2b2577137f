"""First-order and multistep samplers: the transition with a choice of tau and of x0.

A step is a pure function of its arguments; what a multistep method remembers travels in
``memory``, which is None at the start of a run.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from torch import Tensor

from sciddm.process import Process
from sciddm.sampling.transition import (
    Leg,
    TauRule,
    markov,
    ode,
    scaled,
)

__all__ = ["DDIM", "Ancestral", "DPMSolver2M", "Heun", "Mean", "PredictorCorrector", "Step"]

Mean = Callable[[Tensor, float], Tensor]  # (x_t, t) -> E[x0 | x_t], guidance and endpoint included


class Step(Protocol):
    """x_t -> x_r along a leg."""

    def __call__(self, leg: Leg, mean: Mean, x: Tensor, memory: Any) -> tuple[Tensor, Any]:
        """(x_r, memory for the next step)."""
        ...


@dataclass(frozen=True)
class _Single:
    """One evaluation, one transition."""

    tau: TauRule

    def __call__(self, leg: Leg, mean: Mean, x: Tensor, memory: Any) -> tuple[Tensor, Any]:
        return leg.transition(x, mean(x, leg.t), self.tau(leg.process, leg.t, leg.r)), None


def DDIM(eta: float = 0.0) -> Step:  # noqa: N802
    """DDIM for any process: tau = eta^2 tau_markov. Song et al. 2021, eqs. 12 and 16."""
    return _Single(ode if eta == 0 else scaled(eta))


def Ancestral(tau: TauRule = markov) -> Step:  # noqa: N802
    """The reverse Markov chain (DDPM), or any other tau rule, such as ``resshift``, ``fresh``."""
    return _Single(tau)


@dataclass(frozen=True)
class Heun:
    """Second-order ODE step in EDM's coordinates w = u/a, sigma = s/a: two evaluations.

    dw/dsigma = (w - D) / sigma, which is z^; the step uses the mean of z^ at both ends. Karras et
    al. 2022, algorithm 1. Where the step ends at s = 0 it is Euler's.
    """

    def __call__(self, leg: Leg, mean: Mean, x: Tensor, memory: Any) -> tuple[Tensor, Any]:
        process, y = leg.process, leg.y
        x0 = mean(x, leg.t)
        x_euler = leg.transition(x, x0, 0.0)
        a_t, b_t, s_t = process(leg.t)
        a_r, b_r, s_r = process(leg.r)
        if s_r == 0 or a_t == 0:
            return x_euler, None
        z_euler = leg.noise_estimate(x_euler, mean(x_euler, leg.r), at=leg.r)
        z = 0.5 * (leg.noise_estimate(x, x0) + z_euler)
        u = (x - process.shift(b_t, y)) / a_t + (s_r / a_r - s_t / a_t) * z
        return a_r * u + process.shift(b_r, y), None


@dataclass(frozen=True)
class DPMSolver2M:
    """DPM-Solver++(2M), as ODE or SDE: the transition with an extrapolated x0.

    With h = ln(a_r/s_r) - ln(a_t/s_t) and the ratio q = h_previous / h::

        x0' = (1 + 1/(2q)) x0_t - 1/(2q) x0_previous

    put into the transition with tau = 0 (ODE, Lu et al. 2022, algorithm 2) or tau = markov (SDE,
    ibid. appendix, SDE-DPM-Solver++(2M)). The first step and a step to s = 0 are first order.
    """

    sde: bool = False

    def __call__(self, leg: Leg, mean: Mean, x: Tensor, memory: Any) -> tuple[Tensor, Any]:
        x0 = mean(x, leg.t)
        estimate = x0
        h = _log_snr(leg.process, leg.r) - _log_snr(leg.process, leg.t)
        if memory is not None and math.isfinite(h) and math.isfinite(memory[1]):
            previous, h_previous = memory
            weight = 0.5 * h / h_previous
            estimate = (1 + weight) * x0 - weight * previous
        tau = (markov if self.sde else ode)(leg.process, leg.t, leg.r)
        return leg.transition(x, estimate, tau), (x0, h)


@dataclass(frozen=True)
class PredictorCorrector:
    """Langevin correction at time t, then a predictor's step.

    Each correction is annealed Langevin dynamics with the score (a D + b y - x) / s^2::

        x <- x + e score + sqrt(2 e) w,      e = 2 (snr s)^2

    Song et al. 2021, algorithms 4-5, with the step of SGMSE's "ald" corrector.
    """

    predictor: Step
    corrections: int = 1
    snr: float = 0.5

    def __call__(self, leg: Leg, mean: Mean, x: Tensor, memory: Any) -> tuple[Tensor, Any]:
        s = leg.process(leg.t)[2]
        if isinstance(s, Tensor) or s > 0:
            for _ in range(self.corrections):
                z = leg.noise_estimate(x, mean(x, leg.t))
                # e score = -e z^/s
                x = x - 2 * self.snr**2 * s * z + 2 * self.snr * s * leg.randn(x)
        return self.predictor(leg, mean, x, memory)


def _log_snr(process: Process, t: float) -> float:
    a, _, s = process(t)
    if a == 0:
        return -math.inf
    return math.inf if s == 0 else math.log(a / s)
