"""Second-order Tweedie guidance with a surrogate loss."""

from __future__ import annotations

import torch
from torch import Tensor

from sciddm.denoiser import Denoiser
from sciddm.guidance.base import AnyMeasurement, Guided
from sciddm.physics.operator import inner
from sciddm.process import Scalar
from sciddm.random.streams import fold

__all__ = ["STSL", "hessian_trace"]


def hessian_trace(
    denoiser: Denoiser, x_t: Tensor, t: Scalar, step: float = 1e-2
) -> tuple[Tensor, Tensor]:
    """tr of the Hessian of ln p(x_t) by one finite difference, and its gradient in x_t.

    With d = step s and Rademacher z, of one seed for all items::

        T = z^T (score(x + d z) - score(x)) / d,     score = (a D - u) / s^2
        grad T = (a / s^2) (J(x + d z) - J(x))^T z / d

    E T = (a tr J - n) / s^2. Two evaluations and two VJPs; no second derivative.

    Args:
        denoiser: of real data.
        x_t: state (B, ...).
        t: its time.
        step: of the difference, in units of s.

    Returns:
        T (B,) and its gradient (B, ...).
    """
    a, _, s = denoiser.process(t)
    seed = fold(int(1e6 * float(s / a))) & 0x7FFFFFFF
    z = torch.randn(x_t.shape[1:], generator=torch.Generator().manual_seed(seed))
    z = z.sign().to(x_t.device, x_t.dtype).expand_as(x_t)
    d = step * s
    near, vjp_near = denoiser.mean_and_vjp(x_t, t)
    off, vjp_off = denoiser.mean_and_vjp(x_t + d * z, t)
    change = (a * (off - near) - d * z) / s**2
    trace = (z * change).flatten(1).sum(1) / d
    return trace, a / s**2 * (vjp_off(z) - vjp_near(z)) / d


class STSL(Guided):
    """x0^ + (s^2/a) ( zeta J^T A^T e / |e| - eta s^2 grad T ),  T the trace of ln p's Hessian.

    The likelihood of x0 about its mean loses tr Cov[x0 | x_t] = (s/a)^2 (n + s^2 T), so guidance
    that looks one order further than DPS also lowers T (``hessian_trace``). Rout et al., Beyond
    First-Order Tweedie: Solving Inverse Problems using Latent Diffusion, 2024, there for
    codes of an autoencoder (``physics.Decoded``). For a Gaussian prior the trace is constant and
    this is DPS. Three VJPs and three evaluations. Real data.

    Args:
        zeta: strength of the data, as in ``DPS``.
        eta: strength of the second order.
    """

    def __init__(
        self,
        denoiser: Denoiser,
        measurement: AnyMeasurement,
        zeta: float = 1.0,
        eta: float = 0.02,
    ) -> None:
        super().__init__(denoiser, measurement)
        self.zeta, self.eta = zeta, eta

    def forward(
        self, x_t: Tensor, t: Scalar, y: Tensor | None = None, cond: Tensor | None = None
    ) -> Tensor:
        if x_t.is_complex():
            raise ValueError("STSL is for real data")
        mean, vjp = self.denoiser.mean_and_vjp(x_t, t, y, cond)
        m = self.measurement.at(mean)
        e = m.residual(mean)
        norm = inner(e, e, m.A.range_ndim).real.sqrt().clamp(min=1e-12)
        a, _, s = self.process(t)
        data = self.zeta * vjp(m.A.adjoint(e / norm))
        _, slope = hessian_trace(self.denoiser, x_t, t)
        out: Tensor = mean + s**2 / a * (data - self.eta * s**2 * slope)
        return out
