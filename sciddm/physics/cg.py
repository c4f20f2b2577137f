"""Conjugate gradients for Hermitian positive systems, batched and without synchronisation."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

__all__ = ["conjugate_gradient"]


def conjugate_gradient(
    apply: Callable[[Tensor], Tensor],
    rhs: Tensor,
    ndim: int,
    iterations: int,
    start: Tensor | None = None,
    *,
    keep_best: bool = False,
) -> Tensor:
    """x with M x = rhs after a fixed number of steps (Hestenes and Stiefel, 1952).

    Args:
        apply: x -> M x, M Hermitian positive semidefinite.
        rhs: right-hand side (..., event); batch axes are solved apart.
        ndim: number of trailing event axes.
        iterations: steps. Once an item's residual is zero its x no longer changes.
        start: initial guess, zero if not given (then the solution stays in M's range).
        keep_best: return each item's iterate of least energy Re(x^H M x)/2 - Re(x^H rhs). For a
            Hermitian M that is always the last; it guards against an M that is only nearly
            Hermitian, such as the Jacobian of a trained network, on which the steps may diverge.
    """
    dims = tuple(range(-ndim, 0))

    def norm2(v: Tensor) -> Tensor:
        return (v.conj() * v).real.sum(dim=dims, keepdim=True)

    x = torch.zeros_like(rhs) if start is None else start
    r = rhs if start is None else rhs - apply(start)
    p = r
    rr = norm2(r)
    # A residual at rounding level is noise; dividing by it would blow up.
    floor = rr * torch.finfo(rr.dtype).eps ** 2 + torch.finfo(rr.dtype).tiny
    best, least = x, torch.full_like(rr, torch.inf)
    for _ in range(iterations):
        mp = apply(p)
        curvature = (p.conj() * mp).real.sum(dim=dims, keepdim=True)
        live = (rr > floor) & (curvature > 0)
        step = torch.where(live, rr / curvature.where(live, 1.0), 0.0)
        x = x + step * p
        r = r - step * mp
        new = norm2(r)
        p = r + torch.where(live, new / rr.where(live, 1.0), 0.0) * p
        rr = new
        if keep_best:
            # M x = rhs - r, so the energy needs no further product with M.
            energy = -0.5 * (x.conj() * (rhs + r)).real.sum(dim=dims, keepdim=True)
            better = energy < least
            best, least = torch.where(better, x, best), torch.where(better, energy, least)
    return best if keep_best else x
