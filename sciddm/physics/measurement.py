"""A measurement y = A x + n with Gaussian noise, and what samplers ask of it."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from sciddm.physics.noise import ChannelNoise, IndependentNoise
from sciddm.physics.operator import Linear, Operator, inner

Noise = ChannelNoise | IndependentNoise

__all__ = ["Measurement", "NonlinearMeasurement"]


class Measurement:
    """y = A x + n, n ~ N(0, sigma^2 I); for complex data E|n|^2 = sigma^2.

    Noise of another covariance is whitened: ``Measurement.of(y, A, noise)``.

    Args:
        y: data, range of A.
        A: the operator.
        sigma: standard deviation of the noise.
        iterations: conjugate gradient steps of ``prox`` and ``draw`` where A has no closed form.
    """

    def __init__(self, y: Tensor, A: Linear, sigma: float, *, iterations: int = 10) -> None:
        if not sigma > 0:
            raise ValueError(f"the noise level must be positive, not {sigma}")
        self.y, self.A, self.sigma, self.iterations = y, A, float(sigma), iterations

    @classmethod
    def of(cls, y: Tensor, A: Linear, noise: Noise, *, iterations: int = 10) -> Measurement:
        """The measurement W y = W A x + W n, whose noise is white with sigma = 1.

        Its misfit is |W (y - A x)|^2 / 2, as (y - A x)^H C^-1 (y - A x) / 2; ``y``, ``A`` and
        ``residual`` are those of the whitened data.

        Args:
            y: data, range of A.
            A: the operator.
            noise: ``ChannelNoise``, or ``IndependentNoise`` for statistical weights.
            iterations: as above.
        """
        W = noise.whitening(A.range_ndim)
        return cls(W(y), W @ A, 1.0, iterations=iterations)

    def at(self, x: Tensor) -> Measurement:
        """What the measurement looks like near x: itself, since A is linear."""
        return self

    def residual(self, x: Tensor) -> Tensor:
        """y - A x, in the units of y."""
        return self.y - self.A(x)

    def log_likelihood(self, x: Tensor, measured: int | Tensor | None = None) -> Tensor:
        """log N(y; A x, sigma^2 I) of each item, in nats.

        -|y - A x|^2 / (2 sigma^2) - m/2 ln(2 pi sigma^2); for complex data
        -|y - A x|^2 / sigma^2 - m ln(pi sigma^2).

        Args:
            x: (B, ...).
            measured: m, how many entries of y are measured, one number or one per item (B,);
                those that are not 0 if not given.

        Returns:
            (B,), in double precision.
        """
        e = self.residual(x)
        n = self.A.range_ndim
        power = inner(e, e, n).real.double().flatten(1).sum(1) / self.sigma**2
        if measured is None:
            measured = (self.y != 0).flatten(-n).sum(-1)
        count = torch.as_tensor(measured, dtype=torch.float64, device=power.device)
        if count.ndim > 1:
            count = count.reshape(-1)
        if e.is_complex():
            return -power - count * math.log(math.pi * self.sigma**2)
        return -0.5 * power - 0.5 * count * math.log(2 * math.pi * self.sigma**2)

    def grad(self, x: Tensor) -> Tensor:
        """Gradient of |y - A x|^2 / (2 sigma^2): -A^H (y - A x) / sigma^2."""
        return -self.A.adjoint(self.residual(x)) / self.sigma**2

    def prox(self, x: Tensor, r2: float | Tensor) -> Tensor:
        """argmin_z |y - A z|^2 / sigma^2 + |z - x|^2 / r2.

        z = x + (A^H A + (sigma^2/r2) I)^-1 A^H (y - A x); the mean of the conditional that
        ``draw`` samples. Conjugate gradients start at x, where the residual is already small.
        """
        if not torch.is_tensor(r2) and r2 <= 0:
            return x
        rho = self.sigma**2 / r2
        return x + self.A.ridge(self.residual(x), rho, iterations=self.iterations)

    def draw(self, x: Tensor, r2: float | Tensor, randn: Callable[[Tensor], Tensor]) -> Tensor:
        """A sample of p(z) ~ N(y; A z, sigma^2) N(z; x, r2), by perturbing and solving.

        With x' = x + r e1 and y' = y + sigma e2 the minimiser of ``prox`` has exactly that mean
        and covariance (Papandreou and Yuille, 2010).

        Args:
            x: the prior's centre.
            r2: its variance (complex: E|z - x|^2).
            randn: unit noise in the shape and type of its argument.
        """
        if not torch.is_tensor(r2) and r2 <= 0:
            return x
        shaken = x + r2**0.5 * randn(x)
        noise = self.sigma * randn(self.y.expand(self._range_shape(x)))
        rho = self.sigma**2 / r2
        step = self.A.ridge(self.residual(shaken) + noise, rho, iterations=self.iterations)
        return shaken + step

    def _range_shape(self, x: Tensor) -> torch.Size:
        batch = x.shape[: x.ndim - self.A.domain_ndim]
        own = self.y.shape[: self.y.ndim - self.A.range_ndim]
        return torch.Size(
            (*torch.broadcast_shapes(batch, own), *self.y.shape[self.y.ndim - self.A.range_ndim :])
        )


class NonlinearMeasurement:
    """y = A(x) + n, n ~ N(0, sigma^2 I), with an operator that is not linear.

    Guidance looks at it near the current mean, where it is linear: with J the Jacobian at m,

        y - A(m) + J m  ~=  J x + n

    the Gauss-Newton step of the misfit |y - A(x)|^2. Its residual at m is the true one, y - A(m).

    Args:
        y: data, range of A.
        A: the operator.
        sigma: standard deviation of the noise.
        iterations: as of ``Measurement``.
    """

    def __init__(self, y: Tensor, A: Operator, sigma: float, *, iterations: int = 10) -> None:
        if not sigma > 0:
            raise ValueError(f"the noise level must be positive, not {sigma}")
        self.y, self.A, self.sigma, self.iterations = y, A, float(sigma), iterations

    def at(self, x: Tensor) -> Measurement:
        """The measurement linearised about x."""
        tangent = self.A.linearised(x)
        y = self.y - self.A(x) + tangent(x)
        return Measurement(y, tangent, self.sigma, iterations=self.iterations)

    def residual(self, x: Tensor) -> Tensor:
        """y - A(x), in the units of y."""
        return self.y - self.A(x)
