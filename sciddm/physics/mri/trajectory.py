"""From samples along a trajectory to a measurement in the prior's units.

What a Cartesian scan reads off its central lines, the coil maps, the phase and the scale, is taken
here from the centre of k-space gridded onto integers: the least-squares images of the single coils,
transformed back. That centre is as large as the trajectory samples it without gaps.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from sciddm.errors import InputError
from sciddm.physics import Measurement
from sciddm.physics.fourier import fft2c
from sciddm.physics.mri.encoding import CENTRE, EncodedSlice, Frame, estimate_maps
from sciddm.physics.mri.noise import ComplexArray, readout_air, robust_covariance
from sciddm.physics.mri.scaling import bright_level, low_resolution, unit_phase
from sciddm.physics.mri.smooth_phase import with_smooth_phase
from sciddm.physics.noise import ChannelNoise
from sciddm.physics.noncartesian import NonCartesianMRI
from sciddm.physics.nufft import nufft_adjoint

__all__ = ["encode_trajectory", "trajectory_covariances", "visited_cells"]

_GRIDDING_STEPS = 12
#: Side of the centre below which ESPIRiT has too few patches, in samples.
_LEAST_SQUARE = 12
#: Area per sample up to which k-space counts as sampled without gaps; 1 is Nyquist's. Golden
#: angles leave gaps of nearly twice the mean.
_GAP = 1.5
#: Times the noise power of the border, from which air holds signal.
_SIGNAL = 1.4
#: Part of a step by which those of an evenly sampled readout may differ.
_EVEN = 0.02
#: Root of the sum of squares, over its maximum, above which a pixel counts as object.
_OBJECT = 0.1


def encode_trajectory(
    kspace: Tensor,
    trajectory: Tensor,
    size: tuple[int, int],
    covariance: Tensor,
    maps: Tensor | None = None,
    *,
    iterations: int = 8,
) -> EncodedSlice:
    """Estimates what is missing (maps, phase, scale) and builds the measurement.

    Args:
        kspace: (coil, shot, sample) complex64.
        trajectory: (shot, sample, 2), (ky, kx) in cycles per field of view.
        size: (y, x) of the image.
        covariance: E[n n^H] of the channels' noise (coil, coil).
        maps: coil sensitivity maps (coil, y, x); estimated if not given.
        iterations: conjugate gradient steps of each data-consistency solve.

    Raises:
        InputError: a trajectory or covariance that cannot be used, or no signal in the centre.
    """
    try:
        noise = ChannelNoise(covariance)
        single = NonCartesianMRI(trajectory, size=size)
    except (ValueError, ModuleNotFoundError) as error:
        raise InputError(str(error)) from error
    level = float(covariance.diagonal().real.mean().sqrt())
    whiten = noise.whitening()
    area = single.density.flatten()
    # A little regularisation, of 2 % of a full Cartesian scan, leaves the gaps at the edge empty.
    coils = single.ridge(kspace[:, None], 0.02, iterations=_GRIDDING_STEPS)
    grid = fft2c(coils[:, 0])
    side = central_square(trajectory, area, size)
    if maps is None:
        spread = float(area[(trajectory.reshape(-1, 2).abs() <= side / 2).all(-1)].mean().sqrt())
        maps = _maps(whiten(grid), side, noise, spread)
    centre = (min(side, CENTRE), min(side, CENTRE))
    low = (maps.conj() * low_resolution(grid, centre)).sum(0)
    gain, phase = bright_level(low), unit_phase(low)
    if not gain > 0:
        raise InputError("the centre of k-space holds no signal")
    frame = Frame(maps, phase, gain, level, whiten, size)
    weighted = (kspace.flatten(-2) * area).contiguous()
    gridded = nufft_adjoint(weighted, trajectory.reshape(-1, 2), size)
    operator = single.with_maps(frame.white_maps)
    measurement = Measurement(
        level * whiten(kspace) / gain, operator, level / gain, iterations=iterations
    )
    return EncodedSlice(measurement, frame, (maps.conj() * gridded).sum(0))


def central_square(trajectory: Tensor, area: Tensor, size: tuple[int, int]) -> int:
    """Side, even, of the largest square about DC that is sampled without gaps; 4 at least."""
    extent = trajectory.reshape(-1, 2).abs().amax(-1)
    sparse = extent[(area > _GAP) & (extent > 0)]
    # Nothing is sampled beyond the outermost sample either.
    side = 2 * math.floor(float(min(sparse.min(), extent.max()) if len(sparse) else extent.max()))
    return max(4, min(side, *(n - n % 2 for n in size)))


def visited_cells(trajectory: Tensor, size: tuple[int, int]) -> Tensor:
    """(ky, kx) bool: the cells of the image's grid in which a sample lies."""
    n, m = size
    index = trajectory.reshape(-1, 2).round().long()
    index = index + index.new_tensor([n // 2, m // 2])
    inside = ((index >= 0) & (index < index.new_tensor([n, m]))).all(-1)
    cells = torch.zeros(n, m, dtype=torch.bool, device=trajectory.device)
    cells[index[inside, 0], index[inside, 1]] = True
    return cells


def trajectory_covariances(kspace: Tensor, trajectory: Tensor) -> dict[str, ComplexArray]:
    """Noise covariances (coil, coil) that a scan permits, as ``noise.covariance_candidates``.

    "border": the samples furthest from DC, where signal is least; "air along the readouts": where
    they are straight and evenly sampled.

    Args:
        kspace: (slice, coil, shot, sample).
        trajectory: (slice, shot, sample, 2).
    """
    radius = torch.linalg.vector_norm(trajectory, dim=-1).flatten()
    samples = kspace.movedim(1, 0).flatten(1)
    count = max(min(400, radius.numel() // 4), round(0.03 * radius.numel()), 2 * len(samples))
    outermost = radius.argsort(descending=True, stable=True)[:count]
    values = samples[:, outermost].to(torch.complex128)
    candidates = {"border": robust_covariance(values.cpu().numpy())}
    if _straight(trajectory):
        lines = kspace.movedim(1, 0).flatten(1, 2)
        air = readout_air(lines.cpu().numpy())
        # Both hold all the noise; where the border has less there is no air.
        if air is not None and _power(air) < _SIGNAL * _power(candidates["border"]):
            candidates["air along the readouts"] = air
    return candidates


def _power(covariance: ComplexArray) -> float:
    return float(covariance.diagonal().real.mean())


def _straight(trajectory: Tensor) -> bool:
    """Whether all readouts are straight and evenly sampled."""
    steps = trajectory.diff(dim=-2)
    if steps.shape[-2] < 2:
        return False
    longest = float(steps.abs().max())
    return float((steps - steps.mean(-2, keepdim=True)).abs().max()) < _EVEN * max(longest, 1e-9)


def _maps(white: Tensor, side: int, noise: ChannelNoise, spread: float) -> Tensor:
    """Unit-norm maps of the scan's own channels from gridded whitened k-space."""
    region = tuple(slice(n // 2 - side // 2, n // 2 + side // 2) for n in white.shape[-2:])
    if white.shape[0] > 1 and side >= _LEAST_SQUARE:
        return estimate_maps(white, (region[0], region[1]), noise, noise_std=spread)
    if white.shape[0] == 1:
        return torch.ones_like(white)
    # Too little for ESPIRiT: low-resolution images over the root of their sum of squares.
    low = low_resolution(white, (side + 2, side + 2))
    root = torch.linalg.vector_norm(low, dim=0)
    unit = low / root.clamp(min=1e-6 * float(root.max()))
    maps = noise.draw(with_smooth_phase(unit, root > _OBJECT * float(root.max())))
    out: Tensor = maps / torch.linalg.vector_norm(maps, dim=0).clamp(min=1e-12)
    return out
