"""From a slice of k-space to a measurement in the prior's units, and back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from sciddm.device import to_numpy
from sciddm.errors import InputError
from sciddm.physics import CartesianMRI, ChannelNoise, Measurement
from sciddm.physics.fourier import fft2c, ifft2c, resized
from sciddm.physics.mri.joint_maps import maps_without_air
from sciddm.physics.mri.masks import calibration_region
from sciddm.physics.mri.scaling import bright_level, low_resolution, unit_norm, unit_phase
from sciddm.physics.mri.second_set import second_set
from sciddm.physics.mri.sensitivities import espirit

__all__ = ["CENTRE", "EncodedSlice", "Frame", "encode", "estimate_maps"]

# The low-resolution image that gives phase and level is taken from this many central samples at
# most: more would follow the anatomy's own phase noise, and the prior has seen 10 to 32.
CENTRE = 32
#: Least side of a centre without gaps that is read as it is; else a least-squares image is, of this
#: regularisation and so many steps.
_LEAST_CENTRE, _RIDGE, _RIDGE_STEPS = 8, 0.01, 15


@dataclass(frozen=True)
class Frame:
    """How one slice of a scan is seen by the prior: tissue near 1, phase near 0, white noise.

    An image in the scan's units is ``x * gain * phase``. Channels are whitened and the maps with
    them; ``level`` keeps them in the scan's units, so the noise is ``level / gain``.
    """

    maps: Tensor  # (coil, y, x), of the scan's channels, on the grid of the prior's images
    phase: Tensor  # (y, x) complex, modulus 1
    gain: float
    level: float
    whiten: Callable[[Tensor], Tensor]
    matrix: tuple[int, int]  # (y, x) of the scan's images
    beside: Tensor | None = None  # (coil, ky, kx) of a second set of maps, in the data's units

    @property
    def white_maps(self) -> Tensor:
        """Maps of the whitened channels, times the phase, in the scan's units of noise."""
        return self.level * self.whiten(self.maps * self.phase)

    def measurement(self, kspace: Tensor, mask: Tensor, *, iterations: int = 8) -> Measurement:
        """``y = A x + n`` for k-space (coil, ky, kx) of the scan, sampled where ``mask`` is."""
        grid = (self.maps.shape[-2], self.maps.shape[-1])
        mask = resized(mask, grid)
        operator = CartesianMRI(mask, self.white_maps)
        data = self.level * self.whiten(resized(kspace, grid)) / self.gain * mask
        if self.beside is not None:
            data = data - self.beside * mask
        return Measurement(data, operator, self.level / self.gain, iterations=iterations)

    def to_scan(self, x: Tensor) -> Tensor:
        """Images (..., 1, y, x) of the prior as (..., y, x) in the scan's units, with phase."""
        image = x[..., 0, :, :] * self.gain * self.phase
        return _with_pixels(image, self.matrix)


@dataclass(frozen=True)
class EncodedSlice:
    """One slice as ``y = A x + n`` with x as the prior knows it, and the way back.

    Where the object is wider than the field of view, ``second`` are maps of a second set and
    ``overlap`` is the part of the object that shows two places; see ``second_set``.
    """

    measurement: Measurement
    frame: Frame
    zero_filled: Tensor  # (y, x) complex, scan's units
    second: Tensor | None = None  # (coil, y, x), as white_maps
    overlap: float = 0.0


def encode(
    kspace: Tensor,
    mask: Tensor,
    covariance: Tensor,
    maps: Tensor | None = None,
    *,
    iterations: int = 8,
    grid: tuple[int, int] | None = None,
    calibration: Tensor | None = None,
) -> EncodedSlice:
    """Estimates what is missing (maps, phase, scale) and builds the measurement.

    Args:
        kspace: (coil, ky, kx) complex64, centred, 0 where not sampled.
        mask: (ky, kx) bool.
        covariance: E[n n^H] of the channels' noise (coil, coil).
        maps: coil sensitivity maps (coil, y, x); estimated by ESPIRiT if not given.
        iterations: conjugate gradient steps of each data-consistency solve.
        grid: (y, x) of the image that is looked for, if finer than the scan's: what it has beyond
            the scan's k-space was not measured. Given maps must be of this grid.
        calibration: (coil, ky, kx) lines for the maps alone, 0 elsewhere; by default the centre of
            k-space serves.

    Raises:
        InputError: no calibration region and no maps, coil counts that differ, or a covariance
            that is not positive definite.
    """
    matrix = (kspace.shape[-2], kspace.shape[-1])
    if grid is not None:
        kspace, mask = resized(kspace, grid), resized(mask, grid)
    if maps is not None and maps.shape != kspace.shape:
        raise InputError(
            f"the maps are {tuple(maps.shape)} (coil, y, x) but the data {tuple(kspace.shape)}: "
            "give maps of the same coils and matrix"
        )
    try:
        noise = ChannelNoise(covariance)
    except ValueError as error:
        raise InputError(f"{error}: give a noise level") from error
    # Whitened data have noise 1; multiplied by the mean noise level they stay in the scan's units.
    level = float(covariance.diagonal().real.mean().sqrt())
    whiten = noise.whitening()
    second: Tensor | None = None
    overlap = 0.0
    if maps is None:
        lines, seen = kspace, mask
        if calibration is not None:
            lines = calibration if grid is None else resized(calibration, grid)
            seen = (lines != 0).any(0)
        region, white = calibration_region(to_numpy(seen)), whiten(lines)
        maps = estimate_maps(white, region, noise)
        second, overlap = second_set(white, region, level * whiten(maps))
        filled = maps_without_air(
            whiten(kspace), mask, white, region, whiten(maps), second is not None
        )
        if filled is not None:
            maps = _of_channels(filled, noise)
            second, overlap = None, 0.0
    low = _low_resolution(kspace, mask, maps, level, whiten)
    gain, phase = bright_level(low), unit_phase(low)
    if not gain > 0:
        raise InputError("the centre of k-space holds no signal")
    frame = Frame(maps, phase, gain, level, whiten, matrix)
    zero_filled = _with_pixels((maps.conj() * ifft2c(kspace)).sum(0), matrix)
    second = None if second is None else second * phase
    measurement = frame.measurement(kspace, mask, iterations=iterations)
    return EncodedSlice(measurement, frame, zero_filled, second, overlap)


def estimate_maps(
    white: Tensor, region: tuple[slice, slice], noise: ChannelNoise, *, noise_std: float = 1.0
) -> Tensor:
    """ESPIRiT on whitened data, as unit-norm maps of the scan's own channels.

    Whitened coils have equal noise, which is what separates signal from noise in the calibration
    matrix; their maps times the covariance's Cholesky factor are those of the coils themselves.
    """
    if white.shape[0] == 1:
        return torch.ones_like(white)
    return _of_channels(espirit(white, region, noise_std=noise_std), noise)


def _of_channels(white_maps: Tensor, noise: ChannelNoise) -> Tensor:
    """Maps of whitened coils as unit-norm maps of the scan's own channels."""
    return unit_norm(noise.draw(white_maps))


def _with_pixels(image: Tensor, size: tuple[int, int]) -> Tensor:
    """The image of the same field of view as a scan of ``size`` sees it."""
    same = image.shape[-2:] == size
    return image if same else ifft2c(resized(fft2c(image), size))


def _low_resolution(
    kspace: Tensor, mask: Tensor, maps: Tensor, level: float, whiten: Callable[[Tensor], Tensor]
) -> Tensor:
    """The image (y, x) of the centre of k-space, as far out as it was sampled without gaps; where
    it was not, the centre of a least-squares image."""
    try:
        region = calibration_region(to_numpy(mask), minimum=_LEAST_CENTRE)
    except InputError:
        operator = CartesianMRI(mask, level * whiten(maps))
        data = level * whiten(kspace) * mask
        image = operator.ridge(data, _RIDGE, iterations=_RIDGE_STEPS)
        return low_resolution(fft2c(image[0]), (CENTRE, CENTRE))
    sides = [min(part.stop - part.start, CENTRE) for part in region]
    return (maps.conj() * low_resolution(kspace, (sides[0], sides[1]))).sum(0)
