"""Proximal guidance: DiffPIR and DDS."""

from __future__ import annotations

from torch import Tensor

from sciddm.denoiser import Denoiser
from sciddm.guidance.base import AnyMeasurement, Guided
from sciddm.process import Scalar

__all__ = ["DDS", "DiffPIR"]


class DiffPIR(Guided):
    """argmin_x |y - H x|^2 / sigma_y^2 + lam |x - x0^|^2 / sigma^2, sigma = s/a.

    Zhu et al., Denoising Diffusion Models for Plug-and-Play Image Restoration, 2023, eq. 13. No
    VJP. The prior's variance is taken as white, sigma^2 / lam.

    Args:
        lam: weight of the prior; larger trusts it more.
    """

    def __init__(self, denoiser: Denoiser, measurement: AnyMeasurement, lam: float = 1.0) -> None:
        super().__init__(denoiser, measurement)
        self.lam = lam

    def forward(
        self, x_t: Tensor, t: Scalar, y: Tensor | None = None, cond: Tensor | None = None
    ) -> Tensor:
        mean = self.denoiser(x_t, t, y, cond)
        return self.measurement.at(mean).prox(mean, float(self.process.sigma(t)) ** 2 / self.lam)


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
