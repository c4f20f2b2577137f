"""Restart sampling: back up to a higher noise level, and down again."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from torch import Tensor

from sciddm.sampling.edm_space import to_state, to_w
from sciddm.sampling.grids import karras
from sciddm.sampling.steps import Heun, Mean, Step
from sciddm.sampling.transition import Leg

__all__ = ["Restart"]


@dataclass(frozen=True)
class Restart:
    """Where the run passes sigma = ``low``, ``times`` times: up to ``high``, and down again.

    w <- w + sqrt(high^2 - low^2) z, then the flow from high to low on ``steps`` Karras steps. Added
    noise halves what is wrong with a state again and again, while the flow adds little error in
    between: marginals are kept exactly by both. Xu et al., Restart Sampling for Improving
    Generative Processes, 2023, algorithm 1.

    Args:
        low, high: noise levels s/a between which the run goes back and forth.
        times: K.
        steps: of each way down.
        step: of the run and of each way down.
    """

    low: float
    high: float
    times: int = 4
    steps: int = 5
    step: Step = Heun()  # noqa: RUF009 - frozen, without state

    def __post_init__(self) -> None:
        if not 0 < self.low < self.high:
            raise ValueError(f"restart needs 0 < low < high, not {self.low} and {self.high}")

    def __call__(self, leg: Leg, mean: Mean, x: Tensor, memory: Any) -> tuple[Tensor, Any]:
        process = leg.process
        before, after = (float(process.sigma(v)) for v in (leg.t, leg.r))
        x, memory = self.step(leg, mean, x, memory)
        if not (after <= self.low < before and after > 0):
            return x, memory
        down = karras(process, self.steps, self.high, after)
        rise = math.sqrt(self.high**2 - after**2)
        for _ in range(self.times):
            x = to_state(leg, to_w(leg, x, leg.r) + rise * leg.randn(x), down[0])
            memory = None
            for t, r in pairwise(down):
                x, memory = self.step(Leg(process, t, r, leg.y, leg.randn), mean, x, memory)
        return x, None
