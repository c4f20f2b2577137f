"""Conjugate gradients for Hermitian positive systems, batched; no synchronisation unless asked."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

__all__ = [
    "conjugate_gradient",
    "conjugate_gradient_image",
    "preconditioned_conjugate_gradient",
    "preconditioned_image",
]


def conjugate_gradient(
    apply: Callable[[Tensor], Tensor],
    rhs: Tensor,
    ndim: int,
    iterations: int,
    start: Tensor | None = None,
) -> Tensor:
    """x with M x = rhs after a fixed number of steps (Hestenes and Stiefel, 1952).

    Args:
        apply: x -> M x, M Hermitian positive semidefinite.
        rhs: right-hand side (..., event); batch axes are solved apart.
        ndim: number of trailing event axes.
        iterations: steps. Once an item's residual is zero to rounding its x no longer changes.
        start: initial guess, zero if not given (then the solution stays in M's range).
    """
    x = torch.zeros_like(rhs) if start is None else start
    r = rhs if start is None else rhs - apply(start)
    return _iterate(lambda p: (apply(p), p), x, x, r, rhs, ndim, iterations, floor=0.0)


def conjugate_gradient_image(
    apply: Callable[[Tensor], tuple[Tensor, Tensor]],
    rhs: Tensor,
    zero: Tensor,
    ndim: int,
    iterations: int,
    floor: float = 0.0,
) -> Tensor:
    """B x for the x with M x = rhs, where M x is made from B x anyway: no further product with B.

    Args:
        apply: p -> (M p, B p).
        rhs: right-hand side (..., event).
        zero: 0 in the range of B, (..., event); its event may have other axes than that of rhs.
        ndim: number of trailing event axes of rhs.
        iterations: steps.
        floor: M - floor I is known to be positive semidefinite, so p^H M p >= floor |p|^2. An
            item whose direction p violates that is done: its M is not what it should be there, as
            one made from the Jacobian of a trained network, and such steps diverge.
    """
    start = torch.zeros_like(rhs)
    return _iterate(apply, start, zero, rhs, rhs, ndim, iterations, floor=floor)


def preconditioned_image(
    apply: Callable[[Tensor], tuple[Tensor, Tensor]],
    precondition: Callable[[Tensor], Tensor],
    rhs: Tensor,
    zero: Tensor,
    ndim: int,
    iterations: int,
    floor: float = 0.0,
) -> Tensor:
    """As ``conjugate_gradient_image``, in fewer steps the nearer C M is to a multiple of I.

    ``precondition`` need not be linear: directions are conjugate by Polak and Ribiere's formula,
    which corrects for a C that changes (Golub and Ye, 1999). For such a C directions of the first
    two steps are conjugate exactly.

    Args:
        apply, rhs, zero, ndim, iterations, floor: as there.
        precondition: r -> C r, C Hermitian positive definite, an approximate inverse of M.
    """
    image, r = zero, rhs
    z = precondition(r)
    p, rz = z, _dot(r, z, ndim)
    eps, tiny = torch.finfo(rz.dtype).eps, torch.finfo(rz.dtype).tiny
    floor *= 1 - 100 * eps
    enough = (2 * eps) ** 2 * rz + tiny
    unsolved = torch.ones_like(rz, dtype=torch.bool)
    of_image = (*rz.shape[: rhs.ndim - ndim], *[1] * (zero.ndim - rhs.ndim + ndim))
    for k in range(iterations):
        mp, bp = apply(p)
        curvature = _dot(p, mp, ndim)
        unsolved = unsolved & (rz > enough)
        unsolved = unsolved & (curvature > 0) & (curvature >= floor * _dot(p, p, ndim))
        step = torch.where(unsolved, rz / curvature.where(unsolved, 1.0), 0.0)
        image = _add(image, step.reshape(of_image), bp)
        if k == iterations - 1:  # the residual is of no more use, and C may cost much
            break
        before, r = r, _add(r, -step, mp)
        z = precondition(r)
        new = _dot(r, z, ndim)
        ahead = new - _dot(before, z, ndim)
        p = _add(z, torch.where(unsolved, ahead / rz.where(unsolved, 1.0), 0.0), p)
        rz = new
    return image


def preconditioned_conjugate_gradient(
    apply: Callable[[Tensor], Tensor],
    precondition: Callable[[Tensor], Tensor],
    rhs: Tensor,
    ndim: int,
    iterations: int,
    start: Tensor | None = None,
    tolerance: float = 0.0,
) -> Tensor:
    """As ``conjugate_gradient``, in fewer steps the nearer C M is to a multiple of the identity.

    Args:
        apply: x -> M x, M Hermitian positive definite.
        precondition: r -> C r, C Hermitian positive definite, an approximate inverse of M.
        rhs: right-hand side (..., event).
        ndim: number of trailing event axes.
        iterations: steps. Once an item's residual is zero to rounding its x no longer changes.
        start: initial guess, zero if not given.
        tolerance: an item no longer changes either once |r|_C <= tolerance |rhs|_C with
            |r|_C^2 = r^H C r, and when none does, no more steps are made.
    """
    x = torch.zeros_like(rhs) if start is None else start
    r = rhs if start is None else rhs - apply(start)
    z = precondition(r)
    p, rz = z, _dot(r, z, ndim)
    eps, tiny = torch.finfo(rz.dtype).eps, torch.finfo(rz.dtype).tiny
    size = rz if start is None else _dot(rhs, precondition(rhs), ndim)
    enough = max(2 * eps, tolerance) ** 2 * size + tiny
    for _ in range(iterations):
        # To ask this costs a synchronisation, which the caller has chosen.
        if tolerance > 0 and not bool((rz > enough).any()):
            break
        mp = apply(p)
        curvature = _dot(p, mp, ndim)
        unsolved = (rz > enough) & (curvature > 0)
        step = torch.where(unsolved, rz / curvature.where(unsolved, 1.0), 0.0)
        x = _add(x, step, p)
        r = _add(r, -step, mp)
        z = precondition(r)
        new = _dot(r, z, ndim)
        p = _add(z, torch.where(unsolved, new / rz.where(unsolved, 1.0), 0.0), p)
        rz = new
    return x


def _iterate(
    apply: Callable[[Tensor], tuple[Tensor, Tensor]],
    x: Tensor,
    image: Tensor,
    r: Tensor,
    rhs: Tensor,
    ndim: int,
    iterations: int,
    *,
    floor: float,
) -> Tensor:
    """The common loop: returns ``image``, which gathers B p as x gathers p."""
    p = r
    rr = _dot(r, r, ndim)
    eps, tiny = torch.finfo(rr.dtype).eps, torch.finfo(rr.dtype).tiny
    floor *= 1 - 100 * eps  # where M = floor I, rounding may fall on either side
    largest = torch.zeros_like(rr)
    size = _dot(rhs, rhs, ndim)
    unsolved = torch.ones_like(rr, dtype=torch.bool)
    # One factor an item, whatever the number of axes of an item of B p.
    batch = rhs.ndim - ndim
    of_image = (*rhs.shape[:batch], *[1] * (image.ndim - batch))
    for _ in range(iterations):
        mp, bp = apply(p)
        curvature, length = _dot(p, mp, ndim), _dot(p, p, ndim)
        # A residual below the rounding of M x is noise, and going on would walk along the null
        # space of M, where a step is noise divided by nothing: an item that gets there is done.
        largest = torch.maximum(largest, curvature / (length + tiny))
        rounding = (2 * eps) ** 2 * (size + largest**2 * _dot(x, x, ndim)) + tiny
        unsolved = unsolved & (rr > rounding)
        unsolved = unsolved & (curvature > 0) & (curvature >= floor * length)
        step = torch.where(unsolved, rr / curvature.where(unsolved, 1.0), 0.0)
        same = image is x  # as where B is the identity
        x = _add(x, step, p)
        image = x if same else _add(image, step.reshape(of_image), bp)
        r = _add(r, -step, mp)
        new = _dot(r, r, ndim)
        p = _add(r, torch.where(unsolved, new / rr.where(unsolved, 1.0), 0.0), p)
        rr = new
    return image


# Complex arithmetic on a CPU is slower than that of the (re, im) pairs, by which these two can do.


def _dot(u: Tensor, v: Tensor, ndim: int) -> Tensor:
    """Re <u, v> over the last ``ndim`` axes, which stay with size 1."""
    dims = tuple(range(-ndim, 0))
    if not u.is_complex():
        return (u * v).sum(dim=dims, keepdim=True)
    pairs = _pairs(u) * _pairs(v)
    return pairs.sum(dim=(*(d - 1 for d in dims), -1)).reshape(u.shape[:-ndim] + (1,) * ndim)


def _add(x: Tensor, factor: Tensor, y: Tensor) -> Tensor:
    """x + factor y, factor real."""
    if not x.is_complex():
        return torch.addcmul(x, factor, y)
    return torch.view_as_complex(torch.addcmul(_pairs(x), factor[..., None], _pairs(y)))


def _pairs(x: Tensor) -> Tensor:
    return torch.view_as_real(x.resolve_conj())
