"""DPM-Solver++ of two and three evaluations a step, which needs no memory."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from sciddm.sampling.edm_space import between, log_snr_at, phis
from sciddm.sampling.steps import Mean
from sciddm.sampling.transition import Leg, markov, ode

__all__ = ["DPMSolver2S", "DPMSolver3S"]


@dataclass(frozen=True)
class DPMSolver2S:
    """DPM-Solver++(2S): the estimate at the middle of the step stands for that of all of it.

    A first-order step to lambda + h/2, D_a there, and the transition over the whole step with D_a.
    Second order; two evaluations. A step that starts at a = 0 or ends at s = 0 is first order. Lu
    et al., DPM-Solver++, 2022, algorithm 1, r1 = 1/2.

    Args:
        sde: the Markov transition in place of the flow's.
    """

    sde: bool = False

    def __call__(self, leg: Leg, mean: Mean, x: Tensor, memory: Any) -> tuple[Tensor, Any]:
        x0 = mean(x, leg.t)
        if _interior(leg):
            middle = between(leg, 0.5)
            x0 = mean(_part(leg, middle).transition(x, x0, 0.0), middle)
        tau = (markov if self.sde else ode)(leg.process, leg.t, leg.r)
        return leg.transition(x, x0, tau), None


@dataclass(frozen=True)
class DPMSolver3S:
    """DPM-Solver++(3S): estimates at 0, 1/3 and 2/3 of the step make a parabola. Three evaluations.

    With E_a = 3 (D_a - D_0), E_b = 3/2 (D_b - D_0) and the integrals of ``edm_space.phis``::

        D_b from w + phi-terms of D_0 + E_a v/h
        slope (2 E_a - E_b), curvature 3 (E_b - E_a) of the parabola in v/h

    Third order; a step that starts at a = 0 or ends at s = 0 is first order. Lu et al.,
    DPM-Solver, 2022, algorithm 5, in the form of DPM-Solver++.
    """

    def __call__(self, leg: Leg, mean: Mean, x: Tensor, memory: Any) -> tuple[Tensor, Any]:
        d_0 = mean(x, leg.t)
        if not _interior(leg):
            return leg.transition(x, d_0, 0.0), None
        h = log_snr_at(leg.process, leg.r) - log_snr_at(leg.process, leg.t)
        at_a, at_b = between(leg, 1 / 3), between(leg, 2 / 3)
        d_a = mean(_part(leg, at_a).transition(x, d_0, 0.0), at_a)
        slope = 3 * (d_a - d_0)  # per step h
        # Over two thirds of it, where v/h runs to 2/3.
        one, two, _ = phis(2 / 3 * h)
        d_b = mean(_part(leg, at_b).transition(x, d_0 - two / one * 2 / 3 * slope, 0.0), at_b)
        other = 1.5 * (d_b - d_0)
        one, two, three = phis(h)
        estimate = d_0 - (two * (2 * slope - other) - 2 * three * 3 * (other - slope)) / one
        return leg.transition(x, estimate, 0.0), None


def _interior(leg: Leg) -> bool:
    ends = (log_snr_at(leg.process, leg.t), log_snr_at(leg.process, leg.r))
    return all(math.isfinite(v) for v in ends)


def _part(leg: Leg, r: float) -> Leg:
    """From the leg's start to a time within it."""
    return Leg(leg.process, leg.t, r, leg.y, leg.randn)
