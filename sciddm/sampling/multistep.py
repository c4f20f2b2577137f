"""DPM-Solver++(3M): a parabola through the last three estimates."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from sciddm.sampling.edm_space import log_snr_at, phis
from sciddm.sampling.singlestep import DPMSolver3S
from sciddm.sampling.steps import Mean
from sciddm.sampling.transition import Leg, markov, ode

__all__ = ["DPMSolver3M"]


@dataclass(frozen=True)
class DPMSolver3M:
    """DPM-Solver++(3M): one evaluation a step, third order.

    With v the way since lambda_t in units of h, r0 = h_-1/h, r1 = h_-2/h, d0 = (D0 - D1)/r0 and
    d1 = (D1 - D2)/r1 the parabola through three estimates is::

        D(v) = D0 + (d0 + r0 q) v + q v^2,      q = (d0 - d1) / (r0 + r1)

    and its integral with e^(-(h - v h)) stands for D0's. q is half of the second derivative: the
    integral of q v^2 is -2 phi3 q. The published update (Lu et al., DPM-Solver++, 2022, as in
    k-diffusion, diffusers and UniPC's repository) has -phi3 q there, which makes it second order:
    ``published=True`` gives that one.

    The first step is first order and the next one second, unless ``single_start``.

    Args:
        sde: the Markov transition in place of the flow's.
        published: without the factor of 2.
        single_start: the first two steps by DPM-Solver++(3S), for four evaluations more.
    """

    sde: bool = False
    published: bool = False
    single_start: bool = False

    def __call__(self, leg: Leg, mean: Mean, x: Tensor, memory: Any) -> tuple[Tensor, Any]:
        start, end = log_snr_at(leg.process, leg.t), log_snr_at(leg.process, leg.r)
        past: tuple[tuple[float, Tensor], ...] = memory or ()
        h = end - start
        finite = math.isfinite(h)
        if self.single_start and finite and len(past) < 2:
            first: list[Tensor] = []

            def noted(state: Tensor, t: float) -> Tensor:
                first.append(mean(state, t))
                return first[-1]

            x, _ = DPMSolver3S()(leg, noted, x, None)
            return x, ((start, first[0]), *past)
        d_0 = mean(x, leg.t)
        estimate = d_0
        if finite and past and math.isfinite(past[-1][0]):
            one, two, three = phis(h)
            r_0 = (start - past[0][0]) / h
            d0 = (d_0 - past[0][1]) / r_0
            rise = -0.5 * one * d0
            if len(past) > 1:
                r_1 = (past[0][0] - past[1][0]) / h
                d1 = (past[0][1] - past[1][1]) / r_1
                q = (d0 - d1) / (r_0 + r_1)
                rise = two * (d0 + r_0 * q) - (1 if self.published else 2) * three * q
            estimate = d_0 - rise / one
        tau = (markov if self.sde else ode)(leg.process, leg.t, leg.r)
        kept = ((start, d_0), *past)[:2] if math.isfinite(start) else past
        return leg.transition(x, estimate, tau), kept
