"""Small linear operators that others are made of."""

from __future__ import annotations

import torch
from torch import Tensor

from sciddm.physics.operator import Linear

__all__ = ["Diagonal", "Identity", "Mask", "Matrix", "Scaling"]


class Diagonal(Linear):
    """y = d x, elementwise; d broadcasts against x and may be complex.

    Args:
        d: the diagonal.
        ndim: number of axes of one element.
    """

    def __init__(self, d: Tensor, ndim: int = 3) -> None:
        self.d = d
        self.domain_ndim = self.range_ndim = ndim

    def forward(self, x: Tensor) -> Tensor:
        return self.d * x

    def backward(self, y: Tensor) -> Tensor:
        return self.d.conj() * y

    def solve(
        self, rhs: Tensor, rho: float | Tensor, *, iterations: int = 0, start: Tensor | None = None
    ) -> Tensor:
        """rhs / (|d|^2 + rho), exactly; 0 where both are 0."""
        weight = self.d.abs() ** 2 + rho
        return torch.where(weight > 0, rhs / weight.where(weight > 0, 1.0), 0.0)


class Mask(Diagonal):
    """Keeps the elements where ``mask`` is true and sets the others to 0 (inpainting, sampling)."""

    def __init__(self, mask: Tensor, ndim: int = 3) -> None:
        super().__init__(mask.to(torch.get_default_dtype()), ndim)


class Scaling(Diagonal):
    """y = factor x: a change of units."""

    def __init__(self, factor: float | complex, ndim: int = 3) -> None:
        # In double precision; with no axes of its own it leaves x in the precision x has.
        exact = torch.complex128 if isinstance(factor, complex) else torch.float64
        super().__init__(torch.tensor(factor, dtype=exact), ndim)


class Identity(Scaling):
    """y = x: denoising."""

    def __init__(self, ndim: int = 3) -> None:
        super().__init__(1.0, ndim)


class Matrix(Linear):
    """y = H x for vectors: x (..., n), y (..., m), H (m, n), real or complex; exact solves."""

    domain_ndim = 1
    range_ndim = 1

    def __init__(self, matrix: Tensor) -> None:
        self.matrix = matrix

    def forward(self, x: Tensor) -> Tensor:
        return x @ self.matrix.mT

    def backward(self, y: Tensor) -> Tensor:
        return y @ self.matrix.conj()

    def solve(
        self, rhs: Tensor, rho: float | Tensor, *, iterations: int = 0, start: Tensor | None = None
    ) -> Tensor:
        """(H^H H + rho I)^-1 rhs in the eigenvectors of H^H H (pseudo-inverse for rho = 0)."""
        values, vectors = torch.linalg.eigh(self.matrix.mH @ self.matrix)
        weight = values + rho
        rounding = values.numel() * torch.finfo(weight.dtype).eps
        keep = weight > rounding * weight.amax(-1, keepdim=True)
        inverse = torch.where(keep, 1 / weight.where(keep, 1.0), 0.0)
        out: Tensor = (rhs @ vectors.conj() * inverse) @ vectors.mT
        return out
