"""Statistically weighted least squares with total variation, of images in HU.

    argmin_x |sqrt(w) (p - P x)|^2 / 2 + weight sum |grad x|,   x >= -1000 HU

by the alternating direction method of multipliers, d standing for grad x (Goldstein and Osher,
2009; Ramani and Fessler, 2012): a quadratic problem, a shrinkage of the gradients, and the update
of the multipliers, in turn.

Another problem than that of `tv_measurement`, whose images are complex, periodic and without a
bound: what is costly here is P, which the quadratic problem uses a few times per iteration.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from sciddm.physics import Measurement
from sciddm.physics.cg import conjugate_gradient

__all__ = ["weighted_tv"]

_INNER = 6  # conjugate gradient steps of the quadratic problem, from the last image
_AIR = -1000.0
_NOISE_HU = 10.0


def weighted_tv(
    m: Measurement,
    start: Tensor,
    weight: float,
    iterations: int,
    tick: Callable[[str], None] | None = None,
) -> Tensor:
    """The minimiser, nearly.

    Args:
        m: data with noise of 1, of an image in HU.
        start: (1, ny, nx), HU.
        weight: of the total variation, per HU.
        iterations: of the outer loop.
        tick: called after each.

    Returns:
        (1, ny, nx), HU.
    """
    x, data = start, m.A.adjoint(m.y)
    # Gradients below weight / rho vanish at once: take those that noise makes, some 10 HU.
    rho = weight / _NOISE_HU
    d = _gradient(x)
    u = torch.zeros_like(d)
    for _ in range(iterations):
        rhs = data + rho * _divergence(d - u)
        x = conjugate_gradient(
            lambda v: m.A.gram(v) + rho * _divergence(_gradient(v)), rhs, 3, _INNER, x
        ).clamp(min=_AIR)
        g = _gradient(x) + u
        length = g.square().sum(0, keepdim=True).sqrt()
        d = g * (1 - weight / rho / length.clamp(min=1e-12)).clamp(min=0)
        u = g - d
        if tick is not None:
            tick("")
    return x


def _gradient(x: Tensor) -> Tensor:
    """(1, y, x) -> (2, y, x): differences to the next pixel along y and x, 0 at the far edge."""
    dy = torch.diff(x, dim=-2, append=x[..., -1:, :])
    dx = torch.diff(x, dim=-1, append=x[..., -1:])
    return torch.cat([dy, dx])


def _divergence(d: Tensor) -> Tensor:
    """The transpose of ``_gradient``: (2, y, x) -> (1, y, x)."""
    dy, dx = d[0].clone(), d[1].clone()
    dy[-1], dx[:, -1] = 0, 0
    out = -dy - dx
    out[1:] += dy[:-1]
    out[:, 1:] += dx[:, :-1]
    return out[None]
