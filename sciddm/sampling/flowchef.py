"""FlowChef: the state follows the gradient of the misfit at the estimate, Jacobian skipped."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from sciddm.guidance.base import AnyMeasurement
from sciddm.sampling.steps import Mean
from sciddm.sampling.transition import Leg

__all__ = ["FlowChef"]


@dataclass(frozen=True)
class FlowChef:
    """x_t <- x_t + k a A^H (y - A x0^(x_t)), ``times`` times, then the step of the flow.

    Patel et al., FlowChef: Steering Rectified Flow Models for Controlled Generations, 2024,
    algorithm 1. No VJP, ``times`` + 1 evaluations. It runs on the prior without guidance.

    Args:
        measurement: the data.
        strength: k, of the order of 1 / |A|^2.
        times: how often at each level.
    """

    measurement: AnyMeasurement
    strength: float = 1.0
    times: int = 1

    def __call__(self, leg: Leg, mean: Mean, x: Tensor, memory: Any) -> tuple[Tensor, Any]:
        a = leg.process(leg.t)[0]
        x0 = mean(x, leg.t)
        for _ in range(self.times):
            m = self.measurement.at(x0)
            x = x + self.strength * a * m.A.adjoint(m.residual(x0))
            x0 = mean(x, leg.t)
        return leg.transition(x, x0, 0.0), None
