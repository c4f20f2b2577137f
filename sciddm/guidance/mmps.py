"""Moment matching posterior sampling."""

from __future__ import annotations

import torch
from torch import Tensor

from sciddm.denoiser import Denoiser
from sciddm.guidance.base import AnyMeasurement, Guided
from sciddm.physics.cg import conjugate_gradient_image, preconditioned_image
from sciddm.process import Scalar, expand

__all__ = ["MMPS"]


class MMPS(Guided):
    """x0^ + V H^T (H V H^T + R)^-1 (y - H x0^), with V = (s^2/a) J the denoiser's own covariance.

    Rozet et al., Learning Diffusion Priors from Observations by Expectation Maximization, 2024,
    section 4.2. Exact for a Gaussian prior; there is no strength to choose. The system is solved
    by a few conjugate gradient steps, one VJP each: J is symmetric, so the VJP stands
    for the product J v.

    A trained network's J is symmetric only to some 10 to 30 % of its norm. If the data are much
    cleaner than the noise level s/a, the system's condition number (s/a)^2/R magnifies that until
    the steps diverge. ``inflation`` limits it: R + (inflation s/a)^2 stands for R. What this
    leaves of the residual is for a proximal step, ``DiffPIR(MMPS(...))``.

    Args:
        krylov: conjugate gradient steps.
        inflation: standard deviation added to the data's, in units of the noise level s/a.
        precondition: conjugate gradient steps for (H r^2 H^H + R)^-1 as an approximate inverse,
            with r^2 from ``spread``; 0 for none. The first step is then PiGDM's, of the best
            length: it costs products with H and saves VJPs.
    """

    def __init__(
        self,
        denoiser: Denoiser,
        measurement: AnyMeasurement,
        krylov: int = 3,
        inflation: float = 0.0,
        *,
        precondition: int = 0,
    ) -> None:
        super().__init__(denoiser, measurement)
        self.krylov = krylov
        self.inflation = inflation
        self.precondition = precondition

    def forward(
        self, x_t: Tensor, t: Scalar, y: Tensor | None = None, cond: Tensor | None = None
    ) -> Tensor:
        mean, vjp = self.denoiser.mean_and_vjp(x_t, t, y, cond)
        m = self.measurement.at(mean)
        a, _, s = self.process(t)
        if not isinstance(s, Tensor) and s == 0:
            return mean
        scale = expand(s**2 / a, mean)
        e = m.residual(mean)
        noise = m.sigma**2 + expand((self.inflation * s / a) ** 2, e)

        def covariance(v: Tensor) -> tuple[Tensor, Tensor]:
            back = scale * vjp(m.A.adjoint(v))  # V H^H v, which is also what the answer is made of
            return noise * v + m.A(back), back

        floor = m.sigma**2 if isinstance(noise, Tensor) else noise
        with torch.no_grad():
            if self.precondition:
                r2 = self.spread(float(t))

                def inverse(r: Tensor) -> Tensor:
                    # (R + r^2 H H^H)^-1 r, by Woodbury's formula; R is white here.
                    ridge = m.A.ridge(r, noise / r2, iterations=self.precondition)
                    return (r - m.A(ridge)) / noise

                return mean + preconditioned_image(
                    covariance,
                    inverse,
                    e,
                    torch.zeros_like(mean),
                    m.A.range_ndim,
                    self.krylov,
                    floor=floor,
                )
            return mean + conjugate_gradient_image(
                covariance,
                e,
                torch.zeros_like(mean),
                m.A.range_ndim,
                self.krylov,
                floor=floor,
            )
