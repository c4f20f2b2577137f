"""Pseudo-inverse guidance."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from sciddm.denoiser import Denoiser
from sciddm.guidance.base import AnyMeasurement, Guided
from sciddm.guidance.bounded import OVERSHOOT, bounded
from sciddm.physics.operator import inner
from sciddm.process import Scalar

__all__ = ["PiGDM", "Twist"]


@dataclass(frozen=True)
class Twist:
    """What one evaluation says of a state and of its data.

    ``mean`` is E[x0 | x_t] (B, ...), ``guided`` is E[x0 | x_t, y] (B, ...), and ``log_likelihood``
    (B,) is log p(y | x_t) in nats without its normalisation, -e^H (r^2 H H^H + R)^-1 e / 2 (no
    half for complex data).
    """

    mean: Tensor
    guided: Tensor
    log_likelihood: Tensor

    def take(self, chosen: Tensor) -> Twist:
        """That of other states of the batch, by their places."""
        return Twist(self.mean[chosen], self.guided[chosen], self.log_likelihood[chosen])


class PiGDM(Guided):
    """x0^ + V H^T (r^2 H H^T + R)^-1 (y - H x0^), with r^2 from ``spread`` and R = sigma_y^2 I.

    Song et al., Pseudoinverse-Guided Diffusion Models, 2023, eq. 7. The inverse is moved to the
    domain, H^T (r^2 H H^T + R)^-1 = (r^2 H^T H + R)^-1 H^T, so operators with a closed-form solve
    use it. One VJP per evaluation. A step that would lead far beyond the data ends at
    them (``bounded``).

    Args:
        denoiser: the prior.
        measurement: the data.
        overshoot: as of ``bounded``.
    """

    def __init__(
        self, denoiser: Denoiser, measurement: AnyMeasurement, overshoot: float = OVERSHOOT
    ) -> None:
        super().__init__(denoiser, measurement)
        self.overshoot = overshoot

    def forward(
        self, x_t: Tensor, t: Scalar, y: Tensor | None = None, cond: Tensor | None = None
    ) -> Tensor:
        mean, vjp = self.denoiser.mean_and_vjp(x_t, t, y, cond)
        m = self.measurement.at(mean)
        r2 = self.spread(float(t))
        a, _, s = self.process(t)
        if r2 == 0:
            return mean
        e = m.residual(mean)
        g = m.A.ridge(e, m.sigma**2 / r2, iterations=m.iterations) / r2
        return mean + bounded(s**2 / a * vjp(g), e, m, self.overshoot)

    def twist(
        self, x_t: Tensor, t: float, y: Tensor | None = None, cond: Tensor | None = None
    ) -> Twist:
        """The guided mean beside log p(y | x_t), of which it follows the gradient.

        With z = argmin |e - H z|^2 / sigma_y^2 + |z|^2 / r^2, which guidance solves for anyway, the
        quadratic form is that minimum: it loses no digits where the noise is small.
        """
        mean, vjp = self.denoiser.mean_and_vjp(x_t, t, y, cond)
        m = self.measurement.at(mean)
        e = m.residual(mean)
        r2 = self.spread(t)
        a, _, s = self.process(t)
        if r2 == 0:
            return Twist(mean, mean, _misfit(e, m.A.range_ndim) / m.sigma**2)
        z = m.A.ridge(e, m.sigma**2 / r2, iterations=m.iterations)
        rest = _misfit(e - m.A(z), m.A.range_ndim) / m.sigma**2
        guided = mean + bounded(s**2 / a * vjp(z / r2), e, m, self.overshoot)
        return Twist(mean, guided, rest + _misfit(z, m.A.domain_ndim) / r2)


def _misfit(e: Tensor, ndim: int) -> Tensor:
    """-|e|^2 / 2 of each item (B,); -|e|^2 for complex data."""
    return -(1.0 if e.is_complex() else 0.5) * inner(e, e, ndim).real.flatten(1).sum(1)
