"""The published sampler of score-based models: Euler-Maruyama steps of the reverse SDE."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from sciddm.process import Scalar
from sciddm.sampling.steps import Mean
from sciddm.sampling.transition import Leg

__all__ = ["ReverseDiffusion"]


@dataclass(frozen=True)
class ReverseDiffusion:
    """One Euler-Maruyama step of the reverse SDE from t to r, dt = t - r.

    The process dx = f dt + g dw that has the coefficients (a, b, s) is

        f = (a'/a) (x - b y) + b' y,      g^2 = 2 s s' - 2 (a'/a) s^2

    which is theta (y - x) for OUVE. With score = -z^/s its reverse step is::

        x_r = x_t - (f - g^2 score) dt + g sqrt(dt) w
        f - g^2 score = a' x0^ + b' y + (2 s' - (a'/a) s) z^

    and a step to r = 0 leaves the noise out. Song et al. 2021, appendix E; Richter et al. 2023,
    section III-D. SGMSE+ runs it as ``PredictorCorrector(ReverseDiffusion())`` on the grid
    ``[*uniform(process, N - 1), 0.0]`` with N = 30 and takes the last state
    (``denoise_last=False``): 2 N evaluations. First order, and its first steps may be unstable
    with few steps, where the transition (``Ancestral``) is not.

    At the end of a bridge f has no value (a = 0): the first step from there is the Markov
    transition.
    """

    def __call__(self, leg: Leg, mean: Mean, x: Tensor, memory: Any) -> tuple[Tensor, Any]:
        process, t = leg.process, leg.t
        x0 = mean(x, t)
        a, _, s = process(t)
        if a == 0 or (not isinstance(s, Tensor) and s == 0):
            return leg.transition(x, x0, 1.0), None
        rates = process.rates(t)
        da, db = float(rates[0]), float(rates[1])
        ds: Scalar = rates[2] if isinstance(s, Tensor) else float(rates[2])
        z = leg.noise_estimate(x, x0)
        dt = t - leg.r
        x = x - dt * (da * x0 + process.shift(db, leg.y) + (2 * ds - da / a * s) * z)
        s_r = process(leg.r)[2]
        if not isinstance(s_r, Tensor) and s_r == 0:
            return x, None
        return x + (2 * dt * s * (ds - da / a * s)) ** 0.5 * leg.randn(x), None
