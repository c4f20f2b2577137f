"""Pseudo numerical methods: Adams-Bashforth of the noise, put into DDIM's transition."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

from torch import Tensor

from sciddm.sampling.edm_space import between, log_snr_at
from sciddm.sampling.steps import Mean
from sciddm.sampling.transition import Leg

__all__ = ["PNDM"]

_WEIGHTS = (
    (1.0,),
    (3 / 2, -1 / 2),
    (23 / 12, -16 / 12, 5 / 12),
    (55 / 24, -59 / 24, 37 / 24, -9 / 24),
)


@dataclass(frozen=True)
class PNDM:
    """PNDM and PLMS: z^ = (x - a D - b y)/s is extrapolated from the last four evaluations::

        z' = (55 z_0 - 59 z_1 + 37 z_2 - 9 z_3) / 24,    w_r = w_t + (sigma_r - sigma_t) z'

    The weights are Adams-Bashforth's of fourth order for equal steps in the grid's index. The
    transition, which takes z' for constant in sigma, is second order all the same, and so is the
    method; a jump in the grid costs the order. Liu et al., Pseudo Numerical Methods for Diffusion
    Models on Manifolds, 2022, eqs. 11-13.

    Args:
        start: "plms" starts with lower orders, one evaluation a step; "runge-kutta" (F-PNDM) makes
            three steps of four evaluations with (e_1 + 2 e_2 + 2 e_3 + e_4) / 6 at start, middle
            (in lambda) and end; "improved-euler" (S-PNDM) makes one step of two evaluations and
            then goes on with (3 z_0 - z_1) / 2.
    """

    start: Literal["plms", "runge-kutta", "improved-euler"] = "plms"

    def __call__(self, leg: Leg, mean: Mean, x: Tensor, memory: Any) -> tuple[Tensor, Any]:
        past: tuple[Tensor, ...] = memory or ()
        x0 = mean(x, leg.t)
        if not math.isfinite(log_snr_at(leg.process, leg.t)):
            return leg.transition(x, x0, 0.0), past
        now = leg.noise_estimate(x, x0)
        assert isinstance(now, Tensor)
        past = (now, *past)[: 2 if self.start == "improved-euler" else 4]
        if not math.isfinite(log_snr_at(leg.process, leg.r)):
            return leg.transition(x, x0, 0.0), past
        if self.start == "runge-kutta" and len(past) < 4:
            z = _runge_kutta(leg, mean, x, now)
        elif self.start == "improved-euler" and len(past) < 2:
            z = 0.5 * (now + _noise(leg, mean, _transfer(leg, x, now, leg.r), leg.r))
        else:
            weights = _WEIGHTS[len(past) - 1]
            z = sum((w * e for w, e in zip(weights[1:], past[1:], strict=True)), weights[0] * now)
        return _transfer(leg, x, z, leg.r), past


def _runge_kutta(leg: Leg, mean: Mean, x: Tensor, e_1: Tensor) -> Tensor:
    middle = between(leg, 0.5)
    e_2 = _noise(leg, mean, _transfer(leg, x, e_1, middle), middle)
    e_3 = _noise(leg, mean, _transfer(leg, x, e_2, middle), middle)
    e_4 = _noise(leg, mean, _transfer(leg, x, e_3, leg.r), leg.r)
    return (e_1 + 2 * e_2 + 2 * e_3 + e_4) / 6


def _transfer(leg: Leg, x: Tensor, z: Tensor, r: float) -> Tensor:
    """DDIM's transition to time r with the noise z: w_r = w_t + (sigma_r - sigma_t) z."""
    a, b, s = leg.process(leg.t)
    x0 = (x - leg.process.shift(b, leg.y) - s * z) / a
    a_r, b_r, s_r = leg.process(r)
    return a_r * x0 + leg.process.shift(b_r, leg.y) + s_r * z


def _noise(leg: Leg, mean: Mean, x: Tensor, t: float) -> Tensor:
    z = leg.noise_estimate(x, mean(x, t), at=t)
    assert isinstance(z, Tensor)
    return z
