"""A linear operator made of a function."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from sciddm.errors import InputError
from sciddm.physics.operator import Linear

__all__ = ["FunctionOperator"]


class FunctionOperator(Linear):
    """y = f(x) for a linear, differentiable f of one's own; its adjoint follows from f.

    A^H y is the vector-Jacobian product of f, so f is all that has to be written: a blur by
    ``torch.nn.functional.conv2d``, entries that are picked, a Fourier transform. That f is linear
    is tested when the operator is made.

    Args:
        function: (B, *shape) -> (B, ...), made of torch operations, each item on its own.
        shape: of one element of the domain, such as (1, 128, 128).
        dtype: of the domain, real or complex.

    Raises:
        InputError: the function is not linear (an offset, a magnitude, a threshold), or mixes
            items.
    """

    def __init__(
        self,
        function: Callable[[Tensor], Tensor],
        shape: Sequence[int],
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self.function, self.shape = function, tuple(shape)
        self.domain_ndim = len(self.shape)
        generator = torch.Generator().manual_seed(0)
        x = torch.randn(2, *self.shape, dtype=dtype, generator=generator)
        factor = 1.7 - (0.6j if dtype.is_complex else 0.0)
        with torch.no_grad():
            both, one, sum_ = function(x), function(x[:1]), function(x[:1] + factor * x[1:])
        self.range_ndim = both.ndim - 1
        expected = both[:1] + factor * both[1:]
        size = float(both.abs().max())
        if not size > 0:
            raise InputError("the operator's function gives 0 for random input")
        if not torch.allclose(both[:1], one, rtol=1e-3, atol=1e-4 * size):
            raise InputError(
                "the operator's function mixes the items of a batch: work on the axes after the "
                "first"
            )
        if not torch.allclose(sum_, expected, rtol=1e-3, atol=1e-4 * size):
            raise InputError(
                "the operator's function is not linear, f(x + c z) is not f(x) + c f(z): subtract "
                "f(0), or make it a subclass of Operator, with domain_ndim and range_ndim, and "
                "give sample_posterior an image as like"
            )

    def forward(self, x: Tensor) -> Tensor:
        batch = x.shape[: x.ndim - self.domain_ndim]
        y = self.function(x.reshape(-1, *self.shape))
        return y.reshape(*batch, *y.shape[1:])

    def backward(self, y: Tensor) -> Tensor:
        batch = y.shape[: y.ndim - self.range_ndim]
        flat = y.reshape(-1, *y.shape[y.ndim - self.range_ndim :])
        with torch.enable_grad():
            x = torch.zeros(len(flat), *self.shape, dtype=flat.dtype, device=flat.device)
            x.requires_grad_(True)
            inner = (self.function(x) * flat.conj()).real.sum()
            (g,) = torch.autograd.grad(inner, x)
        return g.reshape(*batch, *self.shape)
