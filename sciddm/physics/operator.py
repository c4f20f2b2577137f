"""Forward operators: what an instrument does to an image.

An operator is called, ``A(x)``; a linear one has its exact adjoint ``A.adjoint(y)`` (or ``A.H``),
and composes, ``A @ B``. Operators never change when called. Leading axes are batch axes; the
trailing ``domain_ndim`` axes of x (``range_ndim`` of y) are one element, and every inner product
runs over them alone, with the conjugate where values are complex.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor

from sciddm.ledger import record
from sciddm.physics.cg import conjugate_gradient

__all__ = ["Adjoint", "Composition", "Linear", "Operator", "Tangent", "inner"]


def inner(x: Tensor, y: Tensor, ndim: int) -> Tensor:
    """<x, y> = sum conj(x) y over the last ``ndim`` axes, which stay with size 1."""
    return (x.conj() * y).sum(dim=tuple(range(-ndim, 0)), keepdim=True)


class Operator(ABC):
    """y = A(x), differentiable, not necessarily linear."""

    domain_ndim: int = 3
    range_ndim: int = 3

    @abstractmethod
    def __call__(self, x: Tensor) -> Tensor:
        """A(x); batch axes of x are kept in front."""

    def vjp(self, x: Tensor, v: Tensor) -> Tensor:
        """J_A(x)^H v, by automatic differentiation."""
        with torch.enable_grad():
            x = x.detach().requires_grad_(True)
            (g,) = torch.autograd.grad(self(x), x, v)
        return g

    def linearised(self, x: Tensor) -> Linear:
        """J_A(x) as an operator; by automatic differentiation unless a subclass knows better."""
        return Tangent(self, x)


class Linear(Operator):
    """A linear operator with its adjoint.

    Subclasses give ``forward`` and ``backward``; the public methods count them (see ``ledger``).
    """

    @abstractmethod
    def forward(self, x: Tensor) -> Tensor:
        """A x."""

    @abstractmethod
    def backward(self, y: Tensor) -> Tensor:
        """A^H y."""

    def __call__(self, x: Tensor) -> Tensor:
        record(noperator=1)
        return self.forward(x)

    def adjoint(self, y: Tensor) -> Tensor:
        """A^H y, with <A x, y> = <x, A^H y> to rounding."""
        record(noperator=1)
        return self.backward(y)

    def vjp(self, x: Tensor, v: Tensor) -> Tensor:
        """A^H v, whatever x."""
        return self.adjoint(v)

    def linearised(self, x: Tensor) -> Linear:
        """The operator itself."""
        return self

    def gram(self, x: Tensor) -> Tensor:
        """A^H A x."""
        return self.adjoint(self(x))

    def solve(
        self, rhs: Tensor, rho: float | Tensor, *, iterations: int = 10, start: Tensor | None = None
    ) -> Tensor:
        """(A^H A + rho I)^-1 rhs by a fixed number of conjugate gradient steps.

        The count is fixed, with no stopping test, so that nothing depends on the other items of
        the batch and no value is read back from an accelerator. Operators with a closed form
        override this.

        Args:
            rhs: right-hand side, domain.
            rho: regularisation >= 0, a number or one per item (B, 1, ..., 1).
            iterations: conjugate gradient steps.
            start: initial guess; 0 if not given.
        """
        return conjugate_gradient(
            lambda x: self.gram(x) + rho * x, rhs, self.domain_ndim, iterations, start
        )

    def ridge(self, y: Tensor, rho: float | Tensor, *, iterations: int = 10) -> Tensor:
        """(A^H A + rho I)^-1 A^H y = A^H (A A^H + rho I)^-1 y: regularised least squares.

        Operators whose A A^H is simple override this, since for small rho ``solve`` blows up the
        rounding of A^H y outside the range of A^H.
        """
        return self.solve(self.adjoint(y), rho, iterations=iterations)

    def pinv(self, y: Tensor, *, iterations: int = 30) -> Tensor:
        """A^+ y, the minimum-norm least-squares solution, by conjugate gradients from zero."""
        return self.ridge(y, 0.0, iterations=iterations)

    @property
    def H(self) -> Linear:  # noqa: N802
        """The adjoint as an operator."""
        return Adjoint(self)

    def __matmul__(self, other: Linear) -> Linear:
        """(A @ B)(x) = A(B(x))."""
        return Composition(self, other)


class Tangent(Linear):
    """v -> J_A(x) v for a fixed x, with the adjoint w -> J_A(x)^H w."""

    def __init__(self, operator: Operator, x: Tensor) -> None:
        self._operator, self._x = operator, x.detach()
        self.domain_ndim, self.range_ndim = operator.domain_ndim, operator.range_ndim

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = torch.func.jvp(self._operator, (self._x,), (x,))[1]
        return out

    def backward(self, y: Tensor) -> Tensor:
        return self._operator.vjp(self._x, y)


class Adjoint(Linear):
    """A^H as an operator; (A^H)^H is A."""

    def __init__(self, operator: Linear) -> None:
        self._operator = operator
        self.domain_ndim, self.range_ndim = operator.range_ndim, operator.domain_ndim

    def forward(self, x: Tensor) -> Tensor:
        return self._operator.backward(x)

    def backward(self, y: Tensor) -> Tensor:
        return self._operator.forward(y)

    @property
    def H(self) -> Linear:  # noqa: N802
        return self._operator


class Composition(Linear):
    """outer(inner(x)); counts as one operator call, as a fused implementation would."""

    def __init__(self, outer: Linear, inner: Linear) -> None:
        if outer.domain_ndim != inner.range_ndim:
            raise ValueError(
                f"{type(outer).__name__} takes elements of {outer.domain_ndim} axes, "
                f"{type(inner).__name__} gives {inner.range_ndim}"
            )
        self._outer, self._inner = outer, inner
        self.domain_ndim, self.range_ndim = inner.domain_ndim, outer.range_ndim

    def forward(self, x: Tensor) -> Tensor:
        return self._outer.forward(self._inner.forward(x))

    def backward(self, y: Tensor) -> Tensor:
        return self._inner.backward(self._outer.backward(y))
