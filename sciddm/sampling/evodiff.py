"""EVODiff: a difference of estimates whose weights are chosen by projections."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from sciddm.sampling.edm_space import to_state, to_w
from sciddm.sampling.steps import Mean
from sciddm.sampling.transition import Leg

__all__ = ["EVODiff"]

_TEMPERATURE = 0.25  # of the sigmoid that shortens the probe's step


class _Past(NamedTuple):
    """The first noise level, the estimate before and its level, and the estimate of now."""

    first: float
    before: Tensor
    level: float
    now: Tensor


@dataclass(frozen=True)
class EVODiff:
    """A probing step with D0 - c D1, an evaluation there, and the step with both differences.

    With h = 1/sigma_r - 1/sigma_t, q = ln(sigma_before/sigma_t) / ln(sigma_t/sigma_r), and the
    first-order step e = (sigma_r/sigma_t) w + sigma_r h D0::

        c   = (1 - k) sqrt((sigma_r/sigma_t) / (sigma_t/sigma_before)) + k <D0, D1>/<D1, D1>
        d1  = D0 - c1 D1,      probe: e + sigma_r h d1 / (2 q'),   q' = q sigmoid(|c1| / 4)
        d2  = D(probe) - c2 D0
        B   = -eta d1 / q + (1 - eta) q d2,      w_r = e + sigma_r h B / (2 zeta)

    with k = (1 - (sigma_r/sigma_first)^2)/2 and eta, zeta sigmoids of projections. The probe's
    evaluation is the next step's D0, so it is one evaluation a step. Inner products are each item's
    and channel's own. Li et al., EVODiff: Entropy-aware Variance Optimized Diffusion Inference,
    2025, algorithm 1; constants are those of its repository up to 20 steps (its other branch for
    more divides by differences of estimates, which diverges on exact denoisers).

    First order, and on exact denoisers worse than ``DPMSolver2M``: made for trained networks.
    """

    def __call__(self, leg: Leg, mean: Mean, x: Tensor, memory: Any) -> tuple[Tensor, Any]:
        process = leg.process
        now, then = (float(process.sigma(t)) for t in (leg.t, leg.r))
        past: _Past | None = memory
        d_0 = mean(x, leg.t) if past is None else past.now
        if not math.isfinite(now) or then == 0:
            return leg.transition(x, d_0, 0.0), None
        if past is None:
            x_r = leg.transition(x, d_0, 0.0)
            return x_r, _Past(now, d_0, now, mean(x_r, leg.r))
        w = to_w(leg, x, leg.t)
        h = 1 / then - 1 / now
        euler = then / now * w + then * h * d_0
        ratio = math.log(past.level / now) / math.log(now / then)
        share = 0.5 * (1 - (then / past.first) ** 2)
        steps = math.sqrt(then / now / (now / past.level))
        c_1 = (1 - share) * steps + share * _projection(d_0, past.before)
        d_1 = d_0 - c_1 * past.before
        scale = (torch.sigmoid(_TEMPERATURE * c_1.abs()) * ratio).clamp(0.25 * ratio, 1.5 * ratio)
        probe = euler + 0.5 * then * h / scale * d_1
        ahead = mean(to_state(leg, probe, leg.r), leg.r)
        c_2 = (1 - share) * steps + share * _projection(ahead, d_0)
        d_2 = ahead - c_2 * d_0
        old, new = d_1 / (ratio * h), ratio / h * d_2
        eta = 0.5 * torch.sigmoid((0.5 * _projection(new + old, new - old)).abs())
        both = -eta / ratio * d_1 + ratio * (1 - eta) * d_2
        rest = probe - euler - 0.5 * then * h / scale * both
        zeta = torch.sigmoid((_projection(rest, d_1) / (h * then)).abs() - 0.5)
        w_r = euler + 0.5 * then * h / zeta * both
        return to_state(leg, w_r, leg.r), _Past(past.first, d_0, now, ahead)


def _projection(a: Tensor, b: Tensor) -> Tensor:
    """<a, b>/<b, b> of each item and channel, within -2 and 2."""
    axes = tuple(range(2, a.ndim))

    def inner(u: Tensor, v: Tensor) -> Tensor:
        product = (u.conj() * v).real if u.is_complex() else u * v
        return product.sum(axes, keepdim=True) if axes else product

    power = inner(b, b)
    out = inner(b, a) / power.where(power > 0, 1.0)
    return out.clamp(-2, 2)
