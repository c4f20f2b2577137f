"""Diffusion posterior sampling."""

from __future__ import annotations

from torch import Tensor

from sciddm.denoiser import Denoiser
from sciddm.guidance.base import AnyMeasurement, Guided
from sciddm.physics.operator import inner
from sciddm.process import Scalar

__all__ = ["DPS"]


class DPS(Guided):
    """x0^ + zeta V H^T e / |e|,  e = y - H x0^.

    Chung et al., Diffusion Posterior Sampling for General Noisy Inverse Problems, 2023, algorithm
    1, whose gradient step on x_t is written here as the correction of the mean. J is the true
    Jacobian and the norm is each item's own. One VJP per evaluation.

    Args:
        zeta: strength. DPS has no way to know it: it depends on the data and the operator.
    """

    def __init__(self, denoiser: Denoiser, measurement: AnyMeasurement, zeta: float = 1.0) -> None:
        super().__init__(denoiser, measurement)
        self.zeta = zeta

    def forward(
        self, x_t: Tensor, t: Scalar, y: Tensor | None = None, cond: Tensor | None = None
    ) -> Tensor:
        mean, vjp = self.denoiser.mean_and_vjp(x_t, t, y, cond)
        m = self.measurement.at(mean)
        e = m.residual(mean)
        norm = inner(e, e, m.A.range_ndim).real.sqrt().clamp(min=1e-12)
        g = m.A.adjoint(e / norm)
        a, _, s = self.process(t)
        return mean + self.zeta * s**2 / a * vjp(g)
