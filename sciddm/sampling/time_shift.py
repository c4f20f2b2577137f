"""Time shift: the network is told the noise that the state has, not what the schedule says."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from sciddm.sampling.edm_space import to_w
from sciddm.sampling.steps import Mean, Step
from sciddm.sampling.transition import Leg

__all__ = ["TimeShift"]


@dataclass(frozen=True)
class TimeShift:
    """A step whose network is evaluated at the time whose variance the state has.

    The state's own noise level is read off its power, per item: E|w|^2/n = data_std^2 + sigma^2
    for data of mean 0, so sigma_*^2 = |w|^2/n - data_std^2, kept within a factor ``window`` of the
    schedule's sigma. Li, Qu, Yao, Sun, Moens, Alleviating Exposure Bias in Diffusion Models
    through Sampling with Shifted Time Steps, 2024, algorithm 3, who leave the data's variance out.

    Args:
        step: whose estimates are shifted.
        data_power: E|x0|^2 per element, data_std^2 plus the squared mean.
        window: the largest factor between the two noise levels.
        cutoff: noise level s/a below which nothing is shifted, in units of the data's root mean
            square: there the data's own power, which differs from item to item, says more than
            the noise.
    """

    step: Step
    data_power: float
    window: float = 1.2
    cutoff: float = 1.0

    def __call__(self, leg: Leg, mean: Mean, x: Tensor, memory: Any) -> tuple[Tensor, Any]:
        process = leg.process

        def shifted(x_t: Tensor, t: float) -> Tensor:
            sigma = float(process.sigma(t))
            if sigma < self.cutoff * math.sqrt(self.data_power) or not math.isfinite(sigma):
                return mean(x_t, t)
            power = to_w(leg, x_t, t).abs().square().flatten(1).mean(1).double()
            level = (power - self.data_power).clamp(min=0).sqrt()
            level = level.clamp(sigma / self.window, sigma * self.window)
            times = process.times(level)
            # The state keeps its place: only what the network is told changes.
            per_item: Any = torch.as_tensor(times, device=x_t.device)
            return mean(x_t, per_item)

        return self.step(leg, shifted, x, memory)
