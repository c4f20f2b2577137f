"""Phantoms of ellipses, whose line integrals are known exactly."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["Ellipse", "draw_ellipses", "integrate_ellipses"]


@dataclass(frozen=True)
class Ellipse:
    """An ellipse that adds ``value`` inside; coordinates as in ``beams``.

    Args:
        value: what it adds, for instance attenuation in 1/mm.
        x, y: its centre, mm.
        a, b: half axes, mm.
        tilt: of the axis a from the x axis, radians, counter-clockwise.
    """

    value: float
    x: float
    y: float
    a: float
    b: float
    tilt: float = 0.0


def integrate_ellipses(ellipses: Sequence[Ellipse], theta: Tensor, s: Tensor) -> Tensor:
    """Line integrals of the sum along the lines (theta, s) (Kak and Slaney, 1988, eq. 3.5).

    2 v a b sqrt(w^2 - d^2) / w^2 with w^2 = a^2 cos^2(theta - tilt) + b^2 sin^2(theta - tilt) and d
    the line's distance from the centre.

    Returns:
        value times mm, in the shape of theta and s.
    """
    out = torch.zeros(torch.broadcast_shapes(theta.shape, s.shape), dtype=theta.dtype)
    for e in ellipses:
        w2 = (e.a * (theta - e.tilt).cos()) ** 2 + (e.b * (theta - e.tilt).sin()) ** 2
        d = s - e.x * theta.cos() - e.y * theta.sin()
        out = out + 2 * e.value * e.a * e.b * (w2 - d**2).clamp(min=0).sqrt() / w2
    return out


def draw_ellipses(
    ellipses: Sequence[Ellipse], shape: tuple[int, int], pixel_mm: float, oversampling: int = 1
) -> Tensor:
    """The sum as an image, the axis of rotation in the middle, each pixel a mean of its points.

    Args:
        ellipses: the phantom.
        shape: (ny, nx); row 0 is the top, where y is largest.
        pixel_mm: size of a pixel.
        oversampling: points per pixel and axis.

    Returns:
        (ny, nx), float64.
    """
    ny, nx = (n * oversampling for n in shape)
    step = pixel_mm / oversampling
    y = ((ny - 1) / 2 - torch.arange(ny, dtype=torch.float64))[:, None] * step
    x = (torch.arange(nx, dtype=torch.float64) - (nx - 1) / 2) * step
    out = torch.zeros(ny, nx, dtype=torch.float64)
    for e in ellipses:
        tilt = torch.tensor(e.tilt, dtype=torch.float64)
        along = (x - e.x) * tilt.cos() + (y - e.y) * tilt.sin()
        across = (y - e.y) * tilt.cos() - (x - e.x) * tilt.sin()
        out += e.value * ((along / e.a) ** 2 + (across / e.b) ** 2 <= 1)
    fine = out.reshape(shape[0], oversampling, shape[1], oversampling)
    return fine.mean((1, 3))
