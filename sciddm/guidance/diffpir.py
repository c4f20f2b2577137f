"""Proximal guidance: DiffPIR and DDS."""

from __future__ import annotations

import math

from torch import Tensor

from sciddm.denoiser import Denoiser
from sciddm.guidance.base import AnyMeasurement, Guided
from sciddm.process import Scalar

__all__ = ["DDS", "DiffPIR"]


class DiffPIR(Guided):
    """argmin_x |y - H x|^2 / sigma_y^2 + lam |x - x0^|^2 / r^2, r^-2 = sigma^-2 + error^-2.

    Zhu et al., Denoising Diffusion Models for Plug-and-Play Image Restoration, 2023, eq. 13, whose
    r^2 is sigma^2 = (s/a)^2 (``error`` infinite). No VJP. The prior's variance is taken as white,
    r^2 / lam.

    With data of standard deviation ``error`` and lam = 1 that is the r^2 of PiGDM, the variance of
    x0 given x_t if both were white. Images have far less of it at high noise than sigma^2: with
    data that leave much open, as few views do, a step which takes x0^ for that uncertain puts
    more of their errors into the image than later steps take out.

    Args:
        lam: weight of the prior; larger trusts it more.
        error: the largest standard deviation of x0 about x0^, in units of x0.
    """

    def __init__(
        self,
        denoiser: Denoiser,
        measurement: AnyMeasurement,
        lam: float = 1.0,
        error: float = math.inf,
    ) -> None:
        super().__init__(denoiser, measurement)
        self.lam, self.error = lam, error

    def forward(
        self, x_t: Tensor, t: Scalar, y: Tensor | None = None, cond: Tensor | None = None
    ) -> Tensor:
        mean = self.denoiser(x_t, t, y, cond)
        sigma = float(self.process.sigma(t))
        r2 = 0.0 if sigma == 0 else 1 / (sigma**-2 + self.error**-2)
        return self.measurement.at(mean).prox(mean, r2 / self.lam)


class DDS(Guided):
    """(I + gamma H^T H)^-1 (x0^ + gamma H^T y): a proximal step of fixed weight.

    Chung et al., Decomposed Diffusion Sampler, 2024, eq. 15; with gamma = r^2 / sigma_y^2 it is
    ``Measurement.prox``. The number of conjugate gradient steps is the measurement's.

    Args:
        gamma: weight of the data.
    """

    def __init__(self, denoiser: Denoiser, measurement: AnyMeasurement, gamma: float = 1.0) -> None:
        super().__init__(denoiser, measurement)
        self.gamma = gamma

    def forward(
        self, x_t: Tensor, t: Scalar, y: Tensor | None = None, cond: Tensor | None = None
    ) -> Tensor:
        mean = self.denoiser(x_t, t, y, cond)
        return self.measurement.at(mean).prox(mean, self.gamma * self.measurement.sigma**2)
