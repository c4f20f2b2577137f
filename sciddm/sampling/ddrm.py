"""DDRM: a chain for each singular value of the operator."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from sciddm.physics.measurement import Measurement
from sciddm.physics.spectrum import Spectrum, spectrum
from sciddm.sampling.edm_space import to_state, to_w
from sciddm.sampling.steps import Mean
from sciddm.sampling.transition import Leg

__all__ = ["DDRM"]


@dataclass(frozen=True)
class DDRM:
    """Denoising diffusion restoration: the step in the coordinates of A = U diag(s_i) V^H.

    With w = u/a, sigma the level now and q the next one, data y_i = (U^H y)_i / s_i of noise
    sigma_i = sigma_y / s_i, and estimates x0_i, the next w_i is::

        s_i = 0:      x0_i + sqrt(1 - eta^2) q (w_i - x0_i)/sigma + eta q z
        q < sigma_i:  x0_i + sqrt(1 - eta^2) q (y_i - x0_i)/sigma_i + eta q z
        else:         (1 - eta_b) x0_i + eta_b y_i + sqrt(q^2 - eta_b^2 sigma_i^2) z

    each of variance q^2 about the truth. Kawar et al., Denoising Diffusion Restoration Models,
    2022, eqs. 7 and 8. No VJP; one evaluation. It runs on the prior without guidance.

    Args:
        measurement: of an operator with a ``spectrum``.
        eta: noise where the data say less than the state.
        eta_b: weight of the data where they say more.

    Raises:
        ValueError: an operator without a simple decomposition, or a weight outside 0 to 1.
    """

    measurement: Measurement
    eta: float = 0.85
    eta_b: float = 1.0
    _spectrum: Spectrum = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not (0 <= self.eta <= 1 and 0 <= self.eta_b <= 1):
            raise ValueError(f"eta {self.eta} and eta_b {self.eta_b} lie between 0 and 1")
        object.__setattr__(self, "_spectrum", spectrum(self.measurement.A))

    def __call__(self, leg: Leg, mean: Mean, x: Tensor, memory: Any) -> tuple[Tensor, Any]:
        x0 = mean(x, leg.t)
        sigma, q = (float(leg.process.sigma(t)) for t in (leg.t, leg.r))
        if q == 0 or math.isinf(sigma):
            return leg.transition(x, x0, 1.0), None
        v, m = self._spectrum, self.measurement
        w, estimate = v.analyse(to_w(leg, x, leg.t)), v.analyse(x0)
        data, values = v.data(m.y), v.values
        z = v.analyse(leg.randn(x))
        level = torch.where(values > 0, m.sigma / values.where(values > 0, 1.0), math.inf)
        kept = math.sqrt(1 - self.eta**2) * q
        free = estimate + kept * (w - estimate) / sigma + self.eta * q * z
        known = values > 0
        weak = estimate + kept * (data - estimate) / level.where(known, 1.0) + self.eta * q * z
        rest = (q**2 - (self.eta_b * level.where(known, 0.0)) ** 2).clamp(min=0).sqrt()
        strong = (1 - self.eta_b) * estimate + self.eta_b * data + rest * z
        out = torch.where(known, torch.where(level > q, weak, strong), free)
        return to_state(leg, v.synthesise(out).to(x.dtype), leg.r), None
