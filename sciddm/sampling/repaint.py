"""RePaint: what is measured is put into the state, the rest follows by going back and forth."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from sciddm.physics.basic import Mask
from sciddm.physics.measurement import Measurement
from sciddm.sampling.steps import Mean
from sciddm.sampling.transition import Leg, markov

__all__ = ["RePaint"]


@dataclass(frozen=True)
class RePaint:
    """Measured entries of x_r are a_r y + noise; then back to t by the forward kernel, repeatedly.

    Noise makes up s_r^2 together with that of the data, a_r^2 sigma_y^2, which the published method
    takes for 0. Going back to t with x_t = (a_t/a_r) x_r + sqrt(s_t^2 - (a_t/a_r)^2 s_r^2) w lets
    the rest of the image see what was put in. Lugmayr et al., RePaint: Inpainting using Denoising
    Diffusion Probabilistic Models, 2022, algorithm 1. No VJP; ``rounds`` evaluations. It runs on
    the prior without guidance.

    Args:
        measurement: of a ``Mask``.
        rounds: 3 to 10; 1 does not go back.

    Raises:
        ValueError: another operator.
    """

    measurement: Measurement
    rounds: int = 3

    def __post_init__(self) -> None:
        if not isinstance(self.measurement.A, Mask):
            raise ValueError("RePaint needs data that are entries of the image: a Mask")

    def __call__(self, leg: Leg, mean: Mean, x: Tensor, memory: Any) -> tuple[Tensor, Any]:
        process, m = leg.process, self.measurement
        assert isinstance(m.A, Mask)
        measured = m.A.d > 0
        (a_t, b_t, s_t), (a_r, b_r, s_r) = process(leg.t), process(leg.r)
        extra = max(s_r**2 - (a_r * m.sigma) ** 2, 0.0) ** 0.5
        shift_r, shift_t = process.shift(b_r, leg.y), process.shift(b_t, leg.y)
        tau = markov(process, leg.t, leg.r)
        for i in range(self.rounds):
            x_r = leg.transition(x, mean(x, leg.t), tau)
            put_in = a_r * m.y + shift_r + extra * leg.randn(x)
            x_r = torch.where(measured, put_in, x_r)
            if i == self.rounds - 1:
                break
            kernel = max(s_t**2 - (a_t / a_r * s_r) ** 2, 0.0) ** 0.5
            x = a_t / a_r * (x_r - shift_r) + shift_t + kernel * leg.randn(x)
        return x_r, None
