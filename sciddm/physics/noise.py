"""Gaussian noise with a covariance between channels, and its whitening.

Channels (coils, bands) of an instrument share noise: n ~ N(0, C). With C = L L^H the transformed
data L^-1 y have independent noise of variance 1, and the operator becomes L^-1 A, so everything
after it needs no covariance (Pruessmann et al., 2001, eq. 13).
"""

from __future__ import annotations

import torch
from torch import Tensor

from sciddm.physics.operator import Linear

__all__ = ["ChannelNoise", "Whitening"]


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
