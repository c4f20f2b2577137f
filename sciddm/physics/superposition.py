"""Sums of the parts of a stacked state."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from sciddm.physics.operator import Linear

__all__ = ["Superposition"]


class Superposition(Linear):
    """y = w_1 x_1 + ... + w_K x_K for a state (x_1, ..., x_K) stacked along its first event axis.

    A A^H is the diagonal sum_k |w_k|^2, so that ``solve`` and ``ridge`` are exact.

    Args:
        weights: numbers, or tensors that broadcast against a part, batch axes included.
        ndim: axes of one element of the state and of y.
    """

    def __init__(self, weights: Sequence[float | Tensor], ndim: int = 3) -> None:
        # A number in double precision; with no axes of its own it leaves x in x's precision.
        self.weights = tuple(
            w if isinstance(w, Tensor) else torch.tensor(w, dtype=torch.float64) for w in weights
        )
        self.domain_ndim = self.range_ndim = ndim

    def forward(self, x: Tensor) -> Tensor:
        parts = x.chunk(len(self.weights), dim=-self.domain_ndim)
        return sum((w * part for w, part in zip(self.weights, parts, strict=True)), torch.tensor(0))

    def backward(self, y: Tensor) -> Tensor:
        return torch.cat([w.conj() * y for w in self.weights], dim=-self.domain_ndim)

    def _squared(self) -> Tensor:
        """A A^H, a diagonal."""
        return sum((w.abs().square() for w in self.weights), torch.tensor(0.0))

    def solve(
        self, rhs: Tensor, rho: float | Tensor, *, iterations: int = 0, start: Tensor | None = None
    ) -> Tensor:
        """(rhs - A^H (A A^H + rho)^-1 A rhs) / rho; the pseudo-inverse for rho = 0."""
        if not torch.is_tensor(rho) and rho == 0:
            return self.backward(_over(self.forward(rhs), self._squared().square()))
        seen = self.backward(_over(self.forward(rhs), self._squared() + rho))
        return (rhs - seen) / rho

    def ridge(self, y: Tensor, rho: float | Tensor, *, iterations: int = 0) -> Tensor:
        """A^H (A A^H + rho)^-1 y, without the cancellation that ``solve`` has for small rho."""
        return self.backward(_over(y, self._squared() + rho))


def _over(y: Tensor, weight: Tensor) -> Tensor:
    """y / weight, and 0 where the weight is 0."""
    return torch.where(weight > 0, y / weight.where(weight > 0, 1.0), 0.0)
