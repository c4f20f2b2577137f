"""EDM's stochastic sampler: noise is added before a step takes it away."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from sciddm.sampling.edm_space import to_state, to_w
from sciddm.sampling.steps import Heun, Mean, Step
from sciddm.sampling.transition import Leg

__all__ = ["Churn"]


@dataclass(frozen=True)
class Churn:
    """From sigma up to sigma' = sigma (1 + gamma) by fresh noise, then a step down from there.

    w' = w + noise sqrt(sigma'^2 - sigma^2) z,  gamma = min(amount / steps, sqrt 2 - 1) for
    low <= sigma <= high. Errors of earlier steps are forgotten with the noise that carried them.
    Karras et al., Elucidating the Design Space, 2022, algorithm 2.

    Args:
        amount: S_churn, noise that is added along the run, in steps of the whole.
        steps: N of the grid.
        step: what goes down; without memory, since its last estimate is from another time.
        low, high: S_tmin and S_tmax, noise levels s/a.
        noise: S_noise. Above 1 it makes up for networks that remove too much; it biases an exact
            denoiser.
    """

    amount: float
    steps: int
    step: Step = Heun()  # noqa: RUF009 - frozen, without state
    low: float = 0.0
    high: float = math.inf
    noise: float = 1.0

    def __call__(self, leg: Leg, mean: Mean, x: Tensor, memory: Any) -> tuple[Tensor, Any]:
        process = leg.process
        sigma = float(process.sigma(leg.t))
        ceiling = float(process.sigma(process.t_max))
        gamma = min(self.amount / self.steps, math.sqrt(2) - 1)
        raised = min(sigma * (1 + gamma), ceiling)
        if not self.low <= sigma <= self.high or raised <= sigma:
            return self.step(leg, mean, x, None)[0], None
        t = process.time(raised)
        added = self.noise * math.sqrt(raised**2 - sigma**2) * leg.randn(x)
        x = to_state(leg, to_w(leg, x, leg.t) + added, t)
        return self.step(Leg(process, t, leg.r, leg.y, leg.randn), mean, x, None)[0], None
