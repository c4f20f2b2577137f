"""Gaussian priors whose power spectrum depends on the distance from the centre of k-space alone.

    x0 ~ N(0, F^H diag(P) F),   P = P(|f|)

with F the orthonormal Fourier transform over the last axes of an item and f in cycles a pixel. They
hold for images of any size. The denoiser is Wiener's filter, and draws given a linear measurement
are exact up to the solution of a linear system. So the spectrum can be learned from measurements
alone (``training.expectation``): it is where the training of a network from measurements begins.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from sciddm.denoiser import Denoiser
from sciddm.ledger import record
from sciddm.physics.cg import conjugate_gradient_image
from sciddm.physics.measurement import Measurement
from sciddm.process import Process, Scalar, expand

__all__ = ["RadialGaussian", "radial_power"]

#: Distances from the centre of k-space at which the spectrum is known, in cycles a pixel.
_BINS = 24
_LARGEST = 0.5**0.5


class RadialGaussian(Denoiser):
    """The exact denoiser of a stationary Gaussian prior of mean 0.

    Args:
        process: any process.
        profile: P at equally spaced distances from 0 to 0.71 cycles a pixel, (n,), above 0; linear
            in its logarithm between them. Complex data: P = E|F x0|^2.
        ndim: axes of an item that are Fourier transformed, the last ones.
    """

    def __init__(self, process: Process, profile: Tensor, ndim: int = 2) -> None:
        super().__init__()
        self.process = process
        self.profile = profile.double()
        self.ndim = ndim
        self.data_std = float(profile.mean() ** 0.5)

    def power(self, shape: Sequence[int]) -> Tensor:
        """P of every frequency of an item whose last axes are ``shape``."""
        place = _distances(shape) / _LARGEST * (len(self.profile) - 1)
        low = place.floor().long().clamp(max=len(self.profile) - 2)
        rest = place - low
        logarithm = self.profile.log()
        return ((1 - rest) * logarithm[low] + rest * logarithm[low + 1]).exp().float()

    def forward(
        self, x_t: Tensor, t: Scalar, y: Tensor | None = None, cond: Tensor | None = None
    ) -> Tensor:
        record(nfe=x_t.shape[0])
        a, b, s = self.process(t)
        u = x_t - self.process.shift(b, y)
        a, s = expand(a, u), expand(s, u)
        power = self.power(u.shape[-self.ndim :]).to(u.device)
        return self._filtered(u, a * power / (a**2 * power + s**2))

    def covariance(self, v: Tensor) -> Tensor:
        """F^H diag(P) F v, in the shape of v (..., ndim axes)."""
        return self._filtered(v, self.power(v.shape[-self.ndim :]).to(v.device))

    def posterior_draw(
        self,
        measurement: Measurement,
        like: Tensor,
        randn: Callable[[Tensor], Tensor],
        iterations: int = 40,
    ) -> Tensor:
        """A draw of x0 given y = A x0 + n, exact where the system is solved:

            x' ~ prior,  n' ~ noise,  x0 = x' + S A^H (A S A^H + sigma^2 I)^-1 (y + n' - A x')

        Args:
            measurement: of a batch.
            like: (B, ...) in the shape and type of x0.
            randn: unit noise in the shape and type of its argument.
            iterations: conjugate gradient steps.
        """
        m, A = measurement, measurement.A
        power = self.power(like.shape[-self.ndim :]).to(like.device)
        prior = self._filtered(randn(like), power.sqrt())
        rest = m.residual(prior) + m.sigma * randn(m.y)

        def system(v: Tensor) -> tuple[Tensor, Tensor]:
            back = self.covariance(A.adjoint(v))
            return m.sigma**2 * v + A(back), back

        return prior + conjugate_gradient_image(
            system,
            rest,
            torch.zeros_like(prior),
            A.range_ndim,
            iterations,
            floor=m.sigma**2,
        )

    def _filtered(self, x: Tensor, gain: Tensor) -> Tensor:
        axes = tuple(range(-self.ndim, 0))
        out: Tensor = torch.fft.ifftn(gain * torch.fft.fftn(x, dim=axes), dim=axes)
        return out if x.is_complex() else out.real


def radial_power(images: Sequence[Tensor], ndim: int = 2) -> Tensor:
    """The profile of ``RadialGaussian`` that fits images best: mean |F x|^2 by distance.

    Args:
        images: of any sizes (..., ndim axes).
        ndim: axes that are Fourier transformed.

    Returns:
        (24,) float64. Distances at which no image has a frequency take the value before them.
    """
    axes = tuple(range(-ndim, 0))
    total = torch.zeros(_BINS, dtype=torch.float64)
    count = torch.zeros(_BINS, dtype=torch.float64)
    for image in images:
        shape = image.shape[-ndim:]
        power = torch.fft.fftn(image, dim=axes, norm="ortho").abs().double().square()
        power = power.reshape(-1, *shape).mean(0).flatten().cpu()
        place = (_distances(shape) / _LARGEST * (_BINS - 1)).flatten()
        low = place.floor().long().clamp(max=_BINS - 2)
        for index, weight in ((low, 1 - (place - low)), (low + 1, place - low)):
            total.index_add_(0, index, weight * power)
            count.index_add_(0, index, weight)
    profile = total / count.clamp(min=1e-12)
    for k in range(_BINS):
        if count[k] < 1e-6 and k:
            profile[k] = profile[k - 1]
    return profile.clamp(min=1e-12 * float(profile.max()))


def _distances(shape: Sequence[int]) -> Tensor:
    """Distance of every frequency from 0, in cycles a pixel, at most 0.71."""
    squares = torch.zeros(tuple(shape), dtype=torch.float64)
    for axis, n in enumerate(shape):
        along = torch.fft.fftfreq(n, dtype=torch.float64).square()
        squares = squares + along.reshape([n if k == axis else 1 for k in range(len(shape))])
    return squares.sqrt().clamp(max=_LARGEST)
