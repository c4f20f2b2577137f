"""Coil sensitivities of an object without air around it: image and maps fitted together.

ESPIRiT's maps are periodic over the field of view. Where the object reaches both ends of an axis,
as a limb in a small field of view or a body in a readout that was cropped, two neighbours across
the edge belong to opposite sides of the coil array, the sensitivities jump there, and the maps are
wrong near the edge. Sensitivities that need not be periodic are polynomials of the place,

    s_c(u, v) = sum_ij a_c,ij P_i(u) P_j(v),        u, v in [-1, 1] over the field of view,

P Legendre's. With C the samples that were measured, image and maps are fitted in turn (JSENSE):

    min over x, a   sum_c |y_c - C F (s_c x)|^2 + rho |x|^2 + lam |C F x|^2 sum_c,ij w_ij |a_c,ij|^2
    w_ij = (1 + i^2 + j^2)^2 |P_i P_j|^2.

w keeps the maps smooth where the data say little. First y is the calibration region and x an image
of three pixels for each of its samples, from ESPIRiT's maps away from the edges; where that does
not explain the scan, y is all that was measured, from the first fit.

Reference:
    Ying and Sheng, Joint image reconstruction and sensitivity estimation in SENSE (JSENSE),
    Magn Reson Med 57:1196 (2007)
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.polynomial import legendre
from torch import Tensor

from sciddm.physics.cg import conjugate_gradient
from sciddm.physics.fourier import fft2c, resized
from sciddm.physics.mri.cartesian import CartesianMRI
from sciddm.physics.mri.scaling import low_resolution, unit_norm
from sciddm.physics.mri.smooth_phase import with_smooth_phase

__all__ = ["joint_maps", "maps_misfit", "maps_without_air", "reaches_both_ends"]

#: Highest order of the polynomials, turns, and lam, of the fit to the calibration region and of
#: that to all data. Of limbs of training patients that fill the field of view, R = 4, 6 to 16 coils
#: at 20 to 40 dB, the image of total variation gained 1 to 14 dB by the first, and lay within 1 dB
#: of that with the true maps at 30 dB.
_ORDER, _TURNS, _ROUGHNESS = 10, 20, 1e-5
_ALL_ORDER, _ALL_TURNS, _ALL_ROUGHNESS = 14, 10, 1e-6
_RIDGE, _STEPS, _ALL_STEPS = 1e-3, 8, 15
#: Roughness of maps of the first fit that the second begins with: next to none.
_LITTLE = 1e-8
#: Pixels of the image for each sample of the region along an axis: with 2 the ends of the field of
#: view were too coarse, and the fit left twice the noise.
_FINER = 3
#: Depth from the edge in which ESPIRiT's maps are not read for the start, as a part of an axis.
_MARGIN = 0.1
#: Part of the brightest of the low-resolution image from which an edge pixel shows the object, and
#: part of the edge's pixels that must do so at both ends.
_SIGNAL, _LENGTH = 0.15, 0.1
_LIMIT = 32  # samples of the region along an axis, as of ESPIRiT
#: Misfit in units of the noise from which maps do not explain the scan; and part of ESPIRiT's that
#: others must stay below to take its place.
_ENOUGH, _BETTER = 1.1, 0.75


def maps_without_air(
    white: Tensor,
    mask: Tensor,
    lines: Tensor,
    region: tuple[slice, slice],
    start: Tensor,
    folds: bool,
) -> Tensor | None:
    """Maps that need not be periodic, where the object fills the field of view and they explain the
    scan better than ESPIRiT's.

    Args:
        white: whitened k-space (coil, ky, kx), noise of unit variance.
        mask: (ky, kx) bool, what was measured.
        lines: whitened calibration lines (coil, ky, kx).
        region: fully sampled rectangle of them around DC.
        start: ESPIRiT's whitened maps (coil, y, x), of any norm, 0 off the object.
        folds: whether a second set of maps shows two places in one pixel; a jump of the maps at the
            edge looks like that, too, but there one set can explain the calibration region.

    Returns:
        (coil, y, x) of unit norm everywhere; None where ESPIRiT's serve.
    """
    if len(white) < 2 or not reaches_both_ends(lines, region):
        return None
    start = unit_norm(start)
    maps = joint_maps(lines, region, start)
    misfit = maps_misfit(white, mask, maps)
    if misfit > _ENOUGH:
        if folds:
            return None
        refined = _refined(white, mask, maps)
        after = maps_misfit(white, mask, refined)
        maps, misfit = (refined, after) if after < misfit else (maps, misfit)
    if misfit > _BETTER * maps_misfit(white, mask, start):
        return None
    return with_smooth_phase(maps, start.abs().sum(0) > 0)


def reaches_both_ends(white: Tensor, region: tuple[slice, slice]) -> bool:
    """Whether the object lies at both ends of an axis of the field of view, in the same line.

    Args:
        white: whitened k-space (coil, ky, kx).
        region: fully sampled rectangle around DC.
    """
    sides = [min(part.stop - part.start, _LIMIT) for part in region]
    image = torch.linalg.vector_norm(low_resolution(white, (sides[0], sides[1])), dim=0)
    bright = image > _SIGNAL * image.max()
    both = (bright[0] & bright[-1], bright[:, 0] & bright[:, -1])
    return any(float(ends.float().mean()) > _LENGTH for ends in both)


def maps_misfit(white: Tensor, mask: Tensor, maps: Tensor) -> float:
    """What the best image leaves of all measured samples, rms: 1 or less for the right maps.

    Args:
        white: whitened k-space (coil, ky, kx).
        mask: (ky, kx) bool.
        maps: (coil, y, x), whitened.
    """
    operator = CartesianMRI(mask, maps)
    data = white * mask
    left = data - operator(operator.ridge(data, _RIDGE, iterations=_ALL_STEPS))
    return float((left.abs().square().sum() / (int(mask.sum()) * len(maps))).sqrt())


def joint_maps(white: Tensor, region: tuple[slice, slice], start: Tensor) -> Tensor:
    """Maps from the calibration region.

    Args:
        white: whitened k-space (coil, ky, kx).
        region: fully sampled rectangle around DC.
        start: ESPIRiT's maps (coil, y, x), whitened, of unit norm or 0.

    Returns:
        (coil, y, x) of unit norm.
    """
    sides = [min(part.stop - part.start, _LIMIT) for part in region]
    patch = resized(white, (sides[0], sides[1])).to(torch.complex64)
    size = (start.shape[1], start.shape[2])
    grid = (_FINER * sides[0], _FINER * sides[1])
    whole, low = (_basis(shape, _ORDER).to(start) for shape in (size, grid))
    weight = _inner(size).to(start.device) * (start.abs().sum(0) > 0)
    roughness = _ROUGHNESS * _penalty(_ORDER)
    a = _projection(start, whole, weight, roughness)
    centre = resized(torch.ones_like(patch[0].real), grid).bool()
    a = _fitted(resized(patch, grid), centre, a, low, roughness, _TURNS, _STEPS)
    return unit_norm(_sum(a, whole))


def _refined(white: Tensor, mask: Tensor, maps: Tensor) -> Tensor:
    """Maps from all that was measured, beginning with others (coil, y, x)."""
    basis = _basis((maps.shape[1], maps.shape[2]), _ALL_ORDER).to(maps)
    penalty = _penalty(_ALL_ORDER)
    a = _projection(maps, basis, torch.ones_like(maps[0].real), _LITTLE * penalty)
    a = _fitted(white * mask, mask, a, basis, _ALL_ROUGHNESS * penalty, _ALL_TURNS, _ALL_STEPS)
    return unit_norm(_sum(a, basis))


def _fitted(
    y: Tensor, mask: Tensor, a: Tensor, basis: Tensor, penalty: Tensor, turns: int, steps: int
) -> Tensor:
    """Coefficients (ij, coil) after so many turns of the image and the maps.

    Args:
        y: k-space (coil, ky, kx), 0 where ``mask`` (ky, kx) is not.
        a: coefficients to begin with.
        basis: polynomials (ij, y, x) on the grid of the image.
        penalty: lam w (ij,).
        turns: of both.
        steps: conjugate gradient steps of the image.
    """
    y = y / y.abs().max()
    x = torch.zeros_like(basis[:1])
    for _ in range(turns):
        operator = CartesianMRI(mask, _sum(a, basis))
        x = _image(operator, y, x, steps)
        columns = fft2c(basis * x)[:, mask]
        a = _solved(columns.conj() @ columns.mT, columns.conj() @ y[:, mask].mT, penalty)
    return a


def _image(operator: CartesianMRI, y: Tensor, x: Tensor, steps: int) -> Tensor:
    """argmin |y - A x|^2 + rho |x|^2, from an image x (1, y, x)."""

    def normal(v: Tensor) -> Tensor:
        return operator.gram(v) + _RIDGE * v

    return conjugate_gradient(normal, operator.adjoint(y), 3, steps, x)


def _basis(size: tuple[int, int], order: int) -> Tensor:
    """P_i(u) P_j(v), (ij, y, x)."""
    along = [
        torch.from_numpy(legendre.legvander((np.arange(n) - n // 2) * (2 / n), order)).float()
        for n in size
    ]
    out: Tensor = torch.einsum("yi,xj->ijyx", *along).reshape(-1, *size)
    return out


def _penalty(order: int) -> Tensor:
    """w_ij, up to a factor."""
    i = torch.arange(order + 1.0)
    rough = (1 + i[:, None] ** 2 + i**2) ** 2
    return (rough / ((2 * i[:, None] + 1) * (2 * i + 1))).reshape(-1)


def _inner(size: tuple[int, int]) -> Tensor:
    """1 away from the edges, (y, x)."""
    y, x = (torch.minimum(torch.arange(n), n - 1 - torch.arange(n)) > _MARGIN * n for n in size)
    return torch.outer(y.float(), x.float())


def _sum(a: Tensor, basis: Tensor) -> Tensor:
    out: Tensor = torch.einsum("kc,kyx->cyx", a, basis)
    return out


def _projection(maps: Tensor, basis: Tensor, weight: Tensor, penalty: Tensor) -> Tensor:
    """Coefficients (ij, coil) of maps where they have weight (y, x)."""
    rows = basis.flatten(1)
    weighted = rows * weight.flatten()
    return _solved(weighted @ rows.mH, weighted @ maps.flatten(1).mT, penalty)


def _solved(gram: Tensor, right: Tensor, penalty: Tensor) -> Tensor:
    size = gram[0, 0].abs()  # of the constant map
    out: Tensor = torch.linalg.solve(gram + size * torch.diag(penalty).to(gram), right)
    return out
