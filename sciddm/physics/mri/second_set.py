"""A second set of coil maps where a pixel shows two places: soft SENSE.

An object wider than the field of view folds over its edge. There the coils see x(p) and x(p + FOV)
in one pixel, through two sensitivities, and G of ESPIRiT has two eigenvalues of 1:

    y = M F (s_1 x_1 + s_2 x_2) + n

s_1 is the eigenvector that the low-resolution coil images point along, so x_1 holds nearly all of
the signal, and x_2 what lies across it. x_2 is given no trained prior, but a Gaussian one,

    x_2 = argmin |y - A_1 x_1 - A_2 x_2|^2 / sigma^2 + |x_2|^2 / tau^2

and x_1 is reconstructed from y - A_2 x_2.

Motion, and whatever else contradicts itself between lines, gives a second eigenvalue of 1, too, and
two sets of maps would fit it. What folds lies at an edge of the field of view, on the side opposite
to where it belongs; motion does not care. So there is no second set where pixels of two places lie
in the middle of both axes.

Reference:
    Uecker et al., ESPIRiT - an eigenvalue approach to autocalibrating parallel MRI,
    Magn Reson Med 71:990 (2014), section on several sets of maps
"""

from __future__ import annotations

import torch
from torch import Tensor

from sciddm.physics.measurement import Measurement
from sciddm.physics.mri.cartesian import CartesianMRI
from sciddm.physics.mri.scaling import low_resolution
from sciddm.physics.mri.sensitivities import second_eigenmaps

__all__ = ["second_image", "second_set"]

#: Second eigenvalue above which a pixel shows two places; and the part of the calibration region's
#: energy in such pixels from which the object is wider than the field of view. Heads within it had
#: less than 0.004, those that reached 10 % beyond it 0.02 to 0.1. Shorter calibration regions
#: leave the eigenvalues too much scatter.
_TWO_PLACES, _LEAST_ENERGY, _LEAST_SIDE = 0.95, 0.01, 12
#: Share of those pixels that may lie in the middle half of an axis if the object folds along it.
_MOST_IN_THE_MIDDLE = 0.1
#: Eigenvalues between which the weight of the second set rises from 0 to 1.
_FADE = (0.85, 0.95)
#: tau, in the prior's units.
_TAU = 0.3
_CENTRE = 32  # samples of a low-resolution image, at most
_LEAST_RIDGE, _STEPS = 1e-3, 15


def second_set(
    white: Tensor, region: tuple[slice, slice], maps: Tensor, *, noise_std: float = 1.0
) -> tuple[Tensor | None, float]:
    """The second set of maps, and the part of the object in which two places lie in one pixel.

    Args:
        white: whitened k-space (coil, ky, kx).
        region: fully sampled rectangle around DC.
        maps: whitened maps (coil, y, x), 0 off the object.
        noise_std: of the whitened data.

    Returns:
        (coil, y, x) of the norm of ``maps``, faded out where one place is all there is; None where
        no part of the object worth speaking of shows two, or where these are no fold.
    """
    sides = [part.stop - part.start for part in region]
    if len(maps) < 3 or min(sides) < _LEAST_SIDE:  # two coils span all there is
        return None, 0.0
    norm = torch.linalg.vector_norm(maps, dim=0)
    inside = norm > 0
    vectors, values = second_eigenmaps(white, region, maps, noise_std=noise_std)
    two = inside & (values > _TWO_PLACES)
    energy = low_resolution(white, (min(sides[0], _CENTRE), min(sides[1], _CENTRE)))
    power = energy.abs().square().sum(0) * inside
    weak = not float(power[two].sum()) > _LEAST_ENERGY * float(power.sum())
    if weak or not _at_an_edge(two):
        return None, 0.0
    part = float(two.sum()) / float(inside.sum())
    low, high = _FADE
    weight = ((values - low) / (high - low)).clamp(0, 1)
    return vectors * (weight * norm), part


def _at_an_edge(two: Tensor) -> bool:
    """Whether pixels (y, x) keep away from the middle half of an axis, as those of a fold do."""
    inner = []
    for axis, n in enumerate(two.shape):
        along = two.sum(1 - axis).float()
        inner.append(float(along[n // 4 : n - n // 4].sum() / along.sum()))
    return min(inner) <= _MOST_IN_THE_MIDDLE


def second_image(m: Measurement, first: Tensor, maps: Tensor) -> tuple[Tensor, Tensor]:
    """x_2 for a first image, and A_2 x_2.

    Args:
        m: the measurement through the first set.
        first: x_1 (1, 1, y, x).
        maps: of the second set, in the units of the first.

    Returns:
        (1, 1, y, x), and (coil, ky, kx) of what every sample of k-space would measure of it.
    """
    assert isinstance(m.A, CartesianMRI)
    operator = CartesianMRI(m.A.mask, maps)
    rho = max((m.sigma / _TAU) ** 2, _LEAST_RIDGE)
    left = m.y[None] - m.A(first)
    image = operator.solve(operator.adjoint(left), rho, iterations=_STEPS)
    return image, CartesianMRI(torch.ones_like(m.A.mask), maps)(image)[0]
