"""DPM-Solver-v3: a multistep solver around the denoiser's own mean behaviour.

In the coordinates of ``edm_space`` the flow is dw/d lambda = -N with N = w - D. Statistics of the
denoiser over data say how N behaves on average at each lambda, per channel::

    l = E diag(dN/dw),    f = N - l w,    s = Cov(f', f) / Var f,    c = E f' - s E f

with f' the total derivative along the flow, so that l w and the prediction f' = s f + c are
integrated exactly, and only the rest of f is interpolated. With L, S the integrals of l, s::

    b(v) = int_t^v e^(S_t - S) c,        g(v) = e^(S_t - S(v)) f(v) - b(v)
    w_r = e^(L_t - L_r) ( w_t - int_t^r e^(L - L_t + S - S_t) (P(v) + b(v)) dv )

and P the polynomial through the last values of g. Zheng, Lu, Chen, Zhu, DPM-Solver-v3: Improved
Diffusion ODE Solver with Empirical Model Statistics, 2023, eqs. 9-14.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sciddm.denoiser import Denoiser
from sciddm.random.streams import Streams
from sciddm.sampling.edm_space import log_snr_at, to_state, to_w
from sciddm.sampling.steps import Mean
from sciddm.sampling.transition import Leg

if TYPE_CHECKING:
    from scipy.interpolate import CubicSpline

__all__ = ["DPMSolverV3", "SolverStatistics", "solver_statistics"]

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(16)


@dataclass(frozen=True)
class SolverStatistics:
    """l, s and c of one denoiser on a grid of lambda.

    Guided runs are other flows than the prior's and need statistics of their own.

    Args:
        levels: lambda = ln(a/s), increasing (G,).
        slope: l, per channel or per element (G, C).
        growth: s (G, C).
        offset: c (G, C).
    """

    levels: NDArray[np.float64]
    slope: NDArray[np.float64]
    growth: NDArray[np.float64]
    offset: NDArray[np.float64]

    @cached_property
    def integrals(self) -> tuple[CubicSpline, CubicSpline, CubicSpline]:
        """L and S, and c itself, as functions of lambda."""
        # Half a second of imports, which other samplers need not spend.
        from scipy.interpolate import CubicSpline

        slope, growth, offset = (
            CubicSpline(self.levels, v, axis=0) for v in (self.slope, self.growth, self.offset)
        )
        return slope.antiderivative(), growth.antiderivative(), offset


def solver_statistics(
    denoiser: Denoiser,
    x0: Tensor,
    levels: Sequence[float],
    *,
    generator: Streams,
    probes: int = 1,
    delta: float = 1e-3,
) -> SolverStatistics:
    """Measures l, s and c of a denoiser on data, at each level.

    Args:
        denoiser: of a process without an endpoint, real data.
        x0: data (B, C, ...); 64 images or more for networks.
        levels: lambda, increasing; hundreds of them, since they are interpolated.
        generator: one stream of noise per item of x0.
        probes: Rademacher vectors for the diagonal of the Jacobian, one VJP each; vectors (B, C)
            of few elements are probed by unit vectors.
        delta: step in lambda of the central difference for f'.

    Returns:
        ``SolverStatistics``: three evaluations and ``probes`` VJPs of each item and level.
    """
    process = denoiser.process
    other = tuple(v for v in range(x0.ndim) if v != 1)

    def state(w: Tensor, level: float) -> tuple[Tensor, float]:
        t = process.time(math.exp(-level))
        return process(t)[0] * w, t

    def residual(w: Tensor, level: float) -> Tensor:
        x, t = state(w, level)
        out: Tensor = w - denoiser(x, t)
        return out

    z = generator.at(0)(x0)

    def noisy(level: float) -> Tensor:  # the same noise at all levels, so that they make a curve
        return x0 + math.exp(-level) * z

    grid = np.asarray(levels, dtype=np.float64)
    slopes = []
    for i, level in enumerate(levels):
        w = noisy(level)
        x, t = state(w, level)
        a = process(t)[0]
        _, vjp = denoiser.mean_and_vjp(x, t)
        diagonal = torch.zeros_like(w)
        if w.ndim == 2 and w.shape[1] <= 16:
            for j in range(w.shape[1]):
                unit = torch.zeros_like(w)
                unit[:, j] = 1
                diagonal[:, j] = a * vjp(unit)[:, j]
        else:
            randn = generator.at(i + 1)
            for _ in range(probes):
                v = randn(w).sign()
                diagonal += a * v * vjp(v) / probes
        slopes.append(1 - diagonal.mean(other).double().cpu().numpy())
    from scipy.interpolate import CubicSpline

    slope = np.stack(slopes)
    spline = CubicSpline(grid, slope, axis=0)

    @torch.no_grad()
    def rest(w: Tensor, level: float) -> Tensor:
        return residual(w, level) - _like(spline(level), w) * w

    growths, offsets = [], []
    with torch.no_grad():
        for level in levels:
            w = noisy(level)
            n = residual(w, level)
            f = n - _like(spline(level), w) * w
            ahead = rest(w - delta * n, level + delta)
            behind = rest(w + delta * n, level - delta)
            df = (ahead - behind) / (2 * delta)
            mean, dmean = f.mean(other, keepdim=True), df.mean(other, keepdim=True)
            variance = (f - mean).square().mean(other)
            covariance = ((f - mean) * (df - dmean)).mean(other)
            floor = 1e-10 * (1e-30 + f.square().mean(other))
            s = torch.where(variance > floor, covariance / variance.clamp(min=1e-300), 0.0)
            growths.append(s.double().cpu().numpy())
            c = dmean.flatten() - s * mean.flatten()
            offsets.append(c.double().cpu().numpy())
    return SolverStatistics(grid, slope, np.stack(growths), np.stack(offsets))


@dataclass(frozen=True)
class DPMSolverV3:
    """DPM-Solver-v3 of an order up to 3: one evaluation a step; see the module's docstring.

    With the exact statistics of a Gaussian it is exact with any number of steps. The first steps
    have lower orders; a step from a = 0 or to s = 0 is DDIM's.

    Args:
        statistics: of the denoiser that it runs, which cover the grid's levels.
        order: how many values of g the polynomial goes through.
    """

    statistics: SolverStatistics
    order: int = 2

    def __call__(self, leg: Leg, mean: Mean, x: Tensor, memory: Any) -> tuple[Tensor, Any]:
        start, end = log_snr_at(leg.process, leg.t), log_snr_at(leg.process, leg.r)
        past: tuple[tuple[float, Tensor], ...] = memory or ()
        x0 = mean(x, leg.t)
        if not (math.isfinite(start) and math.isfinite(end)):
            return leg.transition(x, x0, 0.0), past
        L, S, _ = self.statistics.integrals
        l = self.statistics.integrals[0].derivative()(start)  # noqa: E741
        w = to_w(leg, x, leg.t)
        past = ((start, w - x0 - _like(l, w) * w), *past)[: self.order]
        levels = [v for v, _ in past]
        g = [_like(np.exp(S(start) - S(v)), w) * f - _like(self._b(start, v), w) for v, f in past]
        # Gauss-Legendre quadrature over the step.
        points = 0.5 * (end - start) * _NODES + 0.5 * (end + start)
        weights = 0.5 * (end - start) * _WEIGHTS
        growth = np.stack([np.exp(L(v) - L(start) + S(v) - S(start)) for v in points])
        parts = zip(weights, growth, points, strict=True)
        drift = np.zeros_like(growth[0])
        for q, e, v in parts:
            drift = drift + q * e * self._b(start, v)
        total = _like(drift, w) + torch.zeros_like(w)
        for i, value in enumerate(g):
            basis = np.ones_like(points)
            for j, node in enumerate(levels):
                if j != i:
                    basis = basis * (points - node) / (levels[i] - node)
            total = total + _like(np.tensordot(weights * basis, growth, 1), w) * value
        w = _like(np.exp(L(start) - L(end)), w) * (w - total)
        return to_state(leg, w, leg.r), past

    def _b(self, start: float, end: float) -> NDArray[np.float64]:
        """int_start^end e^(S_start - S) c."""
        _, S, c = self.statistics.integrals
        points = 0.5 * (end - start) * _NODES + 0.5 * (end + start)
        values = np.stack([np.exp(S(start) - S(v)) * c(v) for v in points])
        return np.asarray(np.tensordot(0.5 * (end - start) * _WEIGHTS, values, 1))


def _like(values: NDArray[np.float64], x: Tensor) -> Tensor:
    """Per channel (C,) as (1, C, 1, ...) beside x."""
    out = torch.as_tensor(np.atleast_1d(values), dtype=x.dtype, device=x.device)
    return out.reshape(1, -1, *[1] * (x.ndim - 2))
