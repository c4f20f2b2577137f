"""Line integrals with statistical weights, whose systems are solved in a few steps.

P^T P blurs an image with about 1/r, in frequency 1/|f|, so that conjugate gradients are slow to
resolve fine detail. The blur is nearly the same everywhere, and weights change its strength from
place to place (Fessler and Booth, 1999):

    P^T W P ~ D F^-1 G F D,      D = diag(kappa),  kappa^2 = (P^T w) / (P^T 1),

with G the spectrum of P^T P of a point in the middle and F the Fourier transform. The inverse of
this is at hand, and preconditions the system. It pays where the right-hand side is that of noise
and detail, as the residual of a good guess; a whole image's is dominated by its mean. F is of the
image with a border of zeros: without it one edge acts on the opposite one, and a body that reaches
both is resolved slowly there.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, cast

import torch
from scipy.fft import next_fast_len
from torch import Tensor

from sciddm.physics.cg import preconditioned_conjugate_gradient
from sciddm.physics.operator import Linear
from sciddm.physics.projector import Projector

__all__ = ["WeightedProjection"]

_BORDER = 0.1  # of the image's sides; wider ones make no difference
_FLOOR = 1e-3  # of the largest value, for spectra and weights that an approximation makes too small


class WeightedProjection(Linear):
    """x -> gain sqrt(w) P x.

    Domain: (..., 1, ny, nx); range: (..., 1, V, D).

    Args:
        projector: P.
        weights: w >= 0 (V, D) or (1, V, D), not all 0.
        gain: factor between the image's units and those of the projector.
        tolerance: of `solve`, as that of `preconditioned_conjugate_gradient`.
    """

    def __init__(
        self,
        projector: Projector,
        weights: Tensor,
        gain: float = 1.0,
        tolerance: float = 0.0,
    ) -> None:
        self.projector, self.gain, self.tolerance = projector, float(gain), tolerance
        self.root = weights.sqrt()
        one = torch.ones_like(self.root).expand(1, *self.root.shape[-2:])
        self._kappa = (
            projector.backward(weights.expand_as(one)) / projector.backward(one).clamp(min=1e-12)
        ).sqrt()
        self._kappa = self._kappa.clamp(min=_FLOOR**0.5 * float(self._kappa.max()))
        self._padded = [
            cast(int, next_fast_len(math.ceil((1 + _BORDER) * n), True)) for n in projector.shape
        ]
        self._spectrum = _spectrum(projector, self._padded, weights) * self.gain**2

    def forward(self, x: Tensor) -> Tensor:
        return self.gain * self.root * self.projector.forward(x)

    def backward(self, y: Tensor) -> Tensor:
        return self.gain * self.projector.backward(self.root * y)

    def solve(
        self, rhs: Tensor, rho: float | Tensor, *, iterations: int = 10, start: Tensor | None = None
    ) -> Tensor:
        """(A^T A + rho I)^-1 rhs by preconditioned conjugate gradients."""
        relative: Any = rho / self._kappa.square().mean()
        ny, nx = self.projector.shape

        def precondition(r: Tensor) -> Tensor:
            spectrum = torch.fft.rfft2(r / self._kappa, s=self._padded)
            spectrum = spectrum / (self._spectrum + relative)
            out: Tensor = torch.fft.irfft2(spectrum, s=self._padded)[..., :ny, :nx] / self._kappa
            return out

        return preconditioned_conjugate_gradient(
            lambda x: self.gram(x) + rho * x,
            precondition,
            rhs,
            self.domain_ndim,
            iterations,
            start,
            self.tolerance,
        )


def _spectrum(projector: Projector, padded: Sequence[int], like: Tensor) -> Tensor:
    """G of an image of `padded` pixels, as of `rfft2`, positive.

    The mean over all directions, which views may not cover.
    """
    middle = [n // 2 for n in projector.shape]
    point = like.new_zeros(1, *projector.shape)
    point[0, middle[0], middle[1]] = 1.0
    blur = like.new_zeros(*padded)
    blur[: point.shape[1], : point.shape[2]] = projector.backward(projector.forward(point))[0]
    spectrum = torch.fft.rfft2(blur.roll([-m for m in middle], (0, 1))).real
    ny, nx = padded
    radius = (torch.fft.fftfreq(ny)[:, None].square() + torch.fft.rfftfreq(nx).square()).sqrt()
    ring = (radius * max(ny, nx)).round().long().flatten().to(like.device)
    sums, count = like.new_zeros(2, int(ring.max()) + 1).unbind()
    sums.index_add_(0, ring, spectrum.flatten())
    count.index_add_(0, ring, torch.ones_like(spectrum).flatten())
    mean = sums / count.clamp(min=1)
    return mean[ring].reshape(spectrum.shape).clamp(min=_FLOOR * float(mean.max()))
