"""Tweedie moment projection."""

from __future__ import annotations

import torch
from torch import Tensor

from sciddm.guidance.base import Guided
from sciddm.guidance.bounded import bounded
from sciddm.process import Scalar

__all__ = ["TMPD"]


class TMPD(Guided):
    """x0^ + V H^H (diag(H V H^H 1) + R)^-1 e: row sums stand for the diagonal of the covariance.

    Boys et al., Tweedie Moment Projected Diffusions for Inverse Problems, 2024, eq. 8. Two VJPs.
    Exact where H V H^H is diagonal, as for denoising with a prior of independent elements.
    Elsewhere row sums can be near 0 or negative, where the published step diverges: they are
    clamped at 0. A step that would lead far beyond the data ends at them (``bounded``). ``MMPS``
    solves the whole system instead.
    """

    def forward(
        self, x_t: Tensor, t: Scalar, y: Tensor | None = None, cond: Tensor | None = None
    ) -> Tensor:
        mean, vjp = self.denoiser.mean_and_vjp(x_t, t, y, cond)
        m = self.measurement.at(mean)
        a, _, s = self.process(t)
        e = m.residual(mean)
        rows = m.A(s**2 / a * vjp(m.A.adjoint(torch.ones_like(e))))
        variance = (rows.real if rows.is_complex() else rows).clamp(min=0) + m.sigma**2
        return mean + bounded(s**2 / a * vjp(m.A.adjoint(e / variance)), e, m)
