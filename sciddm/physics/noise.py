"""Gaussian noise that is not the same everywhere, and its whitening.

Channels (coils, bands) of an instrument share noise: n ~ N(0, C). With C = L L^H the transformed
data L^-1 y have independent noise of variance 1, and the operator becomes L^-1 A, so everything
after it needs no covariance (Pruessmann et al., 2001, eq. 13).

Counted quanta have another variance in every entry, and no covariance: C is a diagonal, and its
inverse the statistical weights. The logarithm of Poisson counts N with electronic noise of standard
deviation e has, to first order, the variance (N + e^2) / N^2 (Sauer and Bouman, 1993; Thibault et
al., 2006).
"""

from __future__ import annotations

import torch
from torch import Tensor

from sciddm.physics.basic import Diagonal
from sciddm.physics.operator import Linear

__all__ = ["ChannelNoise", "IndependentNoise", "Whitening"]


class ChannelNoise:
    """n ~ N(0, C) at every position, C over the channel axis; circular for complex data.

    Args:
        covariance: E[n n^H] (channel, channel), Hermitian positive definite.
        axis: channel axis of the data, negative.

    Raises:
        ValueError: the covariance is not Hermitian positive definite.
    """

    def __init__(self, covariance: Tensor, axis: int = -3) -> None:
        factor, info = torch.linalg.cholesky_ex(covariance)
        if int(info) or not torch.allclose(covariance, covariance.mH, rtol=1e-4):
            raise ValueError("the noise covariance is not Hermitian positive definite")
        self.covariance, self.factor, self.axis = covariance, factor, axis

    def draw(self, z: Tensor) -> Tensor:
        """L z: noise with this covariance from unit white noise z."""
        return _mix(self.factor, z, self.axis)

    def whitening(self, ndim: int = 3) -> Whitening:
        """The operator y -> L^-1 y, for data of ``ndim`` axes an element."""
        eye = torch.eye(len(self.factor), dtype=self.factor.dtype, device=self.factor.device)
        return Whitening(
            torch.linalg.solve_triangular(self.factor, eye, upper=False), self.axis, ndim
        )


class IndependentNoise:
    """n_i ~ N(0, 1/w_i), independent; circular for complex data.

    Args:
        weights: w = 1 / E|n|^2 >= 0, in a shape that broadcasts against the data; 0 where an entry
            says nothing, as in the shadow of metal.

    Raises:
        ValueError: weights below 0 or not finite, or all 0.
    """

    def __init__(self, weights: Tensor) -> None:
        if not bool((torch.isfinite(weights) & (weights >= 0)).all()) or not bool(weights.any()):
            raise ValueError("statistical weights must be finite, at least 0, and not all 0")
        self.weights = weights

    @classmethod
    def of_log_counts(cls, counts: Tensor, electronic_sd: float = 0.0) -> IndependentNoise:
        """The noise of -log(N / N0): w = N^2 / (N + e^2).

        Args:
            counts: N > 0, quanta per reading; a smoothed or fitted estimate of their mean makes the
                weights less noisy. 0 gets the weight 0.
            electronic_sd: e, in quanta.
        """
        counts = counts.clamp(min=0)
        total = counts + electronic_sd**2
        return cls(torch.where(counts > 0, counts**2 / total.where(total > 0, 1.0), 0.0))

    def draw(self, z: Tensor) -> Tensor:
        """z / sqrt(w): noise with these weights from unit white noise z; 0 where w is 0."""
        root = self.weights.sqrt()
        return torch.where(root > 0, z / root.where(root > 0, 1.0), 0.0)

    def whitening(self, ndim: int = 3) -> Diagonal:
        """The operator y -> sqrt(w) y, for data of ``ndim`` axes an element."""
        return Diagonal(self.weights.sqrt(), ndim)


class Whitening(Linear):
    """y -> W y over the channel axis."""

    def __init__(self, matrix: Tensor, axis: int = -3, ndim: int = 3) -> None:
        self.matrix, self.axis = matrix, axis
        self.domain_ndim = self.range_ndim = ndim

    def forward(self, x: Tensor) -> Tensor:
        return _mix(self.matrix, x, self.axis)

    def backward(self, y: Tensor) -> Tensor:
        return _mix(self.matrix.mH, y, self.axis)


def _mix(matrix: Tensor, x: Tensor, axis: int) -> Tensor:
    return torch.einsum("dc,...c->...d", matrix, x.movedim(axis, -1)).movedim(-1, axis)
