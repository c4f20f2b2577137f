"""The least residual that any image leaves: what the operator alone fails to explain.

    f(x) = |y - A x|^2 / sigma^2

is lowered by conjugate gradients (CGLS; Hestenes and Stiefel, 1952), from an image that is known,
so that the result never lies above that image's own misfit. f is convex, so that with its gradient
g = -2 A^H (y - A x) / sigma^2 every image x' within a distance D of x has

    f(x') >= f(x) + Re <g, x' - x> >= f(x) - |g| D

With D = |x| this bounds what more steps can bring: it needs no eigenvalue and costs nothing. The
steps end when the bound is near; or when f is as small as it need be, and falls slowly, since from
there on the image follows the noise; or when half of all steps so far brought next to nothing,
which is where very faint noise leaves directions that no arithmetic decides.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from sciddm.physics.measurement import Measurement
from sciddm.physics.mri.cartesian import CartesianMRI
from sciddm.physics.sampled_lines import SampledLines

__all__ = ["BestFit", "best_fit"]

#: Part of f by which the bound may lie below it.
_ACCURACY = 0.05
#: Where f is small enough: fall of f over so many steps, as a part of it, that counts as slow.
_STEPS, _FALL = 5, 0.02
#: Where it is not: least number of steps, and fall of f over half of all steps that ends them.
_LEAST_STEPS, _HALF_FALL = 40, 0.05
#: Steps after which an image is returned in any case.
_MOST = 2000
#: Noise, as a part of the data's root mean square, below which single precision loses it: double
#: is used then, where the operator computes in the precision of its argument.
_FAINT = 1e-3


@dataclass(frozen=True)
class BestFit:
    """An image and what it leaves of the data.

    Attributes:
        image: x, in the shape of the start.
        misfit: f(x).
        bound: what f is at least, for images no further from x than |x|; not below 0.
        iterations: steps that were made.
    """

    image: Tensor
    misfit: float
    bound: float
    iterations: int


def best_fit(m: Measurement, start: Tensor, enough: float) -> BestFit:
    """Lowers f from an image until no image leaves clearly less, or until it is small enough.

    Args:
        m: one measurement; batch axes are one problem.
        start: image, domain of A.
        enough: f from which less of it changes no verdict; noise alone leaves as much as entries
            were measured.
    """
    level = float(m.y.abs().square().mean().sqrt())
    x = start.detach()
    if m.sigma < _FAINT * level and isinstance(m.A, CartesianMRI | SampledLines):
        x = x.to(torch.complex128 if x.is_complex() else torch.float64)
    r = (m.y - m.A(x)) / m.sigma
    s = m.A.adjoint(r) / m.sigma
    p, ss = s, _power(s)
    history = [_power(r)]
    for step in range(_MOST + 1):
        misfit = history[-1]
        bound = max(0.0, misfit - 2 * math.sqrt(ss * _power(x)))  # |g| is twice |s|
        near = bound >= (1 - _ACCURACY) * misfit and step > 0  # the first image may be 0
        fall = history[max(0, step - _STEPS)] - misfit
        quiet = step >= _STEPS and misfit <= enough and fall <= _FALL * misfit
        still = step >= _LEAST_STEPS and history[step // 2] - misfit <= _HALF_FALL * misfit
        q = m.A(p) / m.sigma
        curvature = _power(q)
        if near or quiet or still or step == _MOST or ss == 0 or curvature == 0:
            return BestFit(x.to(start.dtype), misfit, bound, step)
        alpha = ss / curvature
        x, r = x + alpha * p, r - alpha * q
        s = m.A.adjoint(r) / m.sigma
        new = _power(s)
        p, ss = s + (new / ss) * p, new
        history.append(min(_power(r), misfit))
    raise AssertionError("the loop returns")


def _power(x: Tensor) -> float:
    """|x|^2."""
    return float(torch.view_as_real(x).square().sum() if x.is_complex() else x.square().sum())
